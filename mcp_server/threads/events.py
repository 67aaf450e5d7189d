"""The verb that reads the event log, all of it or that of one thread or tree; and looks at the turn waited for."""

from __future__ import annotations

from difflib import get_close_matches

from msgspec import UNSET

from mcp_server.errors import InvalidArgument
from mcp_server.models.event import EVENT_TYPES, EventType
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import EventsParams
from mcp_server.models.results import EventRow, EventsResult
from mcp_server.models.times import rfc3339
from mcp_server.storage.contracts import Leases
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.tree import descendants
from mcp_server.threads.waiting import TurnWatch


class Events:
    def __init__(self, catalog: Catalog, locks: Leases) -> None:
        self._catalog = catalog
        self.turns = TurnWatch(catalog, locks)

    def begin(self, params: EventsParams) -> int:
        """The seq to read after: that of the call, or of the last event.

        Raises:
            InvalidArgument: it is negative, beyond the log, or events after it are gone; or `until` names no thread.
        """
        if params.until is not None and params.thread_id is None:
            raise InvalidArgument("until", params.until, "it waits for one thread's turn", "pass its thread_id")
        if params.thread_id is not None and params.ancestor_thread_id is not None:
            why = "thread_id names a single thread already"
            raise InvalidArgument("ancestor_thread_id", params.ancestor_thread_id, why, "pass one of the two")
        last = self._catalog.log.last_seq()
        if params.after == "now":
            return last
        if params.after < 0:
            raise InvalidArgument("after", params.after, "it is negative", "pass last_seq of the last answer, or 0")
        if params.after > last:
            raise InvalidArgument("after", params.after, f"the log ends at {last}", 'pass that, or "now"')
        gone = self._gone()
        if 0 < params.after < gone:
            why = f"events up to {gone} are gone, since old ones are not kept"
            way_out = f"read the threads that you follow anew, then go on after {gone}"
            raise InvalidArgument("after", params.after, why, way_out)
        return params.after

    def after(self, seq: int, params: EventsParams) -> EventsResult:
        """The events after a seq that are in the log now.

        Raises:
            InvalidArgument: a type is unknown.
        """
        types: list[EventType] | None = [_event_type(name) for name in params.types] if params.types else None
        limit = clamp_limit(params.limit)
        events = self._catalog.log.events_after(seq, limit=limit + 1, thread_ids=self._threads(params), types=types)
        page = events[:limit]
        rows = [
            EventRow(seq=e.seq, at=rfc3339(e.at_ms), type=e.type, thread_id=e.thread_id, payload=e.payload)
            for e in page
        ]
        gone = self._gone() if seq == 0 else 0
        return EventsResult(
            data=rows, last_seq=rows[-1].seq if rows else seq, more=len(events) > limit, gone=gone or UNSET
        )

    def _gone(self) -> int:
        """The seq of the last event that is not kept any more, 0 if all are there."""
        return max(0, self._catalog.log.first_seq() - 1)

    def _threads(self, params: EventsParams) -> list[str] | None:
        if params.thread_id is not None:
            return [self._catalog.resolve(params.thread_id)]
        if params.ancestor_thread_id is None:
            return None
        root_id = self._catalog.resolve(params.ancestor_thread_id)
        below = descendants(root_id, self._catalog.edges_below(root_id))
        return [root_id, *(node.thread_id for node in below)]


def _event_type(name: str) -> EventType:
    for known in EVENT_TYPES:
        if known == name:
            return known
    near = get_close_matches(name, EVENT_TYPES, n=3, cutoff=0.0)
    raise InvalidArgument("types", name, "no event has this type", f"pass one such as {', '.join(near)}")
