"""Work that goes on behind the calls: it is begun again after a failure, with pauses that grow."""

from __future__ import annotations

import logging
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from mcp_server.runtime import supervised
from mcp_server.sync.supervision import Backoff, FailureLog


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """A clock that nobody waits for."""
    return Clock()


def test_pauses_grow_up_to_their_bound(clock: Clock) -> None:
    pauses = Backoff(first=0.0, most=10.0, clock=clock.monotonic)
    waited: list[float] = []
    for _ in range(7):
        waited.append(pauses.next())
        clock.now += waited[-1]
    assert waited == [0, 1, 2, 4, 8, 10, 10]


def test_pauses_begin_anew_once_all_went_well_for_longer_than_the_longest(clock: Clock) -> None:
    pauses = Backoff(first=1.0, most=8.0, clock=clock.monotonic)
    for _ in range(5):
        clock.now += pauses.next()
    clock.now += 7
    assert pauses.next() == 8
    clock.now += 8 + 9
    assert pauses.next() == 1


@pytest.mark.anyio
async def test_work_that_fails_is_begun_again_until_it_ends_by_itself(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    left = [OSError("one"), ExceptionGroup("several", [ValueError("two"), ValueError("three")]), None]

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        if (failure := left.pop(0)) is not None:
            raise failure

    await supervised("the watch", work, pauses=Backoff(clock=clock.monotonic), sleep=clock.sleep)
    assert left == []
    assert clock.slept == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "the watch failed and is restarted: OSError('one')",
        "the watch failed and is restarted: ValueError('two')",
    ]


@pytest.mark.anyio
async def test_work_that_always_fails_rests_longer_and_longer_and_can_be_cancelled(clock: Clock) -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        if len(clock.slept) == 10:
            scope.cancel()
        await anyio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with anyio.CancelScope() as scope:
        await supervised("the index", work, pauses=Backoff(clock=clock.monotonic), sleep=clock.sleep)
    assert scope.cancelled_caught
    assert all(one <= other for one, other in pairwise(clock.slept))
    assert clock.slept[-1] == 60


def test_a_failure_is_told_with_its_place_once_and_in_one_line_when_it_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = FailureLog()
    with caplog.at_level(logging.ERROR):
        for text in ("same", "same", "other"):
            try:
                raise ValueError(text)
            except ValueError as error:
                failures.log("reading a file", error)
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True]
    assert all(record.getMessage().startswith("reading a file: ValueError") for record in caplog.records)
