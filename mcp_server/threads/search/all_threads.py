"""The threads that answer a search, the best or the newest first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET

from mcp_server.errors import InvalidCursor
from mcp_server.models.params import SearchParams
from mcp_server.models.results import SearchResult, SearchRow
from mcp_server.models.thread import StoredThread
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.search.candidates import Ranker
from mcp_server.threads.search.no_match import no_match
from mcp_server.threads.search.ranking import Candidate
from mcp_server.threads.search.reading import RowReader
from mcp_server.threads.search.rows import Ranking, Row, best_said, passage
from mcp_server.threads.search.state import Search
from mcp_server.threads.search.terms import Snippet
from mcp_server.threads.search.texts import Texts

# Of threads as their texts rank them (r), as the index does (i: once time was up), by time (u).
_CURSORS = {
    "rank": re.compile(r"(?P<by>[ri])(?P<skip>\d{1,9})"),
    "time": re.compile(r"(?P<by>u)(?P<skip>\d{1,9})"),
}


@dataclass(frozen=True, slots=True)
class _Page:
    """Rows, with the place behind each, and the place that the next page begins at."""

    rows: list[Row]
    ends: list[int]
    following: int


class AllThreads:
    """Ranks threads by the indexes, reads the best of them, and shows a page."""

    def __init__(self, catalog: Catalog, reader: Reader, texts: Texts) -> None:
        self._catalog, self._reader = catalog, reader
        self._ranker, self._rows = Ranker(texts), RowReader(texts)

    def search(self, search: Search, params: SearchParams, limit: int, unreadable: Sequence[str]) -> SearchResult:
        by, skip = _place_in(params)
        ranking, unindexed, notes = self._ranked(search)
        rows, rest = unindexed, _newest_first(ranking.candidates) if by == "u" else ranking.candidates
        if by == "r":
            rows, rest = self._rows.best(search, ranking, unindexed)
            if search.timed_out:  # then what was read is shown, and the rest follows, as the index ranks them
                by, rows, rest = "i", unindexed, ranking.candidates
        page = self._page(search, ranking, rows, rest, skip, limit)
        more = page.following < len(rows) + len(rest)
        if more and search.timed_out:
            search.report_incomplete("time was up before all threads were read; go on with next_cursor")
        if page.rows and not more and not ranking.whole:
            search.report_incomplete("older threads hold such words too; name another word, or bound the time by until")
        exact = ranking.complete and not any(ranking.literal)
        count = len(rows) + len(rest) if exact else len(page.rows)
        data = self._shown(search, ranking, page.rows)
        return SearchResult(
            data=data,
            next_cursor=f"{by}{page.following}" if more else None,
            total=None if search.incomplete or (not exact and (more or skip)) else count,
            notes=notes if data else [],
            incomplete=[*search.incomplete, *unreadable],
            no_match=UNSET if data or skip or search.incomplete else no_match(search, ranking, self._ranker.rank),
            cursors=[f"{by}{end}" for end in page.ends],
        )

    def _ranked(self, search: Search) -> tuple[Ranking, list[Row], list[str]]:
        """What may answer, the rows of histories that no index has, and notes on how it was looked for. Where no
        message holds all, tool calls are included, if they help."""
        notes: list[str] = []
        ranking = self._ranker.rank(search)
        unindexed = self._rows.unindexed(search, ranking)
        if not search.tools and not ranking.has_full and not unindexed:
            search.tools = True
            with_tools = self._ranker.rank(search)
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
        return ranking, unindexed, notes

    def _page(
        self, search: Search, ranking: Ranking, rows: Sequence[Row], rest: Sequence[Candidate], skip: int, limit: int
    ) -> _Page:
        """A page of the rows that were read, and of the rest, which is read for it."""
        page, position = list(rows[skip : skip + limit]), max(skip, len(rows))
        following = skip + len(page)
        ends = list(range(skip + 1, following + 1))
        while len(page) < limit and position < len(rows) + len(rest) and not (search.timed_out and position > skip):
            taken = rest[position - len(rows) :][: limit - len(page)]
            confirmed, done = self._rows.confirmed(search, ranking, taken)
            page += confirmed
            place_of = {one.thread_id: position + n for n, one in enumerate(taken, start=1)}
            ends += [place_of[row.candidate.thread_id] for row in confirmed]
            position += done
            following = position
        return _Page(page, ends, following)

    def _shown(self, search: Search, ranking: Ranking, rows: Sequence[Row]) -> list[SearchRow]:
        self._rows.complete_passages(search, ranking, rows)
        facts = {one.id: one for one in self._catalog.with_facts([row.thread for row in rows])}
        shown: list[SearchRow] = []
        for row in rows:
            missing = [
                word for n, word in enumerate(search.terms.words) if not row.holds(n, confirmed=ranking.literal[n])
            ]
            passages = [
                passage(said.snippet, said.turn_id, said.item_id) for said in best_said(row, ranking.weights)
            ] or [passage(self._marked_name(search, row.thread))]
            view = self._reader.view(facts[row.thread.id])
            shown.append(SearchRow(thread=view, passages=passages, missing=missing or UNSET))
        return shown

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


def _place_in(params: SearchParams) -> tuple[str, int]:
    """The order that the cursor belongs to, and how many rows it passes over."""
    if params.cursor is None:
        return ("r" if params.sort_by == "rank" else "u"), 0
    match = _CURSORS[params.sort_by].fullmatch(params.cursor)
    if match is None:
        raise InvalidCursor(params.cursor)
    return match["by"], int(match["skip"])


def _newest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By the newest text that holds something; those whose names alone do first."""
    return sorted(candidates, key=lambda one: max(one.texts, default=1 << 62), reverse=True)
