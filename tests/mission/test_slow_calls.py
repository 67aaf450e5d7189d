"""A call that takes long holds up no other, and comes to its end whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from mcp_server.codex.files import RolloutRef
from mcp_server.config import Config
from mcp_server.server import HomeServer, build_server
from tests.mission.conftest import Era, Tools

pytestmark = pytest.mark.anyio

_SECONDS = 20


@pytest.fixture
def server(home: Path) -> HomeServer:
    return build_server(replace(Config.load(home), watch=False))


@pytest.fixture
async def tools(server: HomeServer, era: Era) -> AsyncIterator[Tools]:
    async with Client(server, mode=era) as client:
        yield Tools(client)


class Slow:
    """What reads a thread's rollout stops until it is told to go on, as it would for long where that is huge."""

    def __init__(self, server: HomeServer, thread_id: str) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        rollouts, self._thread_id = server.runtime.rollouts, thread_id
        rollouts.read = self._before(rollouts.read)  # type: ignore[method-assign]
        rollouts.lines = self._before(rollouts.lines)  # type: ignore[method-assign]

    def _before(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def slowly(rollout: RolloutRef, *args: Any, **kwargs: Any) -> Any:
            if self._thread_id in rollout.path:
                self.begun.set()
                assert self.go_on.wait(_SECONDS)
            return read(rollout, *args, **kwargs)

        return slowly

    async def until_begun(self) -> None:
        assert await anyio.to_thread.run_sync(self.begun.wait, _SECONDS)


async def test_a_fork_of_a_huge_thread_delays_no_list_no_read_and_no_turn(server: HomeServer, tools: Tools) -> None:
    huge, other = await tools.written("huge"), await tools.written("other")
    assert len(await tools.listed()) == 2
    slow, forked = Slow(server, huge), list[str]()

    async def fork() -> None:
        forked.append((await tools("thread_fork", thread_id=huge))["thread"]["id"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fork)
        await slow.until_begun()
        with anyio.fail_after(_SECONDS / 2):
            assert {thread["id"] for thread in (await tools("thread_list"))["data"]} == {huge, other}
            assert (await tools("thread_read", thread_id=other))["thread"]["id"] == other
            await tools("turn_start", thread_id=other, input="meanwhile")
            await tools("turn_complete", thread_id=other)
        assert forked == []
        slow.go_on.set()
    assert set(await tools.listed()) == {huge, other, *forked}


async def test_a_call_whose_client_has_cancelled_it_comes_to_its_end(server: HomeServer, tools: Tools) -> None:
    thread_id = await tools.written()
    assert len(await tools.listed()) == 1
    slow = Slow(server, thread_id)

    async def fork() -> None:
        with leaving:
            await tools("thread_fork", thread_id=thread_id)

    leaving = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fork)
        await slow.until_begun()
        leaving.cancel()
        assert len(await tools.listed()) == 1
        slow.go_on.set()

    async def done() -> bool:
        return len(await tools.listed()) == 2

    await tools.until(done)  # by the event that the fork has begun
    (fork_id,) = set(await tools.listed()) - {thread_id}
    read = await tools("thread_read", thread_id=fork_id, include_turns=True)
    assert (read["thread"]["forked_from_id"], read["total"]) == (thread_id, 1)
