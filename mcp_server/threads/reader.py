"""The verbs that read threads without loading them: list, read, items."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from msgspec import UNSET, structs

from mcp_server.codex.paths import parse_id
from mcp_server.errors import EphemeralThread, InvalidArgument, InvalidCursor, NotMaterialized, TurnNotFound
from mcp_server.models.cwd import canonical_cwd, folders_called, is_within, nearest_folders
from mcp_server.models.history import TurnSpan
from mcp_server.models.page import (
    ItemAnchor,
    clamp_limit,
    item_cursor,
    parse_item_cursor,
    parse_place_cursor,
    parse_thread_cursor,
    place_cursor,
    thread_cursor,
)
from mcp_server.models.params import ItemsParams, ListParams, ReadParams, ThreadFilter
from mcp_server.models.quoting import quoted
from mcp_server.models.records import SpawnEdge
from mcp_server.models.results import (
    Hidden,
    ItemEntry,
    ItemsResult,
    LoadedListResult,
    ThreadListResult,
    ThreadReadResult,
)
from mcp_server.models.thread import SUB_AGENT_KINDS, SortDirection, SourceKind, StoredThread, Thread, TurnState
from mcp_server.models.times import moment
from mcp_server.models.turn import Item
from mcp_server.storage.contracts import Holder, Leases
from mcp_server.storage.lookup import Lookup
from mcp_server.storage.query import Anchor, ThreadQuery, state_of
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.checks import check_no_page, check_one_item
from mcp_server.threads.loaded import LoadedThread
from mcp_server.threads.settings import absolute_cwd
from mcp_server.threads.turn_index import History
from mcp_server.threads.views import ANSWER_CHARS, cut_texts, fit_answer, thread_tokens, thread_view

_MOST_IDS = 100
_BARE_NAME = re.compile(r"(?!\.{1,2}\Z|~)[^/\\:]+")
_TOP_KINDS: tuple[SourceKind, ...] = ("cli", "vscode", "exec", "appServer", "unknown")


class Reader:
    """Reads threads. Changes nothing but stale rows, which it repairs."""

    def __init__(
        self, catalog: Catalog, locks: Leases, *, default_provider: str, cwd: str, now_ms: Callable[[], int]
    ) -> None:
        self._catalog, self._locks, self._loaded = catalog, locks, catalog.loaded
        self._provider, self._cwd, self._now = default_provider, cwd, now_ms

    def view(self, stored: StoredThread, holder: Holder | None = None) -> Thread:
        """The thread as clients see it. `holder` is the other process that has it open."""
        loaded = self._loaded.get(stored.id)
        rollouts = loaded.rollouts if loaded else self._catalog.rollouts
        return thread_view(stored, rollouts, loaded, holder, default_provider=self._provider)

    def last_turn(self, stored: StoredThread, holder: Holder | None = None) -> TurnState | None:
        """How the last turn of the thread stands, as far as known."""
        loaded = self._loaded.get(stored.id)
        held = holder is not None or (loaded is not None and loaded.turn is not None)
        return state_of(stored, {stored.id} if held else ())

    def holders(self, thread_ids: Collection[str]) -> dict[str, Holder]:
        """The other processes that have these threads open."""
        others = [thread_id for thread_id in thread_ids if self._loaded.get(thread_id) is None]
        return self._locks.foreign(others) if others else {}

    # ------------------------------------------------------------------------------------------ lists

    def list(self, params: ListParams) -> ThreadListResult:
        """A page of stored threads, with counts of what the default filters leave out."""
        if (early := self.early_list(params)) is not None:
            return early
        lookup = self._catalog.lookup
        return self._list(lookup, params, self._list_query(params, lookup))

    def early_list(self, params: ListParams) -> ThreadListResult | None:
        """The list from a part of the index, while that is built; None if it must wait. `incomplete` says how far the
        index is."""
        if params.filter.archived:
            return None
        for part in self._catalog.early(params.filter):
            query = self._list_query(params, part.lookup)
            if part.has_page(query):
                so_far = f"{part.note}, and counted, so far{part.lacks(query)}."
                return structs.replace(self._list(part.lookup, params, query), incomplete=so_far, note=None)
        return None

    def _list_query(self, params: ListParams, lookup: Lookup) -> ThreadQuery:
        query = replace(
            self.query(params.filter, lambda: lookup.index().cwds()),
            sort_key=params.sort_key,
            direction=params.sort_direction,
            limit=clamp_limit(params.limit),
        )
        if params.cursor is not None:
            query = replace(query, after=Anchor(*parse_thread_cursor(params.cursor)))
        return query

    def _list(self, lookup: Lookup, params: ListParams, query: ThreadQuery) -> ThreadListResult:
        others = _hidden_queries(query, params.filter)
        names = params.filter.search_term is not None or params.filter.named is not None
        found = lookup.page(query, list(others.values()), names=names)
        page, rows = found.rows, found.rows.rows
        key_of = attrgetter(f"{params.sort_key}_ms")
        keys = [key_of(row) for row in rows]
        step = -1 if params.sort_direction == "desc" else 1
        holders = self.holders([row.id for row in found.shown])
        shown = self._looked_at_again(found.shown, holders, lookup)
        shown_ids = {thread.id for thread in shown}
        below = count_below(shown_ids, lookup.store.edges_below(shown_ids)) if params.count_sub_agents else {}
        hidden = Hidden(
            **{name: count.n for name, count in zip(others, page.beside, strict=True)},
            duplicates=page.copies.n,
            file_missing=found.missing,
            unreadable=found.unreadable,
            are_minimums=any(count.minimum for count in (*page.beside, page.copies)),
        )
        return ThreadListResult(
            data=[
                structs.replace(self.view(row, holder=holders.get(row.id)), sub_agents=below.get(row.id, UNSET))
                for row in self._catalog.with_tags(shown)
            ],
            total=page.total.n - (len(rows) - len(shown)),
            total_is_minimum=page.total.minimum,
            next_cursor=thread_cursor(keys[-1], rows[-1].id) if page.more else None,
            backwards_cursor=thread_cursor(keys[0] + step, None) if rows else None,
            cursors=[thread_cursor(key_of(row), row.id) for row in rows if row.id in shown_ids],
            hidden=hidden,
            note=None if page.total.n else self._unknown_folders(params.filter, query, lookup),
        )

    def _unknown_folders(self, filter: ThreadFilter, query: ThreadQuery, lookup: Lookup) -> str | None:  # noqa: A002
        """A note on folders that no thread has worked in, with the nearest known ones."""
        if not filter.cwd or query.cwds is None:
            return None
        known = {canonical_cwd(cwd) for cwd in lookup.store.cwds()}
        folders = [canonical_cwd(cwd) for cwd in query.cwds]
        if any(is_within(place, folder) for place in known for folder in folders):
            return None
        nearest = list(dict.fromkeys(near for cwd in filter.cwd for near in nearest_folders(cwd, known)))
        told = f"; the nearest known: {', '.join(map(quoted, nearest))}" if nearest else ""
        return f"No thread has worked in or below {', '.join(map(quoted, filter.cwd))}{told}."

    def _looked_at_again(
        self, threads: Sequence[StoredThread], holders: Mapping[str, Holder], lookup: Lookup
    ) -> list[StoredThread]:
        """The threads, read again where a process may have ended its turn and let go of the thread since: such a turn
        has not crashed."""
        crashed = [one.id for one in threads if self.last_turn(one, holders.get(one.id)) == "crashed"]
        found = lookup.find_many(crashed)[0].values() if crashed else ()
        again = lookup.with_facts([one for one in found if isinstance(one, StoredThread)])
        now = {one.id: one for one in again}
        return [now.get(one.id, one) for one in threads]

    def query(self, filter: ThreadFilter, cwds: Callable[[], Collection[str]]) -> ThreadQuery:  # noqa: A002
        """The query for a filter. A folder's bare name stands for the folders of that name among the known `cwds`.

        Raises:
            InvalidArgument: both a parent and an ancestor are given, or a time is malformed.
        """
        if filter.parent_thread_id is not None and filter.ancestor_thread_id is not None:
            raise InvalidArgument(
                "ancestor_thread_id",
                filter.ancestor_thread_id,
                "parent_thread_id and ancestor_thread_id are mutually exclusive",
                "pass one of the two",
            )
        in_tree = filter.parent_thread_id is not None or filter.ancestor_thread_id is not None
        attached_to = self._known_id(filter.attached_to_thread_id)
        # Whoever names threads means them, whatever their kind.
        certain = in_tree or filter.thread_ids is not None or filter.loaded
        kinds = filter.source_kinds or (None if certain else _TOP_KINDS)
        if kinds is not None and "subAgent" in kinds:
            kinds = (*kinds, *SUB_AGENT_KINDS)
        return ThreadQuery(
            archived=filter.archived,
            source_kinds=kinds,
            model_providers=filter.model_providers or None,
            cwds=None if filter.cwd is None else self._places(filter.cwd, cwds),
            search_term=filter.search_term or None,
            parent_id=self._known_id(filter.parent_thread_id),
            ancestor_id=self._known_id(filter.ancestor_thread_id),
            attached_to_id=attached_to,
            ids=self._ids(filter),
            named=filter.named,
            last_turns=filter.last_turn or None,
            held=self._held() if _depends_on_holders(filter) else (),
            since_ms=self._time("since", filter.since),
            until_ms=self._time("until", filter.until),
            # Codex's second kind of sub-agents has no first message.
            with_preview=None if certain or filter.include_without_preview else True,
            attached=None if filter.include_attached_threads or attached_to or certain else False,
        )

    def _places(self, asked: Sequence[str], cwds: Callable[[], Collection[str]]) -> list[str]:
        """These folders as given, since recorded cwds may be relative too, and as absolute paths; and for a bare name
        all known folders that have it."""
        places: list[str] = []
        for folder in asked:
            places += [folder, absolute_cwd(folder, self._cwd)]
            if _BARE_NAME.fullmatch(folder):
                places += folders_called(folder, map(canonical_cwd, cwds()))
        return places

    def _held(self) -> frozenset[str]:
        """The threads that some process has open: another one, or this one while a turn runs."""
        ours = (one.thread.id for one in self._loaded.all() if one.turn is not None)
        return frozenset(self._locks.foreign()).union(ours)

    def _time(self, name: str, text: str | None) -> int | None:
        if text is None:
            return None
        try:
            return moment(text, self._now(), end=name == "until")
        except ValueError as error:
            raise InvalidArgument(name, text, str(error), "pass one such as yesterday or 7d") from error

    def _known_id(self, reference: str | None) -> str | None:
        return None if reference is None else self._catalog.resolve(reference)

    def _ids(self, filter: ThreadFilter) -> set[str] | None:  # noqa: A002
        sets: list[set[str]] = []
        if filter.section_id is not None:
            sets.append(set(self._catalog.lookup.in_section(filter.section_id)))
        if filter.tags is not None:
            sets.append(self._catalog.tags.having(filter.tags))
        if filter.loaded:
            sets.append(set(self._loaded.ids()))
        if filter.thread_ids is not None:
            sets.append(self._named_ids(filter.thread_ids))
        return set[str].intersection(*sets) if sets else None

    def _named_ids(self, references: Sequence[str]) -> set[str]:
        if (number := len(references)) > _MOST_IDS:
            raise InvalidArgument(
                "thread_ids", f"{number} ids", f"it takes at most {_MOST_IDS}", "ask for the others in another call"
            )
        return {self._catalog.resolve(reference) for reference in references}

    def loaded(self, cursor: str | None, limit: int) -> LoadedListResult:
        """The ids of threads loaded in this process, sorted, after the cursor (an id, of a thread loaded or not)."""
        ids = self._loaded.ids()
        after = parse_id(cursor) if cursor is not None else ""
        if after is None:
            raise InvalidCursor(cursor or "")
        rest = [thread_id for thread_id in ids if thread_id > after]
        page = rest[: clamp_limit(limit)]
        more = len(rest) > len(page)
        return LoadedListResult(data=page, total=len(ids), next_cursor=page[-1] if more else None, cursors=page)

    # ------------------------------------------------------------------------------------------ one thread

    def read(self, params: ReadParams) -> ThreadReadResult:
        """One thread, with a page of its turns on request."""
        thread_id = self._catalog.resolve(params.thread_id)
        return self._catalog.retry_if_moved(thread_id, lambda: self._read(thread_id, params))

    def _read(self, thread_id: str, params: ReadParams) -> ThreadReadResult:
        stored = self._catalog.known(thread_id)
        holder = self.holders([thread_id]).get(thread_id)
        if self._loaded.get(thread_id) is not None:
            (stored,) = self._catalog.with_facts([stored])
        include_turns = params.include_turns
        if include_turns is None and not self._has_turns(thread_id):
            return ThreadReadResult(thread=self.view(stored))
        if include_turns is False:
            check_no_page(params)
            return ThreadReadResult(thread=self.view(stored, holder=holder))
        self._check_turns(thread_id)
        limit = clamp_limit(params.limit)
        newest = params.cursor is None and params.sort_direction == "desc"
        history = self._catalog.history(stored, last=limit + 1 if newest else 0)  # tokens are counted from one before
        holder = holder or self.holders([thread_id]).get(thread_id)  # who has begun the turn since
        history = replace(history, open_status="inProgress" if holder else "crashed")
        stored = _as_indexed(stored, history)
        first, end = self._turn_range(history, params.cursor, params.sort_direction, limit)
        used = history.used_in(first, end)
        page = [
            structs.replace(turn, tokens=used.get(turn.id, UNSET))
            for turn in history.turns(first, end, params.items_view)
        ]
        more = end < history.checkpoint.turns
        if params.sort_direction == "desc":
            page, more = page[::-1], first > 0
        return ThreadReadResult(
            thread=self.view(stored, holder),
            turns=fit_answer(page),
            total=history.checkpoint.turns,
            tokens=thread_tokens(history.tokens),
            cursors=[place_cursor(turn.id, inclusive=False) for turn in page],
            next_cursor=place_cursor(page[-1].id, inclusive=False) if more else None,
            backwards_cursor=place_cursor(page[0].id, inclusive=True) if page else None,
        )

    def _turn_range(
        self, history: History, cursor: str | None, direction: SortDirection, limit: int
    ) -> tuple[int, int]:
        """The numbers of the turns on the page that begins at the cursor."""
        number = None
        if cursor is not None:
            turn_id, inclusive = parse_place_cursor(cursor)
            if (span := history.span_of(turn_id)) is None:
                raise InvalidCursor(cursor, "anchor turn is no longer present")
            number = span.number if inclusive else span.number + (1 if direction == "asc" else -1)
        return _range(number, direction, limit, history.checkpoint.turns)

    def last_turns(self, loaded: LoadedThread, limit: int) -> ThreadReadResult:
        """A loaded thread with its last turns, oldest first, and the cursor to the turns before them."""
        if not loaded.has_rollout:
            return ThreadReadResult(thread=self.view(loaded.thread), total=0)
        history = replace(self._catalog.history(loaded.thread, last=limit), open_status="crashed")
        total = history.checkpoint.turns
        first = max(0, total - limit)
        page = history.turns(first, total, "full") if limit > 0 else []
        cursor = place_cursor(page[0].id, inclusive=False) if page and first else None
        before = [place_cursor(turn.id, inclusive=False) for turn in page]
        thread = self.view(_as_indexed(loaded.thread, history))
        return ThreadReadResult(thread=thread, turns=fit_answer(page), total=total, next_cursor=cursor, cursors=before)

    def turn_count(self, stored: StoredThread) -> int:
        return self._catalog.history(stored).checkpoint.turns

    def _has_turns(self, thread_id: str) -> bool:
        """Whether the thread has a rollout that turns may be in."""
        loaded = self._loaded.get(thread_id)
        return loaded is None or (loaded.has_rollout and not loaded.ephemeral)

    def _check_turns(self, thread_id: str) -> None:
        loaded = self._loaded.get(thread_id)
        if loaded is not None and loaded.ephemeral:
            raise EphemeralThread(thread_id, "include_turns")
        if loaded is not None and not loaded.has_rollout:
            raise NotMaterialized(thread_id, "include_turns")

    def items(self, params: ItemsParams) -> ItemsResult:
        """A page of items of a thread or of one turn, with long texts cut."""
        thread_id = self._catalog.resolve(params.thread_id)
        return self._catalog.retry_if_moved(thread_id, lambda: self._items(thread_id, params))

    def _items(self, thread_id: str, params: ItemsParams) -> ItemsResult:
        stored = self._catalog.known(thread_id)
        self._check_turns(thread_id)
        history = self._catalog.history(stored)
        span = self._span(history, params.turn_id)
        if params.item_id is not None:
            check_one_item(params)
            return self._one_item(history, span, params)
        start = span.items if span else 0
        total = span.size if span else history.checkpoint.items
        number = self._item_number(history, params) if params.cursor is not None else None
        first, end = _range(
            None if number is None else number - start, params.sort_direction, clamp_limit(params.limit), total
        )
        page = history.items(start + first, start + end)
        begin, last, more, step = first, end - 1, end < total, 1
        if params.sort_direction == "desc":
            page, begin, last, more, step = page[::-1], last, begin, first > 0, -1
        return ItemsResult(
            thread_id=thread_id,
            data=[self._entry(turn_id, item, params, len(page)) for turn_id, item in page],
            total=total,
            next_cursor=_item_cursor(page[-1], start + last, inclusive=False) if more and page else None,
            cursors=[_item_cursor(one, start + begin + n * step, inclusive=False) for n, one in enumerate(page)],
            backwards_cursor=_item_cursor(page[0], start + begin, inclusive=True) if page else None,
        )

    def _span(self, history: History, turn_id: str | None) -> TurnSpan | None:
        if turn_id is None:
            return None
        if (span := history.span_of(turn_id)) is None:
            raise TurnNotFound(turn_id, history.checkpoint.thread_id)
        return span

    def _item_number(self, history: History, params: ItemsParams) -> int:
        """The number in the thread of the item that the page begins with."""
        cursor = params.cursor or ""
        anchor = parse_item_cursor(cursor)
        number = self._number_of(history, anchor)
        if number is None:
            raise InvalidCursor(cursor, "anchor item is no longer present")
        return number if anchor.inclusive else number + (1 if params.sort_direction == "asc" else -1)

    def _number_of(self, history: History, anchor: ItemAnchor) -> int | None:
        """The number that the item has now. Items before it may have been rolled back since; then it is searched in its
        turn."""
        there = history.items(anchor.number, anchor.number + 1)
        if [(turn_id, item.id) for turn_id, item in there] == [(anchor.turn_id, anchor.item_id)]:
            return anchor.number
        span = history.span_of(anchor.turn_id)
        items = history.items(span.items, span.items + span.size) if span else []
        ids = [item.id for _, item in items]
        return span.items + ids.index(anchor.item_id) if span and anchor.item_id in ids else None

    def _one_item(self, history: History, span: TurnSpan | None, params: ItemsParams) -> ItemsResult:
        """The item with an id. Without a turn id, all turns are searched until it is found."""
        spans = [span] if span else history.spans(0, history.checkpoint.turns)
        for each in spans:
            for item in history.items_of(each):
                if item.id == params.item_id:
                    entry = self._entry(each.turn_id, item, params, 1)
                    return ItemsResult(thread_id=history.checkpoint.thread_id, data=[entry], total=1)
        raise InvalidArgument(
            "item_id",
            params.item_id,
            f"thread {history.checkpoint.thread_id} has no such item",
            "pass one that thread_items lists",
        )

    def _entry(self, turn_id: str, item: Item, params: ItemsParams, of: int) -> ItemEntry:
        shown, truncated = cut_texts(item, params.text_offset, min(params.max_chars, ANSWER_CHARS // max(1, of)))
        return ItemEntry(turn_id=turn_id, item=shown.changed(truncated=truncated) if truncated else shown)


def _as_indexed(stored: StoredThread, history: History) -> StoredThread:
    """The thread with what the index knows of its turns."""
    return structs.replace(stored, last_turn=history.checkpoint.last_turn, turn_count=history.checkpoint.turns)


def _item_cursor(entry: tuple[str, Item], number: int, *, inclusive: bool) -> str:
    turn_id, item = entry
    return item_cursor(ItemAnchor(turn_id, item.id, number, inclusive))


def count_below(thread_ids: Collection[str], edges: Sequence[SpawnEdge]) -> dict[str, int]:
    """How many threads are below each of these, along these edges; only of those that have some."""
    kids: dict[str, list[str]] = {}
    for edge in edges:
        kids.setdefault(edge.parent_id, []).append(edge.child_id)
    counts: dict[str, int] = {}
    for thread_id in kids.keys() & set(thread_ids):
        below, seen = [thread_id], {thread_id}
        for parent in below:
            new = [kid for kid in kids.get(parent, ()) if kid not in seen]
            seen.update(new)
            below += new
        counts[thread_id] = len(below) - 1
    return {thread_id: count for thread_id, count in counts.items() if count}


def _range(number: int | None, direction: SortDirection, limit: int, total: int) -> tuple[int, int]:
    """The range of numbers on a page that begins with a number, or (None) with the first one in this direction."""
    if direction == "asc":
        first = max(0, number or 0)
        return first, min(first + limit, total)
    end = total if number is None else min(number + 1, total)
    return max(0, end - limit), max(0, end)


def _hidden_queries(query: ThreadQuery, filter: ThreadFilter) -> dict[str, ThreadQuery]:  # noqa: A002
    """Queries for what the default filters leave out, by field of `Hidden`."""
    others: dict[str, ThreadQuery] = {}
    if query.with_preview:
        others["without_preview"] = replace(query, with_preview=False)
    if query.attached is False:
        others["attached"] = replace(query, attached=True)
    if not filter.source_kinds and query.source_kinds is not None:
        others["sub_agents"] = replace(query, source_kinds=SUB_AGENT_KINDS)
    if not filter.archived:
        others["archived"] = replace(query, archived=True)
    return others


def _depends_on_holders(filter: ThreadFilter) -> bool:  # noqa: A002
    return not {"running", "crashed"}.isdisjoint(filter.last_turn or ())
