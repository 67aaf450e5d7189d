"""Search in names and messages: the index names candidate places, and the rollouts decide what matches."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mcp_server.codex.drafts import Draft
from mcp_server.codex.files import rollout_of
from mcp_server.codex.injected import message_of
from mcp_server.codex.lines import MalformedLine, decode_line
from mcp_server.codex.texts import searchable
from mcp_server.errors import DamagedRollout, InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.history import TurnSpan
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import SearchParams
from mcp_server.models.results import SearchHit, SearchResult
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import TextPlace, TextQuery, ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.checks import only_thread
from mcp_server.threads.history import HistoryText, read_draft
from mcp_server.threads.partial_index import partial_indexes
from mcp_server.threads.reader import Reader
from mcp_server.threads.terms import Terms, parse_terms
from mcp_server.threads.turn_index import History

# Bounds one answer. It then says what was not searched, and its cursor continues there.
_SECONDS = 10.0
# Of these, the time for indexing histories that are not indexed yet.
_READING_SECONDS = 2.0
_UNREAD_BATCH = 1_000
# How many places are read together: at first as many as fill a page, then twice as many each time.
_MIN_PLACES, _MAX_PLACES = 16, 64
_FETCHED_BYTES = 128 << 10
# Ranks only so many of the newest matches, since each has to be read.
_MAX_RANKED = 200
_MAX_NAMES = 1_000
# Names so many unreadable files; the others are counted.
_MAX_UNREADABLE = 20
_CURSOR = re.compile(r"(?P<stage>[nat])(?P<place>-?\d{1,19})(?:#(?P<hit>\d{1,9}))?")
_RANK_CURSOR = re.compile(r"r(?P<skip>\d{1,9})")
# The least time for each text that a search begins, so that every call makes progress.
_TEXT_SECONDS = 1.0


class OutOfTime(Exception):
    """The deadline passed within a text."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, the cursor of a page that begins with it, and its score, if matches are ranked."""

    thread: StoredThread
    cursor: str
    snippet: str
    score: float = 0.0
    turn_id: str | None = None
    item_id: str | None = None

    @property
    def in_name(self) -> bool:
        return self.cursor.startswith("n")


@dataclass(slots=True)
class Search:
    """The state of one search. It asks a single `store`, even if the server switches to another meanwhile: a text that
    is in both would be found twice."""

    store: StateStore
    terms: Terms
    threads: ThreadQuery
    thread_id: str | None
    tools: bool
    ranked: bool
    batch: int
    deadline: float
    incomplete: list[str]
    unindexed: list[History] = field(default_factory=list[History])
    """Histories that are not in the store: of ephemeral threads, and new ones while the state DB can't be written."""
    resume_at: str | None = None
    """The cursor to continue from, if the search timed out."""
    text_deadline: float = 0.0
    """When the search in the current text ends."""
    _turn: tuple[str, TurnSpan, Draft | None] | None = None

    @property
    def timed_out(self) -> bool:
        return time.monotonic() > self.deadline

    def check(self) -> None:
        """Raises OutOfTime after the deadline of the current text."""
        if time.monotonic() > self.text_deadline:
            raise OutOfTime

    def begin_text(self) -> float:
        """Set the deadline of the next text. Returns the time now."""
        now = time.monotonic()
        self.text_deadline = max(self.deadline, now + _TEXT_SECONDS)
        return now

    def hit(self, thread: StoredThread, text: str) -> Hit | None:
        """The hit in a text, if it matches."""
        found = self.terms.find(text, self.check)
        if found is None:
            return None
        score = self.terms.score(text, self.check) if self.ranked else 0.0
        return Hit(thread, "", self.terms.snippet(text, found), score)

    def query(self, before: int | None) -> TextQuery:
        return TextQuery(self.terms.literals, self.threads, self.tools, self.thread_id, before, self.batch)

    def turn(self, text: HistoryText, span: TurnSpan, data: bytes | None = None) -> Draft | None:
        """A turn, parsed from its bytes. The last one is cached: consecutive places may be in the same turn."""
        if self._turn is None or self._turn[:2] != (text.thread.id, span):
            self._turn = (text.thread.id, span, read_draft(text, span, data))
        return self._turn[2]

    def report_incomplete(self, what: str) -> None:
        """Add a reason why the answer is incomplete, once."""
        if what not in self.incomplete:
            self.incomplete.append(what)


