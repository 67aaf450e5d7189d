"""The verbs that read threads without loading them: list, read, items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import parse_id
from mcp_server.errors import EphemeralThread, InvalidArgument, InvalidCursor, NotMaterialized, TurnNotFound
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
from mcp_server.models.results import (
    Hidden,
    ItemEntry,
    ItemsResult,
    LoadedListResult,
    ThreadListResult,
    ThreadReadResult,
)
from mcp_server.models.thread import SUB_AGENT_KINDS, SortDirection, SourceKind, StoredThread, Thread
from mcp_server.models.times import parse_time
from mcp_server.models.turn import Item, Turn
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import Anchor, ThreadQuery
from mcp_server.sync.lookup import verified
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.checks import check_no_page, check_one_item
from mcp_server.threads.loaded import LoadedThread
from mcp_server.threads.partial_index import partial_indexes
from mcp_server.threads.settings import absolute_cwd
from mcp_server.threads.turn_index import History
from mcp_server.threads.views import ANSWER_CHARS, cut_texts, fit_answer, thread_view

_MOST_IDS = 100
_TOP_KINDS: tuple[SourceKind, ...] = ("cli", "vscode", "exec", "appServer", "unknown")


class Reader:
    """Reads threads. Changes nothing but stale rows, which it repairs."""

    def __init__(self, catalog: Catalog, *, default_provider: str, cwd: str, now_ms: Callable[[], int]) -> None:
        self._catalog, self._loaded = catalog, catalog.loaded
        self._provider, self._cwd, self._now = default_provider, cwd, now_ms

    def view(self, stored: StoredThread, turns: Sequence[Turn] = ()) -> Thread:
        loaded = self._loaded.get(stored.id)
        rollouts = loaded.rollouts if loaded else self._catalog.rollouts
        return thread_view(stored, rollouts, loaded, turns, default_provider=self._provider)

    # ------------------------------------------------------------------------------------------ lists

    def list(self, params: ListParams) -> ThreadListResult:
        """A page of stored threads, with counts of what the default filters leave out."""
        if (early := self.early_list(params)) is not None:
            return early
        index = self._catalog.index(names=params.filter.search_term is not None)
        return self._list(index, params, self._list_query(params))

    def early_list(self, params: ListParams) -> ThreadListResult | None:
        """The list from a part of the index, while that is built; None if it must wait. `incomplete` says how far the
        index is."""
        if params.filter.archived:
            return None
        for part in partial_indexes(self._catalog, params.filter):
            query = self._list_query(params)
            if part.has_page(query):
                so_far = f"{part.note}, and counted, so far."
                return structs.replace(self._list(part.store, params, query), incomplete=so_far)
        return None

    def _list_query(self, params: ListParams) -> ThreadQuery:
        query = replace(
            self.query(params.filter),
            sort_key=params.sort_key,
            direction=params.sort_direction,
            limit=clamp_limit(params.limit),
        )
        if params.cursor is not None:
            query = replace(query, after=Anchor(*parse_thread_cursor(params.cursor)))
        return query

    def _list(self, index: StateStore, params: ListParams, query: ThreadQuery) -> ThreadListResult:
        others = _hidden_queries(query, params.filter)
        page = index.list(query, list(others.values()))
        files = self._files_of(page.rows)
        if self._catalog.repair_rows(page.rows, files):
            page = index.list(query, list(others.values()))
            files = self._files_of(page.rows)
        rows = page.rows
        keys = [getattr(row, f"{params.sort_key}_ms") for row in rows]
        step = -1 if params.sort_direction == "desc" else 1
        shown, gone = self._verified(rows, files)
        hidden = Hidden(
            **{name: count.n for name, count in zip(others, page.beside, strict=True)},
            duplicates=page.copies.n,
            file_missing=gone,
            unreadable=len(self._catalog.hidden(index, archived=params.filter.archived)),
            are_minimums=any(count.minimum for count in (*page.beside, page.copies)),
        )
        return ThreadListResult(
            data=[self.view(row) for row in self._catalog.with_facts(shown)],
            total=page.total.n - (len(rows) - len(shown)),
            total_is_minimum=page.total.minimum,
            next_cursor=thread_cursor(keys[-1], rows[-1].id) if page.more else None,
            backwards_cursor=thread_cursor(keys[0] + step, None) if rows else None,
            hidden=hidden,
        )

    def _files_of(self, rows: Sequence[StoredThread]) -> dict[str, RolloutRef]:
        return self._catalog.rollouts.stat_many([row.path for row in rows])

    def _verified(
        self, rows: Sequence[StoredThread], files: Mapping[str, RolloutRef]
    ) -> tuple[list[StoredThread], int]:
        """The rows that match their files; for other rows, the threads as their files describe them now; and how many
        threads are gone. The file always wins over the row. (Codex removes such rows from lists and database, too.)"""
        shown: list[StoredThread] = []
        gone = 0
        for row in rows:
            current = row if verified(row, files) else self._catalog.stored(row.id)
            if current is None:
                gone += 1
            elif current.archived == row.archived:
                shown.append(current)
        return shown, gone

    def query(self, filter: ThreadFilter) -> ThreadQuery:  # noqa: A002
        """The query for a filter.

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
        kinds = filter.source_kinds or (None if in_tree else _TOP_KINDS)
        if kinds is not None and "subAgent" in kinds:
            kinds = (*kinds, *SUB_AGENT_KINDS)
        return ThreadQuery(
            archived=filter.archived,
            source_kinds=kinds,
            model_providers=filter.model_providers or None,
            cwds=None if filter.cwd is None else self._places(filter.cwd),
            search_term=filter.search_term or None,
            parent_id=self._known_id(filter.parent_thread_id),
            ancestor_id=self._known_id(filter.ancestor_thread_id),
            attached_to_id=attached_to,
            ids=self._ids(filter),
            since_ms=_time("since", filter.since),
            until_ms=_until(filter.until),
            # Codex's second kind of sub-agents has no first message.
            with_preview=None if in_tree or filter.include_without_preview else True,
            attached=None if filter.include_attached_threads or attached_to else False,
        )

    def _places(self, cwds: Sequence[str]) -> list[str]:
        """These cwds as given, since recorded ones may be relative too, and as absolute paths."""
        return [spelling for cwd in cwds for spelling in (cwd, absolute_cwd(cwd, self._cwd))]

    def _known_id(self, reference: str | None) -> str | None:
        return None if reference is None else self._catalog.resolve(reference)

    def _ids(self, filter: ThreadFilter) -> set[str] | None:  # noqa: A002
        in_section = None if filter.section_id is None else set(self._catalog.in_section(filter.section_id))
        if filter.thread_ids is None:
            return in_section
        if (number := len(filter.thread_ids)) > _MOST_IDS:
            raise InvalidArgument(
                "thread_ids", f"{number} ids", f"it takes at most {_MOST_IDS}", "ask for the others in another call"
            )
        named = {self._catalog.resolve(reference) for reference in filter.thread_ids}
        return named if in_section is None else named & in_section

    def loaded(self, cursor: str | None, limit: int) -> LoadedListResult:
        """The ids of threads loaded in this process, sorted, after the cursor (an id, of a thread loaded or not)."""
        ids = self._loaded.ids()
        after = parse_id(cursor) if cursor is not None else ""
        if after is None:
            raise InvalidCursor(cursor or "")
        rest = [thread_id for thread_id in ids if thread_id > after]
        page = rest[: clamp_limit(limit)]
        more = len(rest) > len(page)
        return LoadedListResult(data=page, total=len(ids), next_cursor=page[-1] if more else None)

    # ------------------------------------------------------------------------------------------ one thread

    def read(self, params: ReadParams) -> ThreadReadResult:
        """One thread, with a page of its turns on request."""
        thread_id = self._catalog.resolve(params.thread_id)
        return self._catalog.retry_if_moved(thread_id, lambda: self._read(thread_id, params))

    def _read(self, thread_id: str, params: ReadParams) -> ThreadReadResult:
        stored = self._catalog.known(thread_id)
        if self._loaded.get(thread_id) is not None:
            (stored,) = self._catalog.with_facts([stored])
        if not params.include_turns:
            check_no_page(params)
            return ThreadReadResult(thread=self.view(stored))
        self._check_turns(thread_id)
        limit = clamp_limit(params.limit)
        newest = params.cursor is None and params.sort_direction == "desc"
        history = self._catalog.history(stored, last=limit if newest else 0)
        first, end = self._turn_range(history, params.cursor, params.sort_direction, limit)
        page = history.turns(first, end, params.items_view)
        more = end < history.checkpoint.turns
        if params.sort_direction == "desc":
            page, more = page[::-1], first > 0
        return ThreadReadResult(
            thread=self.view(stored, fit_answer(page)),
            total=history.checkpoint.turns,
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
        history = self._catalog.history(loaded.thread, last=limit)
        total = history.checkpoint.turns
        first = max(0, total - limit)
        page = history.turns(first, total, "full") if limit > 0 else []
        cursor = place_cursor(page[0].id, inclusive=False) if page and first else None
        return ThreadReadResult(thread=self.view(loaded.thread, fit_answer(page)), total=total, next_cursor=cursor)

    def turn_count(self, stored: StoredThread) -> int:
        return self._catalog.history(stored).checkpoint.turns

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
        begin, last, more = first, end - 1, end < total
        if params.sort_direction == "desc":
            page, begin, last, more = page[::-1], last, begin, first > 0
        return ItemsResult(
            thread_id=thread_id,
            data=[self._entry(turn_id, item, params, len(page)) for turn_id, item in page],
            total=total,
            next_cursor=_item_cursor(page[-1], start + last, inclusive=False) if more and page else None,
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
        return ItemEntry(turn_id=turn_id, item=shown, truncated=truncated)


def _item_cursor(entry: tuple[str, Item], number: int, *, inclusive: bool) -> str:
    turn_id, item = entry
    return item_cursor(ItemAnchor(turn_id, item.id, number, inclusive))


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


def _until(text: str | None) -> int | None:
    """A time in whole seconds includes its whole second, since threads show their times in seconds."""
    ms = _time("until", text)
    return ms + 999 if ms is not None and ms % 1000 == 0 else ms


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if (ms := parse_time(text)) is None:
        raise InvalidArgument(name, text, "it is not an RFC 3339 time", "pass one such as 2026-01-31T12:00:00Z")
    return ms
