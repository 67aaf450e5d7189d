"""Who attends to the log is told all that is appended from then on; a log that nobody attends to is not read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_server.errors import StoreFailure
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.stores.base import Change
from mcp_server.stores.memory_state import MemoryState
from mcp_server.threads import events, notices
from mcp_server.threads.events import EventFeed

pytestmark = pytest.mark.anyio

_SECONDS = 10


class Log(MemoryState):
    """Counts who looks, and fails as often as told."""

    looks = 0
    failures = 0

    async def events_after(
        self, seq: int, *, limit: int, thread_id: str | None = None, types: Collection[EventType] | None = None
    ) -> list[ThreadEvent]:
        self.looks += 1
        if self.failures:
            self.failures -= 1
            raise StoreFailure("the disk is gone")
        return await super().events_after(seq, limit=limit, thread_id=thread_id, types=types)

    async def append(self, thread_id: str) -> None:
        await self.commit(Change(events=(notices.closed(thread_id),)))


class Told:
    """What the listener was handed."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self._more = anyio.Event()

    async def listen(self, handed: Sequence[ThreadEvent]) -> None:
        self.threads += [event.thread_id for event in handed]
        self._more.set()

    async def until(self, thread_id: str) -> None:
        with anyio.fail_after(_SECONDS):
            while thread_id not in self.threads:
                self._more = anyio.Event()
                await self._more.wait()


@asynccontextmanager
async def following(feed: EventFeed, log: Log) -> AsyncGenerator[Told]:
    told = Told()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.follow, lambda: log, told.listen)
        yield told
        tasks.cancel_scope.cancel()


async def test_a_log_that_nobody_attends_to_is_not_read() -> None:
    feed, log = EventFeed(), Log()
    async with following(feed, log) as told:
        await log.append("one")
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        assert (log.looks, told.threads) == (0, [])


async def test_who_attends_is_told_what_comes_before_the_first_look_and_after_it() -> None:
    feed, log = EventFeed(), Log()
    feed.attend()
    await log.append("before the first look")
    async with following(feed, log) as told:
        await told.until("before the first look")
        await log.append("after it")
        feed.wake()
        await told.until("after it")
    assert told.threads == ["before the first look", "after it"]


async def test_who_comes_later_is_not_told_again_what_was_handed_on() -> None:
    feed, log = EventFeed(), Log()
    leave = feed.attend()
    async with following(feed, log) as told:
        await log.append("first")
        await told.until("first")
        leave()
        leave()  # once is enough
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        await log.append("second")
        feed.attend()
        await told.until("second")
    assert told.threads == ["first", "second"]


async def test_a_log_that_fails_for_a_while_is_followed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_RETRY_SECONDS", 0.01)
    feed, log = EventFeed(), Log()
    log.failures = 3
    feed.attend()
    async with following(feed, log) as told:
        await log.append("in spite of it")
        await told.until("in spite of it")


async def test_who_waits_is_woken_by_what_another_process_appends() -> None:
    """Nothing wakes the feed then; it looks by itself while somebody waits."""
    feed, log = EventFeed(), Log()

    async def wait() -> None:
        while not await MemoryState.events_after(log, 0, limit=1):
            await feed.grown(2 * _SECONDS)

    async with following(feed, log):
        with anyio.fail_after(_SECONDS):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await log.append("from elsewhere")
