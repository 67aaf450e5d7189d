"""Search in names and messages: the index of words ranks threads, that of trigrams finds parts of words and code, and
the rollouts decide what matches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from msgspec import UNSET

from mcp_server.codex.drafts import Draft
from mcp_server.codex.files import rollout_of
from mcp_server.codex.injected import message_of
from mcp_server.codex.lines import MalformedLine, decode_line
from mcp_server.codex.texts import searchable
from mcp_server.errors import DamagedRollout, InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.counting import counted
from mcp_server.models.history import TurnSpan
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import SearchParams
from mcp_server.models.results import NoMatch, Passage, SearchResult, SearchRow, WordCount
from mcp_server.models.thread import StoredThread, Thread
from mcp_server.models.words import words_of
from mcp_server.storage.contracts import State
from mcp_server.storage.lookup import Lookup
from mcp_server.storage.query import TextPlace, TextQuery, ThreadQuery, WordQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.checks import only_thread
from mcp_server.threads.history import HistoryText, read_draft
from mcp_server.threads.ranking import Candidate, Candidates, bm25, most, total, weight
from mcp_server.threads.reader import Reader
from mcp_server.threads.search_bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.terms import PART, Found, Group, Snippet, Term, Terms, parse_terms
from mcp_server.threads.turn_index import History

_UNREAD_BATCH = 1_000
# How many places are read together: at first as many as fill a page, then twice as many each time.
_MIN_PLACES, _MAX_PLACES = 16, 64
_FETCHED_BYTES = 128 << 10
# So many threads are read before they are ranked, this many texts of each at first; those below stay as the index ranks
# them.
_READ_FIRST, _TEXTS_OF_EACH = 30, 2
_MAX_THREADS = 1_000
# A literal is looked for in so many texts at most, the newest.
_MAX_PLACES_OF_LITERAL = 500
_FEW_THREADS = 300
_MANY_TEXTS = 20_000  # of so many texts a literal is taken to be in some
_MAX_PASSAGES, _COMPLETED = 3, 5
_MAX_NAMES = 1_000
# Names so many unreadable files; the others are counted.
_MAX_UNREADABLE = 20
_CURSOR = re.compile(r"(?P<stage>[nat])(?P<place>-?\d{1,19})(?:#(?P<hit>\d{1,9}))?")
# Of threads as their texts rank them (r), as the index does (i: once time was up), by time (u).
_RANK_CURSORS = {
    "rank": re.compile(r"(?P<by>[ri])(?P<skip>\d{1,9})"),
    "time": re.compile(r"(?P<by>u)(?P<skip>\d{1,9})"),
}


class OutOfTime(Exception):
    """The deadline passed within a text."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who waits for a search. `progress` is told how many histories were read of those that have to be, `stopped` tells
    whether the answer is still wanted, `patient` that the caller sees progress and so waits longer."""

    progress: Callable[[int, int], None] = lambda done, found: None
    stopped: Callable[[], bool] = lambda: False
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, and the cursor of a page that begins with it."""

    thread: StoredThread
    cursor: str
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An item, a message between turns or a name, and what it counts for each group."""

    values: tuple[float, ...]
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


@dataclass(slots=True)
class Row:
    """A thread that answers, with what was read of it."""

    candidate: Candidate
    thread: StoredThread
    said: list[Said] = field(default_factory=list[Said])
    read: set[int] = field(default_factory=set[int])
    score: float = 0.0

    def holds(self, group: int, *, confirmed: bool) -> bool:
        """Whether it holds a group: as the index tells, or as what was read has `confirmed`."""
        if self.candidate.named[group] or any(said.values[group] for said in self.said):
            return True
        return not confirmed and self.candidate.levels[group] > 0


@dataclass(slots=True)
class Ranking:
    """The threads that may answer, the best first, and what is known of the groups: their weights, whether they are
    looked for as `parts` of words, whether what the index tells of them must be confirmed. `complete` is false where
    threads may be left out, `whole` where some of these may hold all groups."""

    candidates: list[Candidate]
    weights: list[float]
    parts: list[bool]
    literal: list[bool]
    threads_with: list[int]
    complete: bool
    whole: bool
    rows: dict[str, Row] = field(default_factory=dict[str, Row])

    @property
    def has_full(self) -> bool:
        return any(one.is_full for one in self.candidates)

    @property
    def held(self) -> int:
        """How many groups the best candidate holds."""
        return max((one.held for one in self.candidates), default=0)


@dataclass(slots=True)
class Search:
    """The state of one search. It asks a single `store`, even if the server switches to another meanwhile: a text that
    is in both would be found twice."""

    store: State
    terms: Terms
    threads: ThreadQuery
    thread_id: str | None
    tools: bool
    batch: int
    deadline: float
    incomplete: list[str]
    watch: Watch = Watch()
    bounds: SearchBounds = SEARCH_BOUNDS
    unindexed: list[History] = field(default_factory=list[History])
    """Histories that are not in the store: of ephemeral threads, and new ones while the state DB can't be written."""
    resume_at: str | None = None
    """The cursor to continue from, if the search timed out."""
    text_deadline: float = 0.0
    """When the search in the current text ends."""
    _turn: tuple[str, TurnSpan, Draft | None] | None = None

    @property
    def timed_out(self) -> bool:
        return time.monotonic() > self.deadline or self.watch.stopped()

    def check(self) -> None:
        """Raises OutOfTime after the deadline of the current text, or once nobody waits any more."""
        if time.monotonic() > self.text_deadline or self.watch.stopped():
            raise OutOfTime

    def begin_text(self) -> float:
        """Set the deadline of the next text. Returns the time now."""
        now = time.monotonic()
        self.text_deadline = max(self.deadline, now + self.bounds.text_seconds)
        return now

    def hit(self, thread: StoredThread, text: str) -> Hit | None:
        """The hit in a text, if it matches."""
        found = self.terms.find(text, self.check)
        if found is None:
            return None
        return Hit(thread, "", self.terms.snippet(text, found))

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


