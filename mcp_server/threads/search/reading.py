"""What the texts of the threads that may answer say, and how that ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from mcp_server.storage.query import TextQuery
from mcp_server.threads.search.ranking import Candidate, bm25, most, total
from mcp_server.threads.search.rows import Ranking, Row, Said
from mcp_server.threads.search.state import OutOfTime, Search
from mcp_server.threads.search.terms import Found
from mcp_server.threads.search.texts import Texts, texts_in

# So many threads are read before they are ranked, this many texts of each at first; those below stay as the index ranks
# them.
_READ_FIRST, _TEXTS_OF_EACH = 20, 2
_COMPLETED = 5


class RowReader:
    """Reads the texts of candidates, the best ones first, until they hold most of what was asked for."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def best(self, search: Search, ranking: Ranking, unindexed: Sequence[Row]) -> tuple[list[Row], list[Candidate]]:
        """The best threads as what they say ranks them, and the others as the index does."""
        first, rest = ranking.candidates[:_READ_FIRST], ranking.candidates[_READ_FIRST:]
        rows = [*unindexed, *self.confirmed(search, ranking, first)[0]]
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

    def confirmed(self, search: Search, ranking: Ranking, candidates: Sequence[Candidate]) -> tuple[list[Row], int]:
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
        for place, found in self._texts.at(search, places):
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

    def unindexed(self, search: Search, ranking: Ranking) -> list[Row]:
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

    def complete_passages(self, search: Search, ranking: Ranking, rows: Sequence[Row]) -> None:
        """Read on in the first rows, where there are passages to show still."""
        lacking = [
            row
            for row in rows[:_COMPLETED]
            if row.candidate.store is search.store and len(row.read) < len(row.candidate.texts) and len(row.said) < 2
        ]
        if lacking and not search.timed_out:
            self._read(search, ranking, lacking, 1)


def _window(text: str, found: Sequence[Found], best: Found) -> tuple[int, int]:
    """Where a snippet is cut out: around the best match, with the others where they are near."""
    near = [one for one in found if abs(one.start - best.start) < 160]
    return min(one.start for one in near), max(one.end for one in near)
