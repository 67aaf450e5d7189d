"""Short runs of the load command, and a race of several servers for one thread."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.by_night import nightly
from tests.many.load import check, made_home, run
from tests.mission.conftest import Refused, Tools
from tests.servers import stdio_server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("before", [nightly(0), 300])
async def test_servers_started_together_lose_no_call_and_no_item(tmp_path: Path, before: int) -> None:
    """On an empty home, and on one that none of them has indexed yet."""
    made_home(tmp_path / "home", before)
    outcome = await run(tmp_path / "home", processes=6, seconds=3)
    assert len(outcome.messages) >= 6
    assert await check(tmp_path / "home", outcome, before) == []


async def test_of_several_servers_that_want_one_thread_one_writes_and_the_others_are_told_who(tmp_path: Path) -> None:
    """And when the one is killed, the next that asks has the thread, with all that was written."""
    home, racers = tmp_path / "home", 4
    async with Client(stdio_server(home)) as earlier:
        thread_id = await Tools(earlier).written("first")
    won: list[int] = []
    told: list[Refused] = []
    async with AsyncExitStack() as stack:
        clients: list[Tools] = []
        for number in range(racers):
            server = stdio_server(home, pid_file=tmp_path / f"pid-{number}")
            clients.append(Tools(await stack.enter_async_context(Client(server))))

        async def want(number: int) -> None:
            try:
                await clients[number]("thread_resume", thread_id=thread_id)
                await clients[number]("turn_start", thread_id=thread_id, input="by the winner")
                won.append(number)
            except Refused as refusal:
                told.append(refusal)

        async with anyio.create_task_group() as race:
            for number in range(racers):
                race.start_soon(want, number)
        (winner,) = won
        pid = int((tmp_path / f"pid-{winner}").read_text())
        assert [refusal.code for refusal in told] == ["active_writer"] * (racers - 1)
        assert all(f"(pid {pid})" in refusal.sentence for refusal in told)

        os.kill(pid, signal.SIGKILL)
        heir = clients[(winner + 1) % racers]
        with anyio.fail_after(10):
            while True:  # the system frees a lock when it has buried its holder; nothing tells when
                try:
                    resumed = await heir("thread_resume", thread_id=thread_id)
                    break
                except Refused as refusal:
                    told.append(refusal)
        assert {refusal.code for refusal in told} == {"active_writer"}
        turns = resumed["turns"]
        assert sorted(turn["status"] for turn in turns) == ["completed", "crashed"]