def texts_in(draft: Draft | None, *, tools: bool, lines: range | None = None) -> Iterator[tuple[str, str]]:
    """The items of a turn that are searched, with their ids: of all its lines, or of those at these offsets."""
    if draft is None:
        return
    for key, item in draft.items.items():
        if lines is None or draft.line_spans[key][0] in lines:
            texts, by_tools = searchable(item)
            if texts and (tools or not by_tools):
                yield item.id, "\n".join(texts)


def hits_in_turn(
    search: Search, thread: StoredThread, span: TurnSpan, draft: Draft | None, lines: range | None = None
) -> list[Hit]:
    """The matching items of a turn, the last first: of all its lines, or of those at these offsets."""
    found = [
        replace(hit, turn_id=span.turn_id, item_id=item_id)
        for item_id, text in texts_in(draft, tools=search.tools, lines=lines)
        if (hit := search.hit(thread, text)) is not None
    ]
    return found[::-1]


class Searcher:
    """Searches names, user and agent messages, plans, and tool calls where these are asked for or nothing else fits."""

    def __init__(self, catalog: Catalog, reader: Reader, bounds: SearchBounds = SEARCH_BOUNDS) -> None:
        self._catalog, self._reader, self.bounds = catalog, reader, bounds

    def search(self, params: SearchParams, watch: Watch = Watch()) -> SearchResult:
        """The threads that answer, the best or the newest first. Within one thread, its matching items, the newest
        first.

        Raises:
            InvalidArgument: the search term is blank or too long, or a filter is invalid.
            InvalidCursor: the cursor is not one of this search.
        """
        return self._search(params, self._catalog.lookup, [], watch)

    def early_search(self, params: SearchParams) -> SearchResult | None:
        """The search in the part of the index that the backfill has built, which says that it is incomplete; None if it
        must wait. One in a single thread does: its row may be missing."""
        for part in self._catalog.early(params.filter):
            if part.grows and params.thread_id is None:
                return self._search(params, part.lookup, [f"{part.note} so far, and were searched"], Watch())
        return None

    def _search(self, params: SearchParams, lookup: Lookup, incomplete: list[str], watch: Watch) -> SearchResult:
        store = lookup.index(names=True)
        terms = parse_terms(params.search_term)
        threads = replace(self._reader.query(params.filter, store.cwds), with_preview=None)
        if not params.filter.source_kinds:
            threads = replace(threads, source_kinds=None)
        thread_id = only_thread(self._catalog, params)
        if thread_id is not None:
            threads = ThreadQuery(archived=None, with_preview=None, attached=None)
        limit = clamp_limit(params.limit)
        batch = min(max(limit + 1, _MIN_PLACES), _MAX_PLACES)
        bounds = self.bounds
        deadline = time.monotonic() + bounds.seconds
        search = Search(
            store, terms, threads, thread_id, params.include_tool_calls, batch, deadline, incomplete, watch, bounds
        )
        self._index_unread(search)
        search.deadline = time.monotonic() + bounds.seconds if watch.patient else deadline
        if thread_id is not None:
            found = self._within(search, thread_id, params.cursor, limit)
            if found.data or params.cursor is not None or found.next_cursor or search.incomplete:
                return found
        unreadable = [] if thread_id else _unreadable_reasons(lookup, params.filter.archived)
        return self._over_threads(search, params, limit, unreadable)

    # ------------------------------------------------------------------------------------------ one thread

    def _within(self, search: Search, thread_id: str, cursor: str | None, limit: int) -> SearchResult:
        """The matching items of one thread, as the passages of its row."""
        hits: list[Hit] = []
        for hit in self._hits(search, cursor):
            hits.append(hit)
            if len(hits) > limit:
                break
        more = len(hits) > limit
        shown = [_passage(hit.snippet, hit.turn_id, hit.item_id) for hit in hits[:limit]]
        return SearchResult(
            data=[SearchRow(thread=self._view(self._catalog.known(thread_id)), passages=shown)] if shown else [],
            next_cursor=hits[limit].cursor if more else search.resume_at,
            total=None if more or cursor or search.incomplete else len(hits),
            cursors=[hit.cursor for hit in hits[1:]],
            within=True,
            incomplete=search.incomplete,
        )

    # ------------------------------------------------------------------------------------------ all threads

    def _over_threads(
        self, search: Search, params: SearchParams, limit: int, unreadable: Sequence[str]
    ) -> SearchResult:
        by, skip = _place_in(params)
        notes: list[str] = []
        ranking = self._rank(search)
        unindexed = self._unindexed_rows(search, ranking)
        if not search.tools and not ranking.has_full and not unindexed:
            search.tools = True
            with_tools = self._rank(search)
            if with_tools.held > ranking.held:
                ranking = with_tools
                notes.append("no message holds all of it, so tool calls and their outputs are included")
            else:
                search.tools = False
        notes += [
            f"no word begins with {word}, so parts of words are shown"
            for word, as_part in zip(search.terms.words, ranking.parts, strict=True)
            if as_part
        ]
        rows, rest = unindexed, _newest_first(ranking.candidates) if by == "u" else ranking.candidates
        if by == "r":
            rows, rest = self._best(search, ranking, unindexed)
            if search.timed_out:  # then what was read is shown, and the rest follows, as the index ranks them
                by, rows, rest = "i", unindexed, ranking.candidates
        page, position = rows[skip : skip + limit], max(skip, len(rows))
        following = skip + len(page)
        ends = list(range(skip + 1, following + 1))
        while len(page) < limit and position < len(rows) + len(rest) and not (search.timed_out and position > skip):
            taken = rest[position - len(rows) :][: limit - len(page)]
            confirmed, done = self._confirmed(search, ranking, taken)
            page += confirmed
            place_of = {one.thread_id: position + n for n, one in enumerate(taken, start=1)}
            ends += [place_of[row.candidate.thread_id] for row in confirmed]
            position += done
            following = position
        more = following < len(rows) + len(rest)
        if more and search.timed_out:
            search.report_incomplete("time was up before all threads were read; go on with next_cursor")
        if page and not more and not ranking.whole:
            search.report_incomplete("older threads hold such words too; name another word, or bound the time by until")
        exact = ranking.complete and not any(ranking.literal)
        count = len(rows) + len(rest) if exact else len(page)
        data = self._rows(search, ranking, page)
        return SearchResult(
            data=data,
            next_cursor=f"{by}{following}" if more else None,
            total=None if search.incomplete or (not exact and (more or skip)) else count,
            notes=notes if data else [],
            incomplete=[*search.incomplete, *unreadable],
            no_match=UNSET if data or skip or search.incomplete else self._no_match(search, ranking),
            cursors=[f"{by}{end}" for end in ends],
        )

    def _rank(self, search: Search) -> Ranking:
        """The threads that hold all groups or most of them, as the index tells."""
        terms, store = search.terms, search.store
        count = len(terms.groups)
        candidates = Candidates(count)
        asked = [(n, term.forms) for n, group in enumerate(terms.groups) for term in group if term.forms]
        shares = [0.0] * count
        complete = whole = True
        if asked:
            query = WordQuery(tuple(forms for _, forms in asked), search.threads, search.tools, search.thread_id)
            found = store.find_words(query)
            candidates.add(store, found, [n for n, _ in asked])
            for (n, _), share in zip(asked, found.shares, strict=True):
                shares[n] += share
            complete, whole = found.complete, found.whole
        parts, literal = [False] * count, [False] * count
        for n, group in enumerate(terms.groups):
            known = any(one.holds(n) for one in candidates.values())
            for term in group:
                if term.forms and known:
                    continue
                literal[n] = True
                places, all_of_them = self._add_literal(search, candidates, n, term)
                shares[n] += places / _MANY_TEXTS
                complete = complete and all_of_them
            parts[n] = not known and bool(group[0].forms) and any(one.holds(n) for one in candidates.values())
        threads_with = [sum(one.holds(n) for one in candidates.values()) for n in range(count)]
        weights = [weight(share) for share in shares]
        enough = [one for one in candidates.values() if one.held >= most(count)]
        enough.sort(key=lambda one: (one.is_full, one.score(weights), max(one.texts, default=0)), reverse=True)
        enough = self._without(search, enough)
        return Ranking(enough, weights, parts, literal, threads_with, complete, whole)

    def _add_literal(self, search: Search, candidates: Candidates, group: int, term: Term) -> tuple[int, bool]:
        """Look for a literal with the index of trigrams. Returns in how many texts it may be, and whether these are
        all."""
        store, threads = search.store, search.threads
        if search.thread_id is None and 0 < len(candidates) <= _FEW_THREADS and len(search.terms.groups) == 2:
            threads = replace(threads, ids=[one.thread_id for one in candidates.values()])
        query = TextQuery(term.literals, threads, search.tools, search.thread_id, limit=_MAX_PLACES_OF_LITERAL + 1)
        places = store.places(query)
        for place in places[:_MAX_PLACES_OF_LITERAL]:
            candidates.of(store, place.thread.id).add_text(place.number, group, PART)
        named = [] if search.thread_id else store.named(term.literals, threads, _MAX_NAMES)
        for thread in named:
            if next(term.matches(thread.name or "", _never), None) is not None:
                candidates.of(store, thread.id).named[group] = PART if term.forms else 1.0
        if whole := len(places) <= _MAX_PLACES_OF_LITERAL:
            return len(places), whole
        search.report_incomplete(f"of the texts that may hold {term.typed}, only the newest were looked at")
        return len(places), whole

    def _without(self, search: Search, candidates: list[Candidate]) -> list[Candidate]:
        """Those that hold none of what is not wanted."""
        if not search.terms.without or not candidates:
            return candidates
        del candidates[_MAX_THREADS:]
        store, threads = search.store, replace(search.threads, ids=[one.thread_id for one in candidates])
        unwanted: set[str] = set()
        words = tuple(term.forms[:1] for term in search.terms.without if term.forms)
        if words:
            found = store.find_words(WordQuery(words, threads, search.tools, search.thread_id))
            unwanted |= {hit.thread_id for hit in found.hits}
        for term in search.terms.without:
            if term.forms:
                continue
            places = store.places(
                TextQuery(term.literals, threads, search.tools, search.thread_id, limit=_MAX_PLACES_OF_LITERAL)
            )
            for place, texts in self._texts_at(search, places):
                search.begin_text()
                with suppress(OutOfTime):
                    if any(next(term.matches(text, search.check), None) for _, _, text in texts):
                        unwanted.add(place.thread.id)
        return [one for one in candidates if one.thread_id not in unwanted]

    # ------------------------------------------------------------------------------------------ reading

    def _best(self, search: Search, ranking: Ranking, unindexed: Sequence[Row]) -> tuple[list[Row], list[Candidate]]:
        """The best threads as what they say ranks them, and the others as the index does."""
        first, rest = ranking.candidates[:_READ_FIRST], ranking.candidates[_READ_FIRST:]
        rows = [*unindexed, *self._confirmed(search, ranking, first)[0]]
        for row in rows:
            row.score = self._score(ranking, row)
        full = {id(row): self._held(ranking, row) for row in rows}
        count = len(ranking.weights)
        rows.sort(
            key=lambda row: (full[id(row)] == count, round(row.score, 3), row.thread.updated_at_ms, row.thread.id),
            reverse=True,
        )
        return rows, rest

    def _held(self, ranking: Ranking, row: Row) -> int:
        """How many groups a row holds."""
        return sum(row.holds(n, confirmed=literal) for n, literal in enumerate(ranking.literal))

    def _score(self, ranking: Ranking, row: Row) -> float:
        count = len(ranking.weights)
        texts = [sum(1 for held in row.candidate.texts.values() if held[n]) for n in range(count)]
        items = [said.values[:count] for said in row.said]
        return total(ranking.weights, items, row.candidate.named, row.candidate.first, texts)

    def _confirmed(self, search: Search, ranking: Ranking, candidates: Sequence[Candidate]) -> tuple[list[Row], int]:
        """The rows of these candidates that hold most groups indeed, and of how many candidates that is known: of all,
        unless time was up, and of one at least."""
        threads = search.store.get_many([one.thread_id for one in candidates])
        rows = [
            ranking.rows.setdefault(one.thread_id, Row(one, threads[one.thread_id]))
            for one in candidates
            if one.thread_id in threads
        ]
        self._read(search, ranking, [row for row in rows if not row.read], _TEXTS_OF_EACH)
        needed, found = most(len(ranking.weights)), list[Row]()
        for row in rows:
            # What the index of trigrams found may not be there: look on until it is.
            while (
                self._held(ranking, row) < needed and len(row.read) < len(row.candidate.texts) and not search.timed_out
            ):
                self._read(search, ranking, [row], 4)
            if row.candidate.texts and not row.read and row is not rows[0]:
                return found, candidates.index(row.candidate)
            if self._held(ranking, row) >= needed and (row.said or any(row.candidate.named)):
                found.append(row)
        return found, len(candidates)

    def _read(self, search: Search, ranking: Ranking, rows: Sequence[Row], texts: int) -> None:
        """Read the best texts of these rows that are not read yet, as far as time allows, one at least."""
        of = {number: row for row in rows for number in row.candidate.best_texts(ranking.weights, texts, row.read)}
        places = search.store.places(TextQuery((), search.threads, numbers=list(of)))
        for gone in of.keys() - {place.number for place in places}:
            of[gone].read.add(gone)
        for place, found in self._texts_at(search, places):
            row = of[place.number]
            row.read.add(place.number)
            search.begin_text()
            try:
                row.said += [said for said in (self._said(search, ranking, *one) for one in found) if said is not None]
            except OutOfTime:
                search.report_incomplete(f"a text of thread {place.thread.id} is too long to be searched")

    def _said(
        self, search: Search, ranking: Ranking, turn_id: str | None, item_id: str | None, text: str
    ) -> Said | None:
        found = search.terms.found_in(text, search.check, ranking.parts)
        if not any(found):
            return None
        values = tuple(bm25(one, len(text)) for one in found)
        best = max((one for one in found if one), key=lambda one: one.level)
        snippet = search.terms.snippet(text, _window(text, [one for one in found if one], best), ranking.parts)
        return Said(values, snippet, turn_id, item_id)

    def _texts_at(
        self, search: Search, places: Sequence[TextPlace]
    ) -> Iterator[tuple[TextPlace, list[tuple[str | None, str | None, str]]]]:
        """The texts at places: turn, item, and what it says."""
        for first in range(0, len(places), _MAX_PLACES):
            some = places[first : first + _MAX_PLACES]
            fetched = self._read_together(some)
            for n, place in enumerate(some):
                if first + n and search.timed_out:
                    return
                yield place, self._texts_of(search, place, fetched.get(place.number))

    def _texts_of(
        self, search: Search, place: TextPlace, data: bytes | None
    ) -> list[tuple[str | None, str | None, str]]:
        try:
            if place.span is None:
                message = self._message(place)
                return [] if message is None else [(None, None, message)]
            _, draft = self._turn(search, place.thread, place.span, data)
        except ThreadNotFound:
            return []  # deleted since
        except ThreadstoreError as error:
            search.report_incomplete(str(error))
            return []
        lines = range(place.start, place.end)
        return [
            (place.span.turn_id, item_id, text) for item_id, text in texts_in(draft, tools=search.tools, lines=lines)
        ]

    def _unindexed_rows(self, search: Search, ranking: Ranking) -> list[Row]:
        """The rows of histories that are not in the store, all of each read."""
        rows: list[Row] = []
        groups = search.terms.groups
        for history in search.unindexed:
            thread = history.text.thread
            candidate = Candidate.of(thread.id, history.store, len(groups))
            row = Row(candidate, thread)
            unwanted = False
            for number, span in enumerate(reversed(history.spans(0, history.checkpoint.turns)), start=1):
                draft = search.turn(history.text, span)
                search.begin_text()
                with suppress(OutOfTime):
                    for item_id, text in texts_in(draft, tools=search.tools):
                        said = self._said(search, ranking, span.turn_id, item_id, text)
                        unwanted |= any(
                            next(t.matches(text, search.check, parts=False), None) for t in search.terms.without
                        )
                        if said is None:
                            continue
                        row.said.append(said)
                        for group, value in enumerate(said.values):
                            if value:
                                candidate.add_text(-number, group, 1.0)
                if search.timed_out:
                    search.report_incomplete(f"time was up within thread {thread.id}")
                    break
            if not unwanted and candidate.held >= most(len(groups)):
                rows.append(row)
        return rows

    # ------------------------------------------------------------------------------------------ showing

    def _rows(self, search: Search, ranking: Ranking, rows: Sequence[Row]) -> list[SearchRow]:
        self._complete_passages(search, ranking, rows)
        facts = {one.id: one for one in self._catalog.with_facts([row.thread for row in rows])}
        shown: list[SearchRow] = []
        for row in rows:
            missing = [
                word for n, word in enumerate(search.terms.words) if not row.holds(n, confirmed=ranking.literal[n])
            ]
            passages = [
                _passage(said.snippet, said.turn_id, said.item_id) for said in _best_said(row, ranking.weights)
            ] or [_passage(self._marked_name(search, row.thread))]
            view = self._reader.view(facts[row.thread.id])
            shown.append(SearchRow(thread=view, passages=passages, missing=missing or UNSET))
        return shown

    def _complete_passages(self, search: Search, ranking: Ranking, rows: Sequence[Row]) -> None:
        """Read on in the first rows, where there are passages to show still."""
        lacking = [
            row
            for row in rows[:_COMPLETED]
            if row.candidate.store is search.store and len(row.read) < len(row.candidate.texts) and len(row.said) < 2
        ]
        if lacking and not search.timed_out:
            self._read(search, ranking, lacking, 1)

    def _marked_name(self, search: Search, thread: StoredThread) -> Snippet:
        name = thread.name or ""
        found = [one for one in search.terms.found_in(name) if one]
        plain = [one for one in search.terms.found_in(name, parts=[True] * len(search.terms.groups)) if one]
        best = (found or plain or [None])[0]
        return (
            search.terms.snippet(name, (best.start, best.end), [not found] * len(search.terms.groups))
            if best
            else Snippet(" ".join(name.split()))
        )

    def _view(self, thread: StoredThread) -> Thread:
        return self._reader.view(self._catalog.with_facts([thread])[0])

    def _no_match(self, search: Search, ranking: Ranking) -> NoMatch:
        """What may help where nothing answers: how many threads each word has, the nearest words, what was left out.
        Tool calls were looked through already."""
        words = [
            WordCount(word=word, threads=count, nearest=UNSET if count else self._nearest(search, group) or UNSET)
            for word, count, group in zip(search.terms.words, ranking.threads_with, search.terms.groups, strict=True)
        ]
        return NoMatch(words=words, elsewhere=self._elsewhere(search, ranking) or UNSET)

    def _elsewhere(self, search: Search, ranking: Ranking) -> dict[str, int]:
        """How many archived threads hold all words, of a search in active ones, and the other way round."""
        archived = search.threads.archived
        if search.thread_id is not None or archived is None:
            return {}
        turned = replace(search, threads=replace(search.threads, archived=not archived), incomplete=[])
        for group, count in zip(search.terms.groups, ranking.threads_with, strict=True):
            # What is nowhere is known soon; looking for the others would take long where they are common.
            if not count and not self._rank(replace(turned, terms=Terms((group,)))).candidates:
                return {}
        found = sum(one.is_full for one in self._rank(turned).candidates)
        return {"active" if archived else "archived": found} if found else {}

    def _nearest(self, search: Search, group: Group) -> list[str]:
        """Known words that are written much like one that nothing holds."""
        found: list[str] = []
        for term in group:
            for word in words_of(term.typed)[:1]:
                turned = word[1::-1] + word[2:]
                known = {*search.store.words_like(word), *(search.store.words_like(turned) if len(word) > 3 else ())}
                found += get_close_matches(word, known - {word}, n=3, cutoff=0.75)
        return found[:3]

    # ------------------------------------------------------------------------------------------ indexing first

    def _index_unread(self, search: Search) -> None:
        """Index histories that changed since, so that the search finds them. What time does not allow is reported."""
        if search.thread_id is not None:
            self._index_thread(search, search.thread_id)
            return
        bounds = search.bounds
        until = time.monotonic() + (bounds.patient_seconds if search.watch.patient else bounds.reading_seconds)
        tried, count = set[str](), 0
        while unread := [i for i in search.store.unread(_UNREAD_BATCH + len(tried)) if i not in tried]:
            count = count or search.store.progress().unread
            for thread_id in unread:
                if time.monotonic() > until or search.watch.stopped():
                    left = max(1, count - len(tried))
                    threads = counted(left, "thread is", "threads are")
                    search.report_incomplete(
                        f"{threads} not indexed yet, so not searched; store_status tells how far that is"
                    )
                    return
                tried.add(thread_id)
                self._index_thread(search, thread_id)
                search.watch.progress(len(tried), max(count, len(tried)))

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
                    if search.deadline - begun > search.bounds.seconds / 2:  # it would be too long the next time too
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
        message = self._message(place)
        hit = None if message is None else search.hit(place.thread, message)
        return [replace(hit, cursor=f"t{place.number}#0")] if hit is not None else []

    def _message(self, place: TextPlace) -> str | None:
        """The message between turns at a place; None if the history has changed since."""
        text = self._catalog.text(place.thread)
        (data,) = text.read([(place.start, place.end)])
        try:
            return message_of(decode_line(data))
        except MalformedLine:
            return None

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


