"""Looking at threads without loading them: list, read, items, tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mcp_server.errors import EphemeralThread, InvalidArgument, InvalidCursor, NotMaterialized, TurnNotFound
from mcp_server.models.page import (
    clamp_limit,
    parse_place_cursor,
    parse_thread_cursor,
    parse_time,
    place_cursor,
    thread_cursor,
)
from mcp_server.models.params import ItemsParams, ListParams, ReadParams, ThreadFilter
from mcp_server.models.results import (
    Hidden,
    ItemEntry,
    ItemsResult,
    LoadedListResult,
    ThreadListResult,
    ThreadReadResult,
)
from mcp_server.models.thread import SUB_AGENT_KINDS, SourceKind, StoredThread, Thread
from mcp_server.models.turn import Item, Turn
from mcp_server.stores.base import StateStore
from mcp_server.stores.horizon import ALL_ACTIVE
from mcp_server.stores.queries import Anchor, ThreadQuery
from mcp_server.threads.catalog import Catalog, parse_id
from mcp_server.threads.excerpt import ANSWER_CHARS, cut, fitted
from mcp_server.threads.history import read_history, select_view
from mcp_server.threads.live import LiveThread
from mcp_server.threads.settings import absolute_cwd
from mcp_server.threads.views import thread_view

_TOP_KINDS: tuple[SourceKind, ...] = ("cli", "vscode", "exec", "appServer", "unknown")


class Reader:
    """Reads; changes nothing, but for rows that turn out to be stale and are repaired on the way."""

    def __init__(self, catalog: Catalog, *, default_provider: str, cwd: str, now_ms: Callable[[], int]) -> None:
        self._catalog, self._live = catalog, catalog.live
        self._provider, self._cwd, self._now = default_provider, cwd, now_ms

    def view(self, stored: StoredThread, turns: Sequence[Turn] = ()) -> Thread:
        live = self._live.get(stored.id)
        rollouts = live.rollouts if live else self._catalog.rollouts
        return thread_view(stored, rollouts, live, turns, default_provider=self._provider)

    # ------------------------------------------------------------------------------------------ lists

    async def list(self, params: ListParams) -> ThreadListResult:
        """Stored threads, by one indexed query. What the defaults leave out is counted."""
        if (early := await self.early_list(params)) is not None:
            return early
        return await self._list(await self._catalog.index(), params, await self._list_query(params))

    async def early_list(self, params: ListParams) -> ThreadListResult | None:
        """The list while the index is still being built, if its rows are those that the whole index would give, but for
        what others created since the build began; else None. `incomplete` says how far the index is.

        Rollouts are read newest first, and their names tell when a thread was created. So a page of active threads, by
        creation and newest first, is right once a row more than it holds is known that is newer than all rollouts left
        (`BackfillState.horizon_ms`); every list of active threads is once no active rollout is left. Trees wait for the
        whole, since any rollout may belong to one; and so does all once this server has changed something meanwhile.
        """
        building = self._catalog.building
        if building is None or params.filter.archived or await self._catalog.log.last_seq():
            return None
        if params.filter.parent_thread_id is not None or params.filter.ancestor_thread_id is not None:
            return None
        state = await building.backfill()  # before the rows: those that come later are not missed
        if state.horizon_ms is None:
            return None
        query = await self._list_query(params)
        if state.horizon_ms > ALL_ACTIVE and not await _is_settled(building, query, state.horizon_ms):
            return None
        so_far = f"The index is being built: {state.done} of {state.found} rollouts are in it, and counted, so far."
        return (await self._list(building, params, query)).model_copy(update={"incomplete": so_far})

    async def _list_query(self, params: ListParams) -> ThreadQuery:
        query = replace(
            await self.query(params.filter),
            sort_key=params.sort_key,
            direction=params.sort_direction,
            limit=clamp_limit(params.limit),
        )
        if params.cursor is not None:
            query = replace(query, after=Anchor(*parse_thread_cursor(params.cursor)))
        return query

    async def _list(self, index: StateStore, params: ListParams, query: ThreadQuery) -> ThreadListResult:
        page = await index.list(query)
        rows = page.rows
        keys = [getattr(row, f"{params.sort_key}_ms") for row in rows]
        step = -1 if params.sort_direction == "desc" else 1
        shown, gone = await self._verified(rows)
        hidden = await self._hidden(index, query, params.filter)
        return ThreadListResult(
            data=[self.view(row) for row in shown],
            total=page.total.n - (len(rows) - len(shown)),
            total_is_minimum=page.total.minimum,
            next_cursor=thread_cursor(keys[-1], rows[-1].id) if page.more else None,
            backwards_cursor=thread_cursor(keys[0] + step, None) if rows else None,
            hidden=hidden.model_copy(update={"file_missing": gone}),
        )

    async def _verified(self, rows: Sequence[StoredThread]) -> tuple[list[StoredThread], int]:
        """The rows whose rollouts are where they say, or where a search finds them; and how many are gone. A stale row
        never wins over the file (Codex drops such rows from a list, and from its database, too)."""
        there = await self._catalog.rollouts.present([row.path for row in rows])
        shown: list[StoredThread] = []
        gone = 0
        for row in rows:
            current = row if row.path in there else await self._catalog.stored(row.id)
            if current is None:
                gone += 1
            elif current.archived == row.archived:
                shown.append(current)
        return shown, gone

    async def query(self, filter: ThreadFilter) -> ThreadQuery:  # noqa: A002
        """The query of a filter.

        Raises:
            InvalidArgument: both a parent and an ancestor, or a time that is none.
        """
        if filter.parent_thread_id is not None and filter.ancestor_thread_id is not None:
            raise InvalidArgument(
                "ancestor_thread_id",
                filter.ancestor_thread_id,
                "parentThreadId and ancestorThreadId are mutually exclusive",
                "pass one of the two",
            )
        in_tree = filter.parent_thread_id is not None or filter.ancestor_thread_id is not None
        kinds = filter.source_kinds or (None if in_tree else _TOP_KINDS)
        if kinds is not None and "subAgent" in kinds:
            kinds = (*kinds, *SUB_AGENT_KINDS)
        return ThreadQuery(
            archived=filter.archived,
            source_kinds=kinds,
            model_providers=filter.model_providers or None,
            cwds=None if filter.cwd is None else [absolute_cwd(cwd, self._cwd) for cwd in filter.cwd],
            search_term=filter.search_term or None,
            parent_id=await self._tree_id(filter.parent_thread_id),
            ancestor_id=await self._tree_id(filter.ancestor_thread_id),
            since_ms=_time("since", filter.since),
            until_ms=_until(filter.until),
        )

    async def _tree_id(self, reference: str | None) -> str | None:
        return None if reference is None else await self._catalog.resolve(reference)

    async def _hidden(self, index: StateStore, query: ThreadQuery, filter: ThreadFilter) -> Hidden:  # noqa: A002
        asked = {"without_preview": replace(query, with_preview=False)}
        if not filter.source_kinds and query.source_kinds is not None:
            asked["sub_agents"] = replace(query, source_kinds=SUB_AGENT_KINDS)
        if not filter.archived:
            asked["archived"] = replace(query, archived=True)
        counts = dict(zip(asked, await index.counts(list(asked.values())), strict=True))
        return Hidden(
            **{name: count.n for name, count in counts.items()},
            are_minimums=any(count.minimum for count in counts.values()),
        )

    def loaded(self, cursor: str | None, limit: int) -> LoadedListResult:
        """Ids loaded in this process, sorted, after the cursor (an id, which need not be there any more)."""
        ids = self._live.ids()
        after = parse_id(cursor) if cursor is not None else ""
        if after is None:
            raise InvalidCursor(cursor or "")
        rest = [thread_id for thread_id in ids if thread_id > after]
        page = rest[: clamp_limit(limit)]
        more = len(rest) > len(page)
        return LoadedListResult(data=page, total=len(ids), next_cursor=page[-1] if more else None)

    # ------------------------------------------------------------------------------------------ one thread

    async def read(self, params: ReadParams) -> ThreadReadResult:
        """One thread without loading it, with a page of its turns if asked."""
        thread_id = await self._catalog.resolve(params.thread_id)
        stored = await self._catalog.known(thread_id)
        if not params.include_turns:
            return ThreadReadResult(thread=self.view(stored))
        self._check_turns(thread_id)
        turns = await self.turns_of(stored)
        if params.sort_direction == "desc":
            turns = turns[::-1]
        start = _start([turn.id for turn in turns], params.cursor)
        page = turns[start : start + clamp_limit(params.limit)]
        more = start + len(page) < len(turns)
        return ThreadReadResult(
            thread=self.view(stored, fitted([select_view(turn, params.items_view) for turn in page])),
            total=len(turns),
            next_cursor=place_cursor(page[-1].id, inclusive=False) if more else None,
            backwards_cursor=place_cursor(page[0].id, inclusive=True) if page else None,
        )

    async def last_turns(self, live: LiveThread, limit: int) -> ThreadReadResult:
        """A loaded thread with its last turns, oldest first, and the cursor for those before them."""
        turns = await self.turns_of(live.thread) if live.materialised else []
        page = turns[-limit:] if limit > 0 else []
        more = len(page) < len(turns)
        cursor = place_cursor(page[0].id, inclusive=False) if more and page else None
        return ThreadReadResult(thread=self.view(live.thread, fitted(page)), total=len(turns), next_cursor=cursor)

    async def turns_of(self, stored: StoredThread) -> list[Turn]:
        """All turns, oldest first. Only the turn that runs right now is in progress."""
        live = self._live.get(stored.id)
        rollouts = live.rollouts if live else self._catalog.rollouts
        running = live.turn.id if live and live.turn else None
        history = await read_history(rollouts, stored, self._catalog.stored, active_turn_id=running)
        return history.turns

    def _check_turns(self, thread_id: str) -> None:
        live = self._live.get(thread_id)
        if live is not None and live.ephemeral:
            raise EphemeralThread(thread_id, "include_turns")
        if live is not None and not live.materialised:
            raise NotMaterialized(thread_id, "include_turns")

    async def items(self, params: ItemsParams) -> ItemsResult:
        """The items of a thread or of one turn, long texts windowed."""
        thread_id = await self._catalog.resolve(params.thread_id)
        stored = await self._catalog.known(thread_id)
        self._check_turns(thread_id)
        entries = await self._entries(stored, params)
        if params.sort_direction == "desc":
            entries = entries[::-1]
        start = _start([item.id for _, item in entries], params.cursor)
        page = entries[start : start + clamp_limit(params.limit)]
        more = start + len(page) < len(entries)
        return ItemsResult(
            thread_id=thread_id,
            data=[self._entry(turn_id, item, params, ANSWER_CHARS // max(1, len(page))) for turn_id, item in page],
            total=len(entries),
            next_cursor=place_cursor(page[-1][1].id, inclusive=False) if more else None,
            backwards_cursor=place_cursor(page[0][1].id, inclusive=True) if page else None,
        )

    async def _entries(self, stored: StoredThread, params: ItemsParams) -> list[tuple[str, Item]]:
        turns = await self.turns_of(stored)
        if params.turn_id is not None:
            turns = [turn for turn in turns if turn.id == params.turn_id]
            if not turns:
                raise TurnNotFound(params.turn_id, stored.id)
        entries = [(turn.id, item) for turn in turns for item in turn.items]
        if params.item_id is None:
            return entries
        entries = [entry for entry in entries if entry[1].id == params.item_id]
        if not entries:
            raise InvalidArgument(
                "item_id", params.item_id, f"thread {stored.id} has no such item", "take one that thread_items lists"
            )
        return entries

    def _entry(self, turn_id: str, item: Item, params: ItemsParams, room: int) -> ItemEntry:
        shown, truncated = cut(item, params.text_offset, min(params.max_chars, room))
        return ItemEntry(turn_id=turn_id, item=shown, truncated=truncated)


def _start(places: Sequence[str], cursor: str | None) -> int:
    """The index in `places` that a cursor says to begin at."""
    if cursor is None:
        return 0
    place, inclusive = parse_place_cursor(cursor)
    if place not in places:
        raise InvalidCursor(cursor, "anchor turn is no longer present")
    return places.index(place) + (0 if inclusive else 1)


async def _is_settled(building: StateStore, query: ThreadQuery, horizon_ms: int) -> bool:
    """Whether rollouts of threads that were created up to the horizon can't change the page."""
    if (query.sort_key, query.direction) != ("created_at", "desc"):
        return False
    if query.since_ms is not None and query.since_ms > horizon_ms:
        return True
    return (await building.list(replace(query, since_ms=horizon_ms + 1))).more


def _until(text: str | None) -> int | None:
    """A time in whole seconds includes its second: that is how threads show theirs."""
    ms = _time("until", text)
    return ms + 999 if ms is not None and ms % 1000 == 0 else ms


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if (ms := parse_time(text)) is None:
        raise InvalidArgument(name, text, "it is no RFC 3339 time", "pass one such as 2026-01-31T12:00:00Z")
    return ms