def hits_in_names(search: Search, named: Sequence[StoredThread], skip: int) -> list[Hit]:
    hits = ((n, search.hit(thread, thread.name or "")) for n, thread in enumerate(named) if n >= skip)
    return [replace(hit, cursor=f"n{n}") for n, hit in hits if hit is not None]


def hits_in_turn(
    search: Search, thread: StoredThread, span: TurnSpan, draft: Draft | None, lines: range | None = None
) -> list[Hit]:
    """The matching items of a turn, the last first: of all its lines, or of those at these offsets."""
    if draft is None:
        return []
    found: list[Hit] = []
    for key, item in draft.items.items():
        if lines is not None and draft.line_spans[key][0] not in lines:
            continue
        texts, by_tools = searchable(item)
        if (search.tools or not by_tools) and (hit := search.hit(thread, "\n".join(texts))):
            found.append(replace(hit, turn_id=span.turn_id, item_id=item.id))
    return found[::-1]


class Searcher:
    """Searches names, user and agent messages, plans and, on request, tool calls. A message matches if it contains all
    terms, in any case."""

    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    def search(self, params: SearchParams) -> SearchResult:
        """The matches: by time, names first, then texts from the newest on; or by rank, the best first.

        Raises:
            InvalidArgument: the search term is blank or too long, or a filter is invalid.
            InvalidCursor: the cursor is not one of this search.
        """
        return self._search(params, self._catalog.index(names=True), [])

    def early_search(self, params: SearchParams) -> SearchResult | None:
        """The search in the part of the index that the backfill has built, which says that it is incomplete; None if it
        must wait. One in a single thread does: its row may be missing."""
        for part in partial_indexes(self._catalog, params.filter):
            if part.store is self._catalog.building and params.thread_id is None:
                return self._search(params, part.store, [f"{part.note} so far, and were searched"])
        return None

    def _search(self, params: SearchParams, store: StateStore, incomplete: list[str]) -> SearchResult:
        terms = parse_terms(params.search_term)
        threads = replace(self._reader.query(params.filter), with_preview=None)
        if not params.filter.source_kinds:
            threads = replace(threads, source_kinds=None)
        thread_id = only_thread(self._catalog, params)
        if thread_id is not None:
            threads = ThreadQuery(archived=None, with_preview=None, attached=None)
        limit = clamp_limit(params.limit)
        ranked = params.sort_by == "rank"
        batch = min(max(_MAX_RANKED if ranked else limit + 1, _MIN_PLACES), _MAX_PLACES)
        deadline = time.monotonic() + _SECONDS
        tools = params.include_tool_calls
        search = Search(store, terms, threads, thread_id, tools, ranked, batch, deadline, incomplete)
        self._index_unread(search)
        unreadable = [] if thread_id else self._unreadable_reasons(store, params.filter.archived)
        if ranked:
            return self._ranked(search, params.cursor, limit, unreadable)
        hits: list[Hit] = []
        for hit in self._hits(search, params.cursor):
            hits.append(hit)
            if len(hits) > limit:
                break
        more = len(hits) > limit
        return SearchResult(
            data=self._shown(hits[:limit]),
            next_cursor=hits[limit].cursor if more else search.resume_at,
            total=None if more or params.cursor or search.incomplete else len(hits),
            incomplete=search.incomplete + unreadable,
        )

    def _unreadable_reasons(self, store: StateStore, archived: bool) -> list[str]:
        """The files that no search can read, with the reasons."""
        found = self._catalog.unreadable(store, archived=archived)
        named = [f"`{one.path}` {one.reason}" for one in found[:_MAX_UNREADABLE]]
        more = len(found) - len(named)
        return [*named, f"{more} more files can't be read; store_status names them"] if more else named

    def _ranked(self, search: Search, cursor: str | None, limit: int, unreadable: Sequence[str]) -> SearchResult:
        match = _RANK_CURSOR.fullmatch(cursor) if cursor is not None else None
        if cursor is not None and match is None:
            raise InvalidCursor(cursor)
        skip = int(match["skip"]) if match else 0
        hits: list[Hit] = []
        for hit in self._hits(search, None):
            if len(hits) == _MAX_RANKED:
                search.report_incomplete(f"only the {_MAX_RANKED} newest matches are ranked; sort by time shows all")
                break
            hits.append(hit)
        hits.sort(key=lambda hit: hit.score + hit.in_name, reverse=True)
        page = hits[skip : skip + limit]
        more = skip + limit < len(hits)
        return SearchResult(
            data=self._shown(page),
            next_cursor=f"r{skip + limit}" if more else None,
            total=None if search.incomplete else len(hits),
            incomplete=[*search.incomplete, *unreadable],
        )

    def _shown(self, hits: Sequence[Hit]) -> list[SearchHit]:
        threads = self._catalog.with_facts(list({hit.thread.id: hit.thread for hit in hits}.values()))
        views = {thread.id: self._reader.view(thread) for thread in threads}
        return [
            SearchHit(
                thread=views[hit.thread.id],
                turn_id=hit.turn_id,
                item_id=hit.item_id,
                snippet=hit.snippet,
            )
            for hit in hits
        ]

    # ------------------------------------------------------------------------------------------ indexing first

    def _index_unread(self, search: Search) -> None:
        """Index histories that changed since, so that the search finds them. What time does not allow is reported."""
        if search.thread_id is not None:
            self._index_thread(search, search.thread_id)
            return
        until = min(search.deadline, time.monotonic() + _READING_SECONDS)
        tried = set[str]()
        while unread := [i for i in search.store.unread(_UNREAD_BATCH + len(tried)) if i not in tried]:
            for thread_id in unread:
                if time.monotonic() > until:
                    left = max(1, search.store.progress().unread - len(tried))
                    search.report_incomplete(
                        f"{left} threads are not indexed yet and were not searched; store_status tells how far that is"
                    )
                    return
                tried.add(thread_id)
                self._index_thread(search, thread_id)

    def _index_thread(self, search: Search, thread_id: str) -> None:
        loaded = self._catalog.loaded.get(thread_id)
        if loaded is not None and not loaded.has_rollout:
            return  # it has no message yet
        try:
            history = self._catalog.history(self._catalog.known(thread_id), search.store)
        except ThreadstoreError as error:
            search.report_incomplete(str(error))
            return
        if history.store is not search.store:
            search.unindexed.append(history)

    # ------------------------------------------------------------------------------------------ matches

    def _hits(self, search: Search, cursor: str | None) -> Iterator[Hit]:
        stage, place, first = _parse_cursor(cursor)
        if stage == "n":
            for hit in self._in_names(search, place):
                yield hit
        if stage in "na":
            for hit in self._in_unindexed(search, place if stage == "a" else 0):
                yield hit
        before = place + 1 if stage == "t" else None
        while True:
            places = search.store.places(search.query(before))
            if not places:
                return
            fetched = self._read_together(places)
            for found in places:
                begun = search.begin_text()
                try:
                    hits = self._in_text(search, found, fetched.get(found.number))
                except OutOfTime:
                    hits = []
                    if search.deadline - begun > _SECONDS / 2:  # it would be too long the next time too
                        search.report_incomplete(f"a text of thread {found.thread.id} is too long to be searched")
                    else:
                        search.resume_at = f"t{found.number}" + (f"#{first}" if found.number == place else "")
                for number, hit in enumerate(hits):
                    if stage != "t" or found.number != place or number >= first:
                        yield hit
                if search.timed_out:
                    search.resume_at = search.resume_at or f"t{found.number - 1}"
                    search.report_incomplete("time was up before all texts were searched; go on with next_cursor")
                    return
            if len(places) < search.batch:
                return
            before, search.batch = places[-1].number, min(2 * search.batch, _MAX_PLACES)

    def _in_names(self, search: Search, skip: int) -> Iterator[Hit]:
        if search.thread_id is not None:
            named = [self._catalog.known(search.thread_id)]
        else:
            named = search.store.named(search.terms.literals, search.threads, _MAX_NAMES + 1)
        if len(named) > _MAX_NAMES:
            search.report_incomplete(f"of the threads whose names match, only the {_MAX_NAMES} last changed are shown")
        search.begin_text()
        try:
            yield from hits_in_names(search, named[:_MAX_NAMES], skip)
        except OutOfTime:
            search.report_incomplete("time was up before all names were searched")

    def _read_together(self, places: Sequence[TextPlace]) -> dict[int, bytes]:
        """The bytes of the turns of these places, by place number, read together. Turns that are large, compressed or
        spread over several rollouts are left out, and so are those that can't be read: they are read one by one."""
        pieces = {
            place.number: (rollout_of(place.thread), span.begin.start, span.end)
            for place in places
            if (span := place.span) is not None
            and span.end - span.begin.start <= _FETCHED_BYTES
            and (place.thread.history_base is None or place.thread.attached)
            and rollout_of(place.thread).is_text
        }
        read = self._catalog.rollouts.read_many(list(pieces.values())) if pieces else []
        return {n: data for n, data in zip(pieces, read, strict=True) if isinstance(data, bytes)}

    def _in_text(self, search: Search, place: TextPlace, data: bytes | None) -> list[Hit]:
        """The matching items of a place, the last first; none if its history has changed since."""
        try:
            if (span := place.span) is None:
                return self._between_turns(search, place)
            text, draft = self._turn(search, place.thread, span, data)
        except ThreadNotFound:
            return []  # deleted since
        except ThreadstoreError as error:
            search.report_incomplete(str(error))
            return []
        found = hits_in_turn(search, text.thread, span, draft, range(place.start, place.end))
        return [replace(hit, cursor=f"t{place.number}#{n}") for n, hit in enumerate(found)]

    def _between_turns(self, search: Search, place: TextPlace) -> list[Hit]:
        """The message between turns at a place, if it matches."""
        text = self._catalog.text(place.thread)
        (data,) = text.read([(place.start, place.end)])
        try:
            message = message_of(decode_line(data))
        except MalformedLine:  # the history has changed since
            return []
        hit = search.hit(place.thread, message)
        return [replace(hit, cursor=f"t{place.number}#0")] if hit is not None else []

    def _in_unindexed(self, search: Search, skip: int) -> Iterator[Hit]:
        """The matches in histories that are not in the store, the newest turns first."""
        number = 0
        for history in search.unindexed:
            for span in reversed(history.spans(0, history.checkpoint.turns)):
                draft = search.turn(history.text, span)
                hits: list[Hit] = []
                search.begin_text()
                with suppress(OutOfTime):
                    hits = hits_in_turn(search, history.text.thread, span, draft)
                for hit in hits:
                    if number >= skip:
                        yield replace(hit, cursor=f"a{number}")
                    number += 1
                if search.timed_out:
                    search.report_incomplete(f"time was up within thread {history.checkpoint.thread_id}")
                    return

    def _turn(
        self, search: Search, row: StoredThread, span: TurnSpan, data: bytes | None
    ) -> tuple[HistoryText, Draft | None]:
        """A turn, read at the row's path; if that fails, where a new look-up finds the thread."""
        try:
            text = self._catalog.text(row)
            return text, search.turn(text, span, data)
        except DamagedRollout:
            text = self._catalog.text(self._catalog.known(row.id))
            return text, search.turn(text, span)


def _parse_cursor(cursor: str | None) -> tuple[str, int, int]:
    """The stage ("n" names, "a" histories that are not in the store, "t" texts), the place in it, and the number of the
    match at that place to begin with."""
    if cursor is None:
        return "n", 0, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidCursor(cursor)
    return match["stage"], int(match["place"]), int(match["hit"] or 0)