def _unreadable_reasons(lookup: Lookup, archived: bool) -> list[str]:
    """The files that no search can read, with the reasons."""
    found = lookup.unreadable(archived=archived)
    named = [f"`{one.path}` {one.reason}" for one in found[:_MAX_UNREADABLE]]
    more = len(found) - len(named)
    return [*named, f"{counted(more, 'more file')} can't be read; store_status names them"] if more else named


def _parse_cursor(cursor: str | None) -> tuple[str, int, int]:
    """The stage ("n" names, "a" histories that are not in the store, "t" texts), the place in it, and the number of the
    match at that place to begin with."""
    if cursor is None:
        return "n", 0, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidCursor(cursor)
    return match["stage"], int(match["place"]), int(match["hit"] or 0)


def _place_in(params: SearchParams) -> tuple[str, int]:
    """The order that the cursor belongs to, and how many rows it passes over."""
    if params.cursor is None:
        return ("r" if params.sort_by == "rank" else "u"), 0
    match = _RANK_CURSORS[params.sort_by].fullmatch(params.cursor)
    if match is None:
        raise InvalidCursor(params.cursor)
    return match["by"], int(match["skip"])


def _newest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By the newest text that holds something; those whose names alone do first."""
    return sorted(candidates, key=lambda one: max(one.texts, default=1 << 62), reverse=True)


def _never() -> None:
    """A check that lets everything go on."""


def _ids(turn_id: str | None, item_id: str | None) -> dict[str, str]:
    return {name: value for name, value in (("turn_id", turn_id), ("item_id", item_id)) if value is not None}


def _passage(snippet: Snippet, turn_id: str | None = None, item_id: str | None = None) -> Passage:
    return Passage(text=snippet.text, signs=list(snippet.signs) or UNSET, **_ids(turn_id, item_id))


def _window(text: str, found: Sequence[Found], best: Found) -> tuple[int, int]:
    """Where a snippet is cut out: around the best match, with the others where they are near."""
    near = [one for one in found if abs(one.start - best.start) < 160]
    return min(one.start for one in near), max(one.end for one in near)


def _best_said(row: Row, weights: Sequence[float]) -> list[Said]:
    """The best passages of a row: the best one, those that add what it lacks, and others nearly as good."""

    def value(said: Said) -> float:
        return sum(one * worth for one, worth in zip(said.values, weights, strict=True))

    left = sorted(row.said, key=value, reverse=True)
    chosen: list[Said] = []
    covered: set[int] = set()
    for said in left:
        held = {n for n, one in enumerate(said.values) if one}
        if not chosen or not held <= covered:
            chosen.append(said)
            covered |= held
    good = value(left[0]) * 0.6 if left else 0.0
    chosen += [said for said in left if said not in chosen and value(said) >= good]
    return chosen[:_MAX_PASSAGES]
