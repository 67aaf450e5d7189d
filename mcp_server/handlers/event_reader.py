"""`events_read`: reads the log, or long-polls for the next event."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio
from msgspec.structs import replace

from mcp_server.errors import LimitReached
from mcp_server.handlers.event_feed import EventFeed
from mcp_server.handlers.workers import in_worker
from mcp_server.models.params import EventsParams
from mcp_server.models.results import EventsResult
from mcp_server.threads.service import ThreadService

MAX_WAIT_SECONDS = 50.0
MAX_WAITERS = 256
_LOOK_SECONDS = 0.5


class EventReader:
    """Reads the log for clients and lets them wait for the next event.

    `max_waiters` calls may wait at the same time. Each reads the log again whenever it has grown.
    """

    def __init__(self, service: ThreadService, feed: EventFeed, max_waiters: int = MAX_WAITERS) -> None:
        self.max_waiters = max_waiters
        self._service, self._feed = service, feed
        self._waiters = 0
        self._may_wait = True

    async def read(self, params: EventsParams) -> EventsResult:
        """The events after a seq. If there are none, waits up to `wait_seconds` for the next one; with `until`, for the
        end of the thread's turn.

        Raises:
            InvalidArgument: as `Events`.
            LimitReached: there is no event yet, and `max_waiters` calls wait already.
        """
        events = self._service.events
        deadline = anyio.current_time() + min(max(params.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        seq = await in_worker(events.begin, params)
        thread_id = await in_worker(self._service.catalog.resolve, params.thread_id) if params.thread_id else ""
        while True:
            appended = self._feed.next_append
            outcome = await in_worker(events.turns.outcome, thread_id) if params.until else None
            result = await in_worker(events.after, seq, params)
            if outcome is not None:
                result = replace(result, outcome=outcome)
            waiting = outcome.running or not outcome.turn_id if outcome is not None else not result.data
            left = deadline - anyio.current_time()
            if not waiting or left <= 0 or not self._may_wait:
                return result
            with self._waiting():
                # Other programs that write the thread append no event.
                await self._feed.wait(appended, left if outcome is None else min(left, _LOOK_SECONDS))

    def stop_waiting(self) -> None:
        """End all waits: each call answers with the events that exist, since its client is about to disconnect."""
        self._may_wait = False
        self._feed.wake()

    @contextmanager
    def _waiting(self) -> Generator[None]:
        if self._waiters >= self.max_waiters:
            raise LimitReached(
                "too many calls wait for events", self.max_waiters, "read without wait_seconds, or wait again later"
            )
        self._waiters += 1
        try:
            yield
        finally:
            self._waiters -= 1
