"""Unsubscribe: the last one out closes the thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client

from mcp_server.config import Config
from mcp_server.models.times import Clocks, elapsed_ms, now_ms
from mcp_server.server import build_server
from mcp_server.storage.files.locks import CodexWriterLocks
from tests.mission.conftest import Connect, Refused, Tools, lock_files, rollouts
from tests.servers import serving_http, stdio_server

pytestmark = pytest.mark.anyio


# Codex: thread_unsubscribe_unloads_thread_and_emits_thread_closed_notification
async def test_the_last_subscriber_closes_the_thread_and_frees_its_lock(home: Path, tools: Tools) -> None:
    thread_id = await tools.written()
    answer = await tools("thread_unsubscribe", thread_id=thread_id)
    assert answer == {"thread_id": thread_id, "status": "unsubscribed"}
    assert await tools.loaded() == []
    assert lock_files(home) == []
    locks = CodexWriterLocks(home)
    locks.acquire([thread_id])
    locks.release([thread_id])
    assert (await tools.events(thread_id))[-2:] == ["thread/status/changed", "thread/closed"]
    last = (await tools("events_read", thread_id=thread_id, limit=100))["data"][-2]
    assert last["payload"]["status"] == {"type": "notLoaded"}


# Codex: thread_unsubscribe_reports_not_loaded_after_thread_is_unloaded
async def test_leaving_again_says_not_loaded_and_an_unknown_thread_is_no_error(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "notLoaded"
    unknown = "01a20564-0000-7000-8000-000000000000"
    assert (await tools("thread_unsubscribe", thread_id=unknown))["status"] == "notLoaded"


async def test_a_handle_that_leaves_keeps_the_thread_loaded_while_another_stays(tools: Tools) -> None:
    first = await tools("thread_start")
    thread_id = first["thread"]["id"]
    await tools("turn_start", thread_id=thread_id, input="hello")
    second = await tools("thread_resume", thread_id=thread_id)
    left = await tools("thread_unsubscribe", subscription_id=first["subscription_id"])
    assert left["status"] == "unsubscribed"
    assert await tools.loaded() == [thread_id]
    again = await tools("thread_unsubscribe", subscription_id=first["subscription_id"], thread_id=thread_id)
    assert again["status"] == "notSubscribed"
    await tools("thread_unsubscribe", subscription_id=second["subscription_id"])
    assert await tools.loaded() == []


# Codex: thread_unsubscribe_during_turn_interrupts_turn_and_emits_thread_closed
async def test_a_running_turn_is_interrupted_and_recorded_so(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="work")
    await tools("thread_unsubscribe", thread_id=thread_id)
    (rollout,) = rollouts(home)
    last = json.loads(rollout.read_text(encoding="utf-8").splitlines()[-1])
    assert last["payload"]["type"] == "turn_aborted"
    assert (await tools.events(thread_id))[-3:] == ["thread/status/changed", "thread/status/changed", "thread/closed"]
    assert "turn/completed" in await tools.events(thread_id)
    read = await tools("thread_read", thread_id=thread_id, include_turns=True)
    assert read["turns"][0]["status"] == "interrupted"


async def test_a_fresh_thread_vanishes_when_its_subscriber_leaves(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert rollouts(home) == []
    with pytest.raises(Refused) as refused:
        await tools("thread_read", thread_id=thread_id)
    assert refused.value.code == "thread_not_found"


# Codex: thread_unsubscribe_clears_cached_status_before_resume
async def test_a_failed_turn_shows_system_error_until_the_thread_is_closed(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="work")
    failed = await tools("turn_complete", thread_id=thread_id, status="failed", error="the model is gone")
    assert failed["turn"]["error"]["message"] == "the model is gone"
    read = await tools("thread_read", thread_id=thread_id)
    assert read["thread"]["status"] == {"type": "systemError"}
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert (await tools("thread_resume", thread_id=thread_id))["thread"]["status"] == {"type": "idle"}


class Clock:
    """A clock that a test puts forward or back."""

    def __init__(self, real: Callable[[], int]) -> None:
        self._real, self.ahead_ms = real, 0

    def __call__(self) -> int:
        return self._real() + self.ahead_ms


# Codex: thread_unsubscribe_keeps_thread_loaded_until_idle_timeout
async def test_with_an_unload_delay_the_thread_stays_until_it_is_over(connect: Connect) -> None:
    clock = Clock(elapsed_ms)
    async with connect(unload_delay=600, clocks=Clocks(elapsed_ms=clock)) as tools:
        thread_id = await tools.written()
        assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "unsubscribed"
        assert await tools.loaded() == [thread_id]
        after = (await tools("events_read", limit=100))["last_seq"]
        clock.ahead_ms = 600_000
        closed = await tools("events_read", after=after, types=["thread/closed"], wait_seconds=10)
        assert [event["thread_id"] for event in closed["data"]] == [thread_id]
        assert await tools.loaded() == []


# Codex: thread_unsubscribe_reports_not_subscribed_before_idle_unload, thread_unsubscribe_during_turn_keeps_turn_running
# thread_unsubscribe_preserves_cached_status_before_idle_unload
async def test_until_an_unload_delay_is_over_the_thread_goes_on_as_it_was(connect: Connect) -> None:
    async with connect(unload_delay=3600) as tools:
        thread_id = await tools.start()
        await tools("turn_start", thread_id=thread_id, input="work")
        assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "unsubscribed"
        assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "notSubscribed"
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["status"]["type"] == "active"
        failed = await tools("turn_complete", thread_id=thread_id, status="failed", error="the model is gone")
        assert failed["turn"]["status"] == "failed"
        assert (await tools("thread_resume", thread_id=thread_id))["thread"]["status"] == {"type": "systemError"}
        assert "thread/closed" not in await tools.events()


async def test_coming_back_within_the_unload_delay_keeps_the_thread(connect: Connect) -> None:
    clock = Clock(elapsed_ms)
    async with connect(unload_delay=600, clocks=Clocks(elapsed_ms=clock)) as tools:
        other = await tools.written()
        thread_id = await tools.written()
        await tools("thread_unsubscribe", thread_id=thread_id)
        await tools("thread_resume", thread_id=thread_id)
        await tools("thread_unsubscribe", thread_id=other)
        clock.ahead_ms = 600_000
        closed = await tools("events_read", types=["thread/closed"], wait_seconds=10)
        assert [event["thread_id"] for event in closed["data"]] == [other]
        assert await tools.loaded() == [thread_id]


# Codex: thread_archive_clears_stale_subscriptions_before_resume
async def test_archiving_ends_every_subscription(two: tuple[Tools, Tools]) -> None:
    one, other = two
    started = await one("thread_start")
    thread_id = started["thread"]["id"]
    await one("turn_start", thread_id=thread_id, input="hello")
    await one("turn_complete", thread_id=thread_id)
    await one("thread_archive", thread_id=thread_id)
    assert await one.loaded() == []
    await one("thread_unarchive", thread_id=thread_id)
    await other("thread_resume", thread_id=thread_id)
    for stale in ({"thread_id": thread_id}, {"subscription_id": started["subscription_id"]}):
        assert (await one("thread_unsubscribe", **stale))["status"] == "notSubscribed"
    assert await other.loaded() == [thread_id]


async def test_a_client_that_leaves_keeps_the_thread_for_the_one_that_stays(home: Path) -> None:
    server = build_server(replace(Config.load(home), watch=False))
    async with Client(server) as staying:
        async with Client(server) as leaving:
            shared = await Tools(leaving).written()
            alone = await Tools(leaving).written()
            await Tools(staying)("thread_resume", thread_id=shared)
        assert await Tools(staying).loaded() == [shared]
        assert lock_files(home) == [f"{shared}.lock"]
        assert (await Tools(staying).events(alone))[-2:] == ["thread/status/changed", "thread/closed"]


async def test_a_stdio_client_that_vanishes_has_left_its_threads(home: Path) -> None:
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        thread_id = await tools.start()
        await tools("turn_start", thread_id=thread_id, input="work")
        assert lock_files(home) == [f"{thread_id}.lock"]
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        assert lock_files(home) == []
        assert (await tools.events(thread_id))[-2:] == ["thread/status/changed", "thread/closed"]
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        assert read["turns"][0]["status"] == "interrupted"


CLIENT = """\
import sys, anyio
from mcp import Client, StdioServerParameters

