"""The matching items of one thread, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from mcp_server.codex.drafts import Draft
from mcp_server.errors import InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.history import TurnSpan
from mcp_server.models.results import SearchResult, SearchRow
from mcp_server.models.thread import Thread
from mcp_server.storage.query import TextPlace, TextQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.search.rows import passage
from mcp_server.threads.search.state import OutOfTime, Search
from mcp_server.threads.search.terms import Snippet
from mcp_server.threads.search.texts import READ_TOGETHER, Texts, texts_in

# How many places are read together at first: as many as fill a page, then twice as many each time.
_MIN_PLACES = 16
_CURSOR = re.compile(r"(?P<stage>[nat])(?P<place>-?\d{1,19})(?:#(?P<hit>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, and the cursor of a page that begins with it."""

    cursor: str
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


class ThreadSearcher:
    """Searches a name, then the texts of a thread, from the last one back."""

    def __init__(self, catalog: Catalog, reader: Reader, texts: Texts) -> None:
        self._catalog, self._reader, self._texts = catalog, reader, texts

    def search(self, search: Search, thread_id: str, cursor: str | None, limit: int) -> SearchResult:
        """The matching items of one thread, as the passages of its row."""
        hits: list[Hit] = []
        for hit in self._hits(search, thread_id, cursor, limit):
            hits.append(hit)
            if len(hits) > limit:
                break
        more = len(hits) > limit
        shown = [passage(hit.snippet, hit.turn_id, hit.item_id) for hit in hits[:limit]]
        return SearchResult(
            data=[SearchRow(thread=self._view(thread_id), passages=shown)] if shown else [],
            next_cursor=hits[limit].cursor if more else search.resume_at,
            total=None if more or cursor or search.incomplete else len(hits),
            cursors=[hit.cursor for hit in hits[1:]],
            within=True,
            incomplete=search.incomplete,
        )

    def _hits(self, search: Search, thread_id: str, cursor: str | None, limit: int) -> Iterator[Hit]:
        stage, place, first = _parse_cursor(cursor)
        if stage == "n" and not place:
            yield from self._in_name(search, thread_id)
        if stage in "na":
            yield from self._in_unindexed(search, place if stage == "a" else 0)
        begin = (place, first) if stage == "t" else None
        batch = min(max(limit + 1, _MIN_PLACES), READ_TOGETHER)
        before = None if begin is None else place + 1
        while places := search.store.places(_query(search, thread_id, before, batch)):
            yield from self._at(search, places, begin)
            if search.resume_at or len(places) < batch:
                return
            before, batch = places[-1].number, min(2 * batch, READ_TOGETHER)

    def _at(self, search: Search, places: Sequence[TextPlace], begin: tuple[int, int] | None) -> Iterator[Hit]:
        """The matches at these places, of the first one from where a cursor says that it begins. Once time is up, sets
        where to go on."""
        fetched = self._texts.read_together(places)
        for found in places:
            first = begin[1] if begin and begin[0] == found.number else 0
            begun = search.begin_text()
            hits: list[Hit] = []
            try:
                hits = self._in_text(search, found, fetched.get(found.number))
            except OutOfTime:
                if search.deadline - begun > search.bounds.seconds / 2:  # it would be too long the next time too
                    search.report_incomplete(f"a text of thread {found.thread.id} is too long to be searched")
                else:
                    search.resume_at = f"t{found.number}" + (f"#{first}" if begin and begin[0] == found.number else "")
            yield from hits[first:]
            if search.timed_out:
                search.resume_at = search.resume_at or f"t{found.number - 1}"
                search.report_incomplete("time was up before all texts were searched; go on with next_cursor")
                return

    def _in_name(self, search: Search, thread_id: str) -> Iterator[Hit]:
        thread = self._catalog.known(thread_id)
        search.begin_text()
        try:
            if (hit := _hit(search, thread.name or "")) is not None:
                yield replace(hit, cursor="n0")
        except OutOfTime:
            search.report_incomplete("time was up before the name was searched")

    def _view(self, thread_id: str) -> Thread:
        return self._reader.view(self._catalog.with_facts([self._catalog.known(thread_id)])[0])

    def _in_text(self, search: Search, place: TextPlace, data: bytes | None) -> list[Hit]:
        """The matching items of a place, the last first; none if its history has changed since."""
        try:
            if (span := place.span) is None:
                return self._between_turns(search, place)
            draft = self._texts.turn(search, place.thread, span, data)
        except ThreadNotFound:
            return []  # deleted since
        except ThreadstoreError as error:
            search.report_incomplete(str(error))
            return []
        found = _hits_in_turn(search, span, draft, range(place.start, place.end))
        return [replace(hit, cursor=f"t{place.number}#{n}") for n, hit in enumerate(found)]

    def _between_turns(self, search: Search, place: TextPlace) -> list[Hit]:
        """The message between turns at a place, if it matches."""
        message = self._texts.message(place)
        hit = None if message is None else _hit(search, message)
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
                    hits = _hits_in_turn(search, span, draft)
                for hit in hits:
                    if number >= skip:
                        yield replace(hit, cursor=f"a{number}")
                    number += 1
                if search.timed_out:
                    search.report_incomplete(f"time was up within thread {history.checkpoint.thread_id}")
                    return


def _hit(search: Search, text: str) -> Hit | None:
    """The hit in a text, if it matches."""
    found = search.terms.find(text, search.check)
    return None if found is None else Hit("", search.terms.snippet(text, found))


def _query(search: Search, thread_id: str, before: int | None, limit: int) -> TextQuery:
    return TextQuery(search.terms.literals, search.threads, search.tools, thread_id, before, limit)


def _hits_in_turn(search: Search, span: TurnSpan, draft: Draft | None, lines: range | None = None) -> list[Hit]:
    """The matching items of a turn, the last first: of all its lines, or of those at these offsets."""
    found = [
        replace(hit, turn_id=span.turn_id, item_id=item_id)
        for item_id, text in texts_in(draft, tools=search.tools, lines=lines)
        if (hit := _hit(search, text)) is not None
    ]
    return found[::-1]


def _parse_cursor(cursor: str | None) -> tuple[str, int, int]:
    """The stage ("n" names, "a" histories that are not in the store, "t" texts), the place in it, and the number of the
    match at that place to begin with."""
    if cursor is None:
        return "n", 0, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidCursor(cursor)
    return match["stage"], int(match["place"]), int(match["hit"] or 0)
