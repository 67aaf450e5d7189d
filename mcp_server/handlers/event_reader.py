"""`events_read`: a look at the log, or a long poll for the next event."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio

from mcp_server.errors import LimitReached
from mcp_server.handlers.event_feed import EventFeed
from mcp_server.handlers.workers import in_worker
from mcp_server.models.params import EventsParams
from mcp_server.models.results import EventsResult
from mcp_server.threads.service import ThreadService

MAX_WAIT_SECONDS = 50.0


class EventReader:
    """Reads the log for clients, and lets them wait for more."""

    max_waiters = 256
    """Calls that wait for an event at the same time; each of them looks again whenever the log has grown."""

    def __init__(self, service: ThreadService, feed: EventFeed) -> None:
        self._service, self._feed = service, feed
        self._waiters = 0
        self._may_wait = True

    async def read(self, params: EventsParams) -> EventsResult:
        """The log after a seq; waits for the next event if asked to and there is none yet.

        Raises:
            InvalidArgument: as `ThreadService.events`.
            LimitReached: there is no event yet, and too many calls wait for one already.
        """
        deadline = anyio.current_time() + min(max(params.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        while True:
            grown = self._feed.grown
            result = await in_worker(self._service.events, params)
            left = deadline - anyio.current_time()
            if result.data or left <= 0 or not self._may_wait:
                return result
            with self._waiting():
                await self._feed.wait(grown, left)

    def stop_waiting(self) -> None:
        """Have each call that waits answer with the events that there are: its client is about to leave."""
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
