"""The texts of threads, read where an index says that they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcp_server.codex.drafts import Draft
from mcp_server.codex.files import rollout_of
from mcp_server.codex.injected import message_of
from mcp_server.codex.lines import MalformedLine, decode_line
from mcp_server.codex.texts import searchable
from mcp_server.errors import DamagedRollout, ThreadNotFound, ThreadstoreError
from mcp_server.models.history import TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.storage.query import TextPlace
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.search.state import Search

READ_TOGETHER = 64
"""How many places are read together at most."""
_FETCHED_BYTES = 128 << 10

Text = tuple[str | None, str | None, str]
"""The ids of a turn and of an item in it, and what it says. A message between turns has neither."""


def texts_in(draft: Draft | None, *, tools: bool, lines: range | None = None) -> Iterator[tuple[str, str]]:
    """The items of a turn that are searched, with their ids: of all its lines, or of those at these offsets."""
    if draft is None:
        return
    for key, item in draft.items.items():
        if lines is None or draft.line_spans[key][0] in lines:
            texts, by_tools = searchable(item)
            if texts and (tools or not by_tools):
                yield item.id, "\n".join(texts)


class Texts:
    """Reads the texts at places. A text whose history has changed since says nothing."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def at(self, search: Search, places: Sequence[TextPlace]) -> Iterator[tuple[TextPlace, list[Text]]]:
        """The texts at these places, as far as time allows, those of the first place at least."""
        for first in range(0, len(places), READ_TOGETHER):
            some = places[first : first + READ_TOGETHER]
            fetched = self.read_together(some)
            for n, place in enumerate(some):
                if first + n and search.timed_out:
                    return
                yield place, self._of(search, place, fetched.get(place.number))

    def _of(self, search: Search, place: TextPlace, data: bytes | None) -> list[Text]:
        try:
            if place.span is None:
                message = self.message(place)
                return [] if message is None else [(None, None, message)]
            draft = self.turn(search, place.thread, place.span, data)
        except ThreadNotFound:
            return []  # deleted since
        except ThreadstoreError as error:
            search.report_incomplete(str(error))
            return []
        lines = range(place.start, place.end)
        return [
            (place.span.turn_id, item_id, text) for item_id, text in texts_in(draft, tools=search.tools, lines=lines)
        ]

    def read_together(self, places: Sequence[TextPlace]) -> dict[int, bytes]:
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

    def message(self, place: TextPlace) -> str | None:
        """The message between turns at a place; None if the history has changed since."""
        text = self._catalog.text(place.thread)
        (data,) = text.read([(place.start, place.end)])
        try:
            return message_of(decode_line(data))
        except MalformedLine:
            return None

    def turn(self, search: Search, row: StoredThread, span: TurnSpan, data: bytes | None) -> Draft | None:
        """A turn, read at the row's path; if that fails, where a new look-up finds the thread."""
        try:
            return search.turn(self._catalog.text(row), span, data)
        except DamagedRollout:
            return search.turn(self._catalog.text(self._catalog.known(row.id)), span)
