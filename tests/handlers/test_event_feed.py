"""Subscribers of the log are told all that is appended from then on; a log without subscribers is not read."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_server.errors import StoreFailure
from mcp_server.handlers.event_feed import EventFeed
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.storage.contracts import Change
from mcp_server.storage.memory.index import MemoryState
from mcp_server.threads import notices

pytestmark = pytest.mark.anyio

_SECONDS = 10


class Log(MemoryState):
    """Counts who looks, and fails as often as told."""

    there = True
    looks = 0
    failures = 0

    def events_after(
        self,
        seq: int,
        *,
        limit: int,
        thread_ids: Collection[str] | None = None,
        types: Collection[EventType] | None = None,
    ) -> list[ThreadEvent]:
        self.looks += 1
        if self.failures:
            self.failures -= 1
            raise StoreFailure("the disk is gone")
        return super().events_after(seq, limit=limit, thread_ids=thread_ids, types=types)

    def append(self, *thread_ids: str) -> None:
        self.commit(Change(events=tuple(map(notices.closed, thread_ids))))


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
async def following(feed: EventFeed, *logs: Log) -> AsyncGenerator[Told]:
    """The last of the logs is followed from when it is there."""
    told = Told()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.follow, lambda: next(log for log in reversed(logs) if log.there), told.listen)
        yield told
        tasks.cancel_scope.cancel()


async def test_a_log_without_subscribers_is_not_read() -> None:
    feed, log = EventFeed(), Log()
    async with following(feed, log) as told:
        log.append("one")
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        assert (log.looks, told.threads) == (0, [])


async def test_a_subscriber_is_told_what_comes_before_the_first_look_and_after_it() -> None:
    feed, log = EventFeed(), Log()
    feed.subscribe()
    log.append("before the first look")
    async with following(feed, log) as told:
        await told.until("before the first look")
        log.append("after it")
        feed.wake()
        await told.until("after it")
    assert told.threads == ["before the first look", "after it"]


async def test_who_comes_later_is_not_told_again_what_was_handed_on() -> None:
    feed, log = EventFeed(), Log()
    leave = feed.subscribe()
    async with following(feed, log) as told:
        log.append("first")
        await told.until("first")
        leave()
        leave()  # once is enough
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        log.append("second")
        feed.subscribe()
        await told.until("second")
    assert told.threads == ["first", "second"]


async def test_a_log_that_fails_for_a_while_is_followed_on() -> None:
    feed, log = EventFeed(retry_seconds=0.01), Log()
    log.failures = 3
    feed.subscribe()
    async with following(feed, log) as told:
        log.append("in spite of it")
        await told.until("in spite of it")


async def test_a_listener_that_fails_is_told_what_comes_next(caplog: pytest.LogCaptureFixture) -> None:
    feed, log, told = EventFeed(retry_seconds=0.01), Log(), Told()

    async def choosy(handed: Sequence[ThreadEvent]) -> None:
        if any(event.thread_id == "bad" for event in handed):
            raise ZeroDivisionError("a mistake of ours")
        await told.listen(handed)

    feed.subscribe()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.follow, lambda: log, choosy)
        for thread_id in ("one", "bad"):
            log.append(thread_id)
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        log.append("two")
        feed.wake()
        await told.until("two")
        tasks.cancel_scope.cancel()
    assert "a mistake of ours" in caplog.text


async def test_what_others_append_to_a_state_db_before_it_is_taken_over_is_told() -> None:
    """However much it is: a cascade of another process appends an event for each thread of its tree."""
    feed, memory, state = EventFeed(), Log(), Log()
    state.there = False
    feed.subscribe()
    async with following(feed, memory, state) as told:
        memory.append("in memory")
        await told.until("in memory")
        many = [f"thread {number}" for number in range(1_200)]
        state.append(*many)
        state.there = True
        feed.wake()
        await told.until(many[-1])
        assert told.threads == ["in memory", *many]


async def test_what_others_append_to_a_new_state_db_while_the_old_one_is_lost_is_told() -> None:
    feed, memory, old, new = EventFeed(), Log(), Log(), Log()
    new.there = False
    feed.subscribe()
    async with following(feed, memory, old, new) as told:
        old.append("in the old one")
        await told.until("in the old one")
        new.append("while it is lost")
        old.there = False
        memory.append("in memory")
        feed.wake()
        await told.until("in memory")
        new.there = True
        feed.wake()
        await told.until("while it is lost")


async def test_a_log_is_gone_over_to_its_bound_and_what_was_told_is_not_looked_at_again() -> None:
    feed, log = EventFeed(max_backlog=5), Log()
    log.append(*(f"thread {number}" for number in range(20)))
    async with following(feed, log) as told:
        await anyio.wait_all_tasks_blocked()
        leave = feed.subscribe()
        await told.until("thread 19")
        assert told.threads == [f"thread {number}" for number in range(15, 20)]
        leave()
        feed.wake()
        await anyio.wait_all_tasks_blocked()
        feed.subscribe()
        log.append("once more")
        await told.until("once more")
        assert told.threads[5:] == ["once more"]


async def test_what_a_state_db_held_before_anyone_subscribed_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, memory, state = EventFeed(), Log(), Log()
    state.there = False
    with monkeypatch.context() as past:
        past.setattr(time, "time_ns", lambda: 0)
        state.append("long ago")
    feed.subscribe()
    async with following(feed, memory, state) as told:
        await anyio.wait_all_tasks_blocked()
        state.there = True
        state.append("since")
        feed.wake()
        await told.until("since")
    assert told.threads == ["since"]


async def test_who_waits_is_woken_by_what_another_process_appends() -> None:
    """Nothing wakes the feed then; it looks by itself while somebody waits."""
    feed, log = EventFeed(), Log()

    async def wait() -> None:
        while True:
            appended = feed.next_append
            if MemoryState.events_after(log, 0, limit=1):
                return
            await feed.wait(appended, 2 * _SECONDS)

    async with following(feed, log):
        with anyio.fail_after(_SECONDS):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                log.append("from elsewhere")
