"""Handles: minted by the server, in use while the thread is, lapsed after an hour."""

from __future__ import annotations

import pytest

from mcp_server.errors import LimitReached
from mcp_server.models.params import Caller, StartParams
from mcp_server.models.times import Clocks
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.loaded import HANDLE_LIFE_MS, LoadedLimits, LoadedThread, LoadedThreads
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import files_stores

ANONYMOUS = Caller()  # a 2026-07-28 request over HTTP belongs to no connection


class Clock:
    now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wall_clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock, wall_clock: Clock) -> ThreadService:
    return serving(Clocks(wall_clock, clock))


def serving(clocks: Clocks, unload_delay: float = 0.0) -> ThreadService:
    loaded = LoadedThreads(elapsed_ms=clocks.elapsed_ms)
    stores = files_stores(MemoryRollouts(), MemoryLocks(), MemoryState(), loaded=loaded)
    defaults = Defaults(cwd="/work")
    return ThreadService(stores, defaults=defaults, now_ms=clocks.now_ms, unload_delay=unload_delay)


def start(service: ThreadService, caller: Caller) -> str:
    return (service.lifecycle.start(StartParams(), caller)).thread.id


def test_a_handle_that_nobody_used_for_an_hour_lapses(service: ThreadService, clock: Clock) -> None:
    thread_id = start(service, ANONYMOUS)
    clock.now += HANDLE_LIFE_MS - 1
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [thread_id]
    clock.now += 1
    service.lifecycle.close_idle()
    assert service.loaded.ids() == []
    events = service.catalog.log.events_after(0, limit=10)
    assert [event.type for event in events][-2:] == ["thread/status/changed", "thread/closed"]


def test_work_on_the_thread_keeps_its_handles(service: ThreadService, clock: Clock) -> None:
    thread_id = start(service, ANONYMOUS)
    clock.now += HANDLE_LIFE_MS - 1
    service.turns.start(thread_id, [{"type": "text", "text": "hello", "text_elements": []}])
    clock.now += HANDLE_LIFE_MS - 1
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [thread_id]


@pytest.mark.parametrize("jump_ms", [2 * HANDLE_LIFE_MS, -24 * HANDLE_LIFE_MS])
def test_a_wall_clock_that_jumps_closes_no_thread_and_ends_no_turn(
    service: ThreadService, clock: Clock, wall_clock: Clock, jump_ms: int
) -> None:
    thread_id = start(service, ANONYMOUS)
    service.turns.start(thread_id, [{"type": "text", "text": "hello", "text_elements": []}])
    wall_clock.now += jump_ms
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [thread_id]
    turn = (service.turns.complete(thread_id, "completed", "done", None)).turn
    assert (turn.status, turn.duration_ms) == ("completed", max(0, jump_ms))
    clock.now += HANDLE_LIFE_MS
    service.lifecycle.close_idle()
    assert service.loaded.ids() == []


def test_a_thread_that_can_not_be_closed_keeps_no_other_loaded(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = serving(Clocks(elapsed_ms=clock), unload_delay=0.010)
    bad, _ = [start(service, Caller(connection="stdio")) for _ in range(2)]
    service.lifecycle.unsubscribe_connection("stdio")
    real = service.lifecycle.close

    def choosy(one: LoadedThread) -> None:
        if one.thread.id == bad:
            raise ZeroDivisionError("a mistake of ours")
        real(one)

    monkeypatch.setattr(service.lifecycle, "close", choosy)
    clock.now += 10
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [bad]
    assert bad in caplog.text
    monkeypatch.setattr(service.lifecycle, "close", real)
    clock.now += 10
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [bad]  # it is tried again a minute later
    clock.now += 60_000
    service.lifecycle.close_idle()
    assert service.loaded.ids() == []


def test_a_connection_that_stands_keeps_its_threads_however_long_it_is_silent(
    service: ThreadService, clock: Clock
) -> None:
    thread_id = start(service, Caller(connection="stdio"))
    clock.now += 100 * HANDLE_LIFE_MS
    service.lifecycle.close_idle()
    assert service.loaded.ids() == [thread_id]
    service.lifecycle.unsubscribe_connection("stdio")
    assert service.loaded.ids() == []


def test_one_connection_leaving_keeps_the_thread_for_another(service: ThreadService) -> None:
    thread_id = start(service, Caller(connection="one"))
    service.turns.start(thread_id, [{"type": "text", "text": "hello", "text_elements": []}])
    service.loaded.subscribe(thread_id, "other", 0)
    service.lifecycle.unsubscribe_connection("one")
    assert service.loaded.ids() == [thread_id]
    service.lifecycle.unsubscribe_connection("other")
    assert service.loaded.ids() == []


def test_loaded_threads_and_subscriptions_are_bounded(service: ThreadService) -> None:
    service.loaded.limits = LoadedLimits(threads=2)
    for _ in range(2):
        start(service, ANONYMOUS)
    with pytest.raises(LimitReached, match="thread_unsubscribe"):
        start(service, ANONYMOUS)
    assert len(service.loaded.ids()) == 2
    service.loaded.limits = LoadedLimits(threads=10, subscriptions=2)
    with pytest.raises(LimitReached):
        start(service, ANONYMOUS)
    assert len(service.loaded.ids()) == 2
    assert service.locks.held() == frozenset(service.loaded.ids())
