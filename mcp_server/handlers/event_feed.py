"""The event feed: wakes waiters when this or another process on the home has appended to the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio

from mcp_server.errors import StoreFailure
from mcp_server.handlers.workers import in_worker
from mcp_server.models.event import ThreadEvent
from mcp_server.models.times import now_ms
from mcp_server.storage.contracts import EventLog
from mcp_server.sync.supervision import FailureLog

Listener = Callable[[Sequence[ThreadEvent]], Awaitable[None]]

# Events of other processes are seen within this time, events of this process at once.
_POLL_SECONDS = 0.25
_BATCH = 500
# Subscribers further behind than this many events catch up with events_read.
MAX_BACKLOG = 10_000
# Clocks of two processes may differ by this much.
_CLOCK_MS = 1_000
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class EventFeed:
    """Follows the log and hands each new event to one listener, while there are subscribers.

    `max_backlog` bounds the events that it goes back in a log, `retry_seconds` is the pause after a failure.
    """

    def __init__(self, *, max_backlog: int = MAX_BACKLOG, retry_seconds: float = RETRY_SECONDS) -> None:
        self._max_backlog, self._retry_seconds = max_backlog, retry_seconds
        self.next_append = anyio.Event()
        """Set when the log may have grown, then replaced by a new one. Take it before you read the log, so that you
        miss nothing that is appended meanwhile."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers = 0
        self._subscribed = anyio.Event()
        self._followed_since_ms = 0

    def subscribe(self) -> Callable[[], None]:
        """Follow the log from now on, until the returned function is called.

        Without subscribers the log is not read: if sixty servers share a home, most have nobody who listens.
        """
        if not self._subscribers:
            self._followed_since_ms = now_ms()
            self._subscribed.set()
        self._subscribers += 1
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._subscribers -= 1
                if not self._subscribers:
                    self._subscribed = anyio.Event()

        return leave

    def wake_from_thread(self) -> None:
        """The same as `wake`, in a worker thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Tell the feed that this process may have appended to the log."""
        self.next_append.set()
        self.next_append = anyio.Event()

    async def wait(self, appended: anyio.Event, seconds: float) -> None:
        """Wait until `appended` is set, at most `seconds`."""
        leave = self.subscribe()
        try:
            with anyio.move_on_after(seconds):
                await appended.wait()
        finally:
            leave()

    async def follow(self, log: Callable[[], EventLog], listener: Listener) -> None:
        """Hand appended events to the listener, oldest first, until cancelled."""
        self._loop = asyncio.get_running_loop()
        source, seq, looked_ms = log(), 0, 0
        failures = FailureLog()
        while True:
            try:
                if not self._subscribers:
                    await self._subscribed.wait()
                    current = log()
                    seq = await self._seq_before(current, seq if source is current else 0)
                    source = current
                    self.wake()  # waiters that read the log before seq was known must read again
                elif source is not (current := log()):  # the state DB was attached or lost; each log has its own seqs
                    seq = await self._seq_before(current, 0)
                    source, self._followed_since_ms = current, looked_ms
                look_ms, appended = now_ms(), self.next_append
                events = await in_worker(source.events_after, seq, limit=_BATCH)
                looked_ms = look_ms
                if events:
                    seq = events[-1].seq
                    self.wake()
                    await listener(events)
                else:
                    with anyio.move_on_after(_POLL_SECONDS):
                        await appended.wait()
            except StoreFailure as error:
                logger.warning("the log can't be followed for the moment: %s", error)
                await anyio.sleep(self._retry_seconds)
            except Exception as error:  # the listener failed too: it gets the next events all the same
                failures.log(f"events up to {seq} did not reach every subscriber", error)
                await anyio.sleep(self._retry_seconds)

    async def _seq_before(self, source: EventLog, last_told: int) -> int:
        """The seq to start after in a log that was not followed since `_followed_since_ms`.

        `last_told` is the last seq that was handed on. Events that other processes appended after `_followed_since_ms`
        are included. An event may be handed on twice; that does no harm.
        """
        begin, since_ms = await in_worker(source.last_seq), self._followed_since_ms - _CLOCK_MS
        last_told = max(last_told, begin - self._max_backlog)
        while begin > last_told:
            before = await in_worker(source.events_after, max(last_told, begin - _BATCH), limit=_BATCH)
            missed = [event.seq for event in before if event.seq <= begin and event.at_ms >= since_ms]
            if not missed:
                break
            begin = missed[0] - 1
        return max(begin, last_told)
