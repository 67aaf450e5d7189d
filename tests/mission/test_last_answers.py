"""What a client asked before it closed its side is answered before the server ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.bare import Bare, bare, call, hello, request
from tests.mission.conftest import Tools, rollouts
from tests.servers import stdio_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX"),
]


@pytest.fixture
async def written(home: Path) -> str:
    async with Client(stdio_server(home)) as client:
        return await Tools(client).written("hello")


@pytest.mark.parametrize("source", ["pipe", "file"])
@pytest.mark.parametrize("tool", ["thread_update", "thread_archive", "thread_search"])
async def test_requests_that_come_just_before_the_end_of_stdin_are_all_answered(
    home: Path, written: str, source: str, tool: str, tmp_path: Path
) -> None:
    arguments = {
        "thread_update": {"thread_id": written, "name": "told"},
        "thread_archive": {"thread_id": written},
        "thread_search": {"search_term": "hello"},
    }
    asked = tmp_path / "asked"
    asked.write_bytes(hello() + call(1, tool, **arguments[tool]) + call(2, "thread_list") + request(3, "ping"))
    server = stdio_server(home)
    command = [server.command, *server.args]
    if source == "file":
        with asked.open("rb") as stdin:
            done = await anyio.run_process(command, stdin=stdin, stderr=None)
    else:
        done = await anyio.run_process(command, input=asked.read_bytes(), stderr=None)
    answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert sorted(answers) == [0, 1, 2, 3]
    assert all("result" in answer for answer in answers.values())
    assert not answers[1]["result"].get("isError")


async def test_a_waiting_events_read_is_answered_at_once_when_its_client_closes_stdin(home: Path) -> None:
    async with bare(home) as server:
        await server.send(call(1, "events_read", after=0, wait_seconds=50) + request(2, "ping"))
        await server.answer(2)
        (answer,) = await server.leave()
    assert answer["id"] == 1
    assert answer["result"]["structuredContent"] == {"last_seq": 0}


async def test_a_question_to_a_client_that_closed_stdin_is_a_no(home: Path, written: str) -> None:
    async with bare(home, greeting=hello(elicitation={})) as server:
        await server.send(call(1, "thread_delete", thread_id=written))
        while (await server.read()).get("method") != "elicitation/create":
            pass
        (answer,) = await server.leave()
    assert answer["id"] == 1
    assert "error" in answer or answer["result"]["isError"]
    assert len(rollouts(home)) == 1


async def test_a_cancelled_call_and_a_listen_stream_do_not_delay_the_end(home: Path) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
    }
    listen = {"notifications": {"resourceSubscriptions": ["threads://recent"]}, "_meta": meta}
    wait = {"name": "events_read", "arguments": {"wait_seconds": 50}, "_meta": meta}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
    async with bare(home, greeting=b"") as server:
        await server.send(request(1, "subscriptions/listen", listen) + request(2, "tools/call", wait))
        await server.send(json.dumps(cancel).encode() + b"\n" + request(3, "tools/list", {"_meta": meta}))
        await server.answer(3)
        left = await server.leave()
    assert 2 not in [message.get("id") for message in left]


async def test_a_client_that_closes_stdout_ends_the_server(home: Path) -> None:
    """Its end of the output is closed, and that of the input stays open."""
    server, (ours, theirs) = stdio_server(home), os.pipe()
    async with await anyio.open_process([server.command, *server.args], stdout=theirs, stderr=None) as process:
        os.close(theirs)
        assert process.stdin is not None
        await process.stdin.send(hello() + call(1, "thread_start"))
        with os.fdopen(ours, "rb") as answers:
            started = [await anyio.to_thread.run_sync(answers.readline) for _ in range(2)][1]
            thread_id = json.loads(started)["result"]["structuredContent"]["thread"]["id"]
            await process.stdin.send(call(2, "turn_start", thread_id=thread_id, input="work"))
            await anyio.to_thread.run_sync(answers.readline)
        await process.stdin.send(request(3, "ping"))
        with anyio.fail_after(60):
            assert await process.wait() == 0
    assert last_line(home) == "turn_aborted"


@pytest.fixture
def heeded() -> Iterator[None]:
    """A child has SIGHUP's default, also where these tests run under nohup, which has it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("times", [1, 2])
async def test_a_hang_up_ends_the_server_with_its_threads_closed(home: Path, times: int) -> None:
    """A terminal that goes away may tell it twice."""
    async with bare(home) as server:
        thread_id = (await server.ask(1, "thread_start"))["thread"]["id"]
        await server.ask(2, "turn_start", thread_id=thread_id, input="work")
        for _ in range(times):
            server.process.send_signal(signal.SIGHUP)
        await server.rest()
    assert last_line(home) == "turn_aborted"
    assert not (home / "thread-writer-locks" / f"{thread_id}.lock").exists()


async def test_a_server_under_nohup_survives_a_hang_up(home: Path) -> None:
    server = stdio_server(home)
    async with await anyio.open_process(["nohup", server.command, *server.args], stderr=None) as process:
        client = Bare(process)
        await client.send(hello())
        await client.answer(0)
        process.send_signal(signal.SIGHUP)
        await client.send(request(1, "ping"))
        assert "result" in await client.answer(1)
        await client.leave()


def last_line(home: Path) -> str:
    (rollout,) = rollouts(home)
    return str(json.loads(rollout.read_text(encoding="utf-8").splitlines()[-1])["payload"]["type"])
