"""The event feed: tells whoever waits that the log has grown, in this process or in another one on the same home."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import anyio

from mcp_server.errors import StoreFailure
from mcp_server.models.event import ThreadEvent
from mcp_server.stores.base import StateStore

logger = logging.getLogger(__name__)

Listener = Callable[[Sequence[ThreadEvent]], Awaitable[None]]

# How long an event of another process may stay unseen. Events of this process are seen at once.
_POLL_SECONDS = 0.25
# A reader that is further behind than this is told to catch up with events_read.
_BATCH = 500


class EventBus(Protocol):
    """What the verbs need of the feed."""

    def wake(self) -> None:
        """Say that this process appended to the log."""
        ...

    async def grown(self, seconds: float) -> None:
        """Wait until the log may have grown, at most this long. May return early; the caller looks again."""
        ...


class EventFeed(EventBus):
    """Follows the log of one state store and hands each new event to one listener."""

    def __init__(self) -> None:
        self._grown = anyio.Event()

    def wake(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()

    async def grown(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._grown.wait()

    async def follow(self, state: Callable[[], StateStore], listener: Listener) -> None:
        """Hand on what is appended from now on, oldest first, until cancelled."""
        seq, source = 0, None
        while True:
            log = state()
            try:
                if source is not log:  # the state DB took over from memory; its log has its own numbers
                    seq = await log.last_seq()
                    source = log
                events = await log.events_after(seq, limit=_BATCH)
            except StoreFailure as error:
                logger.warning("the log of events can't be followed now: %s", error)
                await anyio.sleep(_POLL_SECONDS)
                continue
            if events:
                seq = events[-1].seq
                self.wake()
                await listener(events)
            else:
                await self.grown(_POLL_SECONDS)
