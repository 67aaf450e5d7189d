"""The event feed: tells whoever waits that the log has grown, in this process or in another one on the same home."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import anyio

from mcp_server.errors import StoreFailure
from mcp_server.models.event import ThreadEvent
from mcp_server.storage.contracts import StateStore
from mcp_server.sync.supervision import Failures

Listener = Callable[[Sequence[ThreadEvent]], Awaitable[None]]

# How long an event of another process may stay unseen. Events of this process are seen at once.
_POLL_SECONDS = 0.25
_BATCH = 500
# Who is further behind than this catches up with events_read.
_BEHIND = 10_000
# How far the times of events written by two processes may be out of step.
_CLOCK_MS = 1_000
_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class EventBus(Protocol):
    """What the verbs need of the feed."""

    def wake(self) -> None:
        """Say that this process appended to the log."""
        ...

    async def grown(self, seconds: float) -> None:
        """Wait until the log may have grown, at most this long. May return early; the caller looks again."""
        ...


class EventFeed(EventBus):
    """Follows the log of one state store and hands each new event to one listener, as long as anybody attends."""

    def __init__(self) -> None:
        self._grown = anyio.Event()
        self._attending = 0
        self._attended = anyio.Event()
        self._since_ms = 0

    def attend(self) -> Callable[[], None]:
        """Have the log followed, with all that is appended from now on, until the function that this returns is called.

        A log that nobody attends to is not read: of sixty servers on a home most have no one who listens.
        """
        if not self._attending:
            self._since_ms = _now_ms()
            self._attended.set()
        self._attending += 1
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._attending -= 1
                if not self._attending:
                    self._attended = anyio.Event()

        return leave

    def wake(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()

    async def grown(self, seconds: float) -> None:
        leave = self.attend()
        try:
            await self._wait(seconds)
        finally:
            leave()

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._grown.wait()

    async def follow(self, state: Callable[[], StateStore], listener: Listener) -> None:
        """Hand on what is appended, oldest first, until cancelled."""
        source, seq, looked_ms = state(), 0, 0
        failures = Failures()
        while True:
            try:
                if not self._attending:
                    await self._attended.wait()
                    current = state()
                    seq = await self._seq_before(current, seq if source is current else 0)
                    source = current
                    self.wake()  # who looked before seq was known looks again
                elif source is not (current := state()):  # a state DB has come or gone; each log has its own numbers
                    seq = await self._seq_before(current, 0)
                    source, self._since_ms = current, looked_ms
                now_ms = _now_ms()
                events = await source.events_after(seq, limit=_BATCH)
                looked_ms = now_ms
                if events:
                    seq = events[-1].seq
                    self.wake()
                    await listener(events)
                else:
                    await self._wait(_POLL_SECONDS)
            except StoreFailure as error:
                logger.warning("the log can't be followed for the moment: %s", error)
                await anyio.sleep(_RETRY_SECONDS)
            except Exception as error:  # of a listener, too: it has been told, and the next events are for it again
                failures.log(f"events up to {seq} are not told everywhere", error)
                await anyio.sleep(_RETRY_SECONDS)

    async def _seq_before(self, source: StateStore, told: int) -> int:
        """Where to begin in a log that was not followed since `_since_ms`, but told up to a seq: somebody has attended
        since then, or another log was followed, and what other processes appended is told too. What is told twice does
        no harm."""
        begin, since_ms = await source.last_seq(), self._since_ms - _CLOCK_MS
        told = max(told, begin - _BEHIND)
        while begin > told:
            before = await source.events_after(max(told, begin - _BATCH), limit=_BATCH)
            missed = [event.seq for event in before if event.seq <= begin and event.at_ms >= since_ms]
            if not missed:
                break
            begin = missed[0] - 1
        return max(begin, told)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