async def main():
    server = StdioServerParameters(command=sys.executable, args=sys.argv[1:])
    async with Client(server) as client:
        started = await client.call_tool("thread_start", {})
        thread_id = started.structured_content["thread"]["id"]
        await client.call_tool("turn_start", {"thread_id": thread_id, "input": "work"})
        print(thread_id, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


async def test_a_stdio_client_that_is_killed_has_left_its_threads(home: Path) -> None:
    command = [sys.executable, "-c", CLIENT, *stdio_server(home).args]
    async with await anyio.open_process(command, stderr=None) as client, Client(stdio_server(home)) as watching:
        assert client.stdout is not None
        thread_id = (await client.stdout.receive()).decode().strip()
        assert lock_files(home) == [f"{thread_id}.lock"]
        client.kill()
        tools = Tools(watching)
        closed = await tools("events_read", types=["thread/closed"], wait_seconds=15)
        assert [event["thread_id"] for event in closed["data"]] == [thread_id]
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        assert read["turns"][0]["status"] == "interrupted"
        assert (await tools("thread_resume", thread_id=thread_id))["thread"]["status"] == {"type": "idle"}


async def test_a_thread_of_a_killed_server_can_be_resumed_by_the_next(home: Path) -> None:
    """What a kill leaves is a lock file that nobody holds, and a turn without an end."""
    server = stdio_server(home)
    async with await anyio.open_process([server.command, *server.args], stderr=None) as process:
        thread_id = await _start_a_turn(process)
        process.kill()
        await process.wait()
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        (row,) = (await tools("thread_list", last_turn="crashed"))["data"]
        assert (row["id"], row["last_turn"]) == (thread_id, "crashed")
        assert "running_in" not in row
        assert await tools.listed(last_turn=["running", "interrupted"]) == []
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        assert [turn["status"] for turn in read["turns"]] == ["crashed"]
        (node,) = (await tools("thread_tree", thread_id=thread_id))["nodes"]
        assert (node["status"], node["turns"], node["last_turn"]) == ("notLoaded", 1, "crashed")
        resumed = await tools("thread_resume", thread_id=thread_id)
        assert [turn["status"] for turn in resumed["turns"]] == ["crashed"]
        await tools("turn_start", thread_id=thread_id, input="again")
        assert await tools.listed(last_turn="running") == [thread_id]


async def test_a_server_whose_stdin_is_closed_while_a_turn_runs_ends_in_order(home: Path) -> None:
    server = stdio_server(home)
    async with await anyio.open_process([server.command, *server.args], stderr=None) as process:
        thread_id = await _start_a_turn(process)
        assert process.stdin is not None
        await process.stdin.aclose()
        with anyio.fail_after(30):
            assert await process.wait() == 0
    assert lock_files(home) == []
    (rollout,) = rollouts(home)
    assert thread_id in rollout.name
    assert json.loads(rollout.read_text(encoding="utf-8").splitlines()[-1])["payload"]["type"] == "turn_aborted"


async def test_a_legacy_http_session_that_ends_has_left_its_threads_and_modern_handles_stay(home: Path) -> None:
    with serving_http(home) as url:
        async with Client(url) as watcher:
            watch = Tools(watcher)
            async with Client(url, mode="legacy") as leaving:
                legacy = await Tools(leaving).start()
            async with Client(url) as leaving:
                modern = await Tools(leaving)("thread_start")
            closed = await watch("events_read", types=["thread/closed"], wait_seconds=10)
            assert [event["thread_id"] for event in closed["data"]] == [legacy]
            assert await watch.loaded() == [modern["thread"]["id"]]
            await watch("thread_unsubscribe", subscription_id=modern["subscription_id"])
            assert await watch.loaded() == []


async def _start_a_turn(process: Process) -> str:
    """Starts a thread and a turn over the bare protocol, once the index is built; returns the thread's id."""
    assert process.stdin is not None
    assert process.stdout is not None
    lines = BufferedByteReceiveStream(process.stdout)

    async def ask(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        await process.stdin.send(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(await lines.receive_until(b"\n", 1 << 20))
            if answer.get("id") == number:
                return answer["result"]

    client = {"name": "bare", "version": "1"}
    await ask(1, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
    started = await ask(2, "tools/call", {"name": "thread_start", "arguments": {}})
    thread_id = str(started["structuredContent"]["thread"]["id"])
    turn = {"name": "turn_start", "arguments": {"thread_id": thread_id, "input": "work"}}
    await ask(3, "tools/call", turn)
    return thread_id


# ---------------------------------------------------------------------------------------------- the wall clock


async def test_a_wall_clock_that_is_set_back_keeps_nobody_waiting(connect: Connect) -> None:
    wall_clock = Clock(now_ms)
    async with connect(clocks=Clocks(now_ms=wall_clock)) as tools:
        thread_id = await tools.written()
        after = (await tools("events_read", limit=100))["last_seq"]

        async def wait() -> None:
            assert (await tools("events_read", after=after, wait_seconds=1))["data"] == []

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await tools("thread_read", thread_id=thread_id)  # the first call is under way by then
                wall_clock.ahead_ms = -3_600_000
