"""A call that is repeated with its request id is done once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from mcp import Client

from mcp_server.codex.files import RolloutRef
from mcp_server.config import Config
from mcp_server.server import HomeServer, build_server
from mcp_server.storage.sqlite.bounds import StateBounds
from tests.mission.conftest import Connect, Era, Refused, Tools

pytestmark = pytest.mark.anyio


async def test_the_same_request_id_returns_the_first_result_and_does_nothing(tools: Tools) -> None:
    first = await tools("thread_start", name="once", request_id="r1")
    again = await tools("thread_start", name="once", request_id="r1")
    assert again == first
    thread_id = first["thread"]["id"]
    assert await tools.loaded() == [thread_id]
    await tools("turn_start", thread_id=thread_id, input="hello")
    items = [{"type": "agentMessage", "text": "said once"}]
    for _ in range(2):
        await tools("turn_append", thread_id=thread_id, items=items, request_id="r2")
    assert (await tools("thread_items", thread_id=thread_id))["total"] == 2


async def test_a_request_id_is_not_taken_for_another_call(tools: Tools) -> None:
    await tools("thread_start", name="one", request_id="r1")
    with pytest.raises(Refused, match="was used before") as refused:
        await tools("thread_start", name="two", request_id="r1")
    assert refused.value.code == "request_id_reused"


async def test_a_refused_call_can_be_repeated_with_its_request_id(tools: Tools) -> None:
    thread_id = await tools.start()
    with pytest.raises(Refused):
        await tools("thread_archive", thread_id=thread_id, request_id="r1")
    await tools("turn_start", thread_id=thread_id, input="hello")
    await tools("turn_complete", thread_id=thread_id)
    assert (await tools("thread_archive", thread_id=thread_id, request_id="r1"))["archived"] == [thread_id]


async def test_a_request_id_of_one_tool_is_refused_by_every_other(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_update", thread_id=thread_id, name="named", request_id="r1")
    for verb in ("thread_archive", "thread_unsubscribe", "thread_fork"):
        with pytest.raises(Refused, match="thread_update") as refused:
            await tools(verb, thread_id=thread_id, request_id="r1")
        assert refused.value.code == "request_id_reused"
    assert await tools.loaded() == [thread_id]


async def test_calls_at_the_same_time_with_one_request_id_are_one_call(tools: Tools) -> None:
    answers: list[dict[str, Any]] = []

    async def start() -> None:
        answers.append(await tools("thread_start", request_id="r1"))

    async with anyio.create_task_group() as calls:
        for _ in range(5):
            calls.start_soon(start)
    assert answers == [answers[0]] * 5
    assert await tools.loaded() == [answers[0]["thread"]["id"]]


async def test_a_request_id_is_remembered_by_the_next_server(connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        await tools("thread_unsubscribe", thread_id=thread_id)
        first = await tools("thread_archive", thread_id=thread_id, request_id="r1")
    async with connect() as tools:
        await tools("thread_unarchive", thread_id=thread_id)
        assert await tools("thread_archive", thread_id=thread_id, request_id="r1") == first
        assert await tools.listed() == [thread_id]


# ---------------------------------------------------------------------------------------------- cut short


@dataclass
class Disk:
    """A server's disk, which takes its time with each append: until it is told to go on."""

    server: HomeServer
    written_to: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        rollouts = self.server.runtime.rollouts
        append = rollouts.append

        def slowly(rollout: RolloutRef, data: bytes) -> RolloutRef:
            anyio.from_thread.run_sync(self.written_to.set)
            anyio.from_thread.run(self.go_on.wait)
            return append(rollout, data)

        rollouts.append = slowly  # type: ignore[method-assign]


@pytest.fixture
def server(home: Path) -> HomeServer:
    return build_server(replace(Config.load(home), watch=False))


@pytest.fixture
def impatient_server(home: Path) -> HomeServer:
    """It waits for no other that holds the state DB."""
    bounds = StateBounds(busy_seconds=0.01, write_seconds=0.05)
    return build_server(replace(Config.load(home), watch=False, database=bounds))


@asynccontextmanager
async def client_of(server: HomeServer, era: Era) -> AsyncGenerator[Tools]:
    async with Client(server, mode=era) as client:
        yield Tools(client)


SAID = [{"type": "agentMessage", "text": "said once"}]


async def running(tools: Tools) -> str:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="hello")
    return thread_id


async def said(tools: Tools, thread_id: str) -> int:
    items = (await tools("thread_items", thread_id=thread_id, limit=100))["data"]
    return [entry["item"].get("text") for entry in items].count("said once")


async def test_a_call_that_is_cancelled_within_its_work_is_done_once(server: HomeServer, era: Era) -> None:
    async with client_of(server, era) as tools:
        thread_id = await running(tools)
        disk = Disk(server)

        async def append(answers: list[Any]) -> None:
            answers.append(await tools("turn_append", thread_id=thread_id, items=SAID, request_id="r1"))

        first: list[Any] = []
        repeated: list[Any] = []
        async with anyio.create_task_group() as calls:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(append, first)
                await disk.written_to.wait()
                calls.start_soon(append, repeated)
                await tools.loaded()
                cancelled.cancel_scope.cancel()
                disk.go_on.set()
            calls.start_soon(append, repeated)
        assert first in ([], repeated[:1])  # without a wire between them, an answer may come all the same
        assert repeated[0] == repeated[1]
        assert await said(tools, thread_id) == 1


async def test_a_cancelled_repetition_lets_no_other_in_before_the_first_is_done(server: HomeServer, era: Era) -> None:
    async with client_of(server, era) as tools:
        thread_id = await running(tools)
        disk = Disk(server)

        async def append() -> None:
            await tools("turn_append", thread_id=thread_id, items=SAID, request_id="r1")

        async with anyio.create_task_group() as calls:
            calls.start_soon(append)
            await disk.written_to.wait()
            async with anyio.create_task_group() as second:
                second.start_soon(append)
                await tools.loaded()
                second.cancel_scope.cancel()
            calls.start_soon(append)
            await tools.loaded()
            disk.go_on.set()
        assert await said(tools, thread_id) == 1


async def test_a_call_whose_outcome_can_not_be_written_is_answered_and_done_once(
    home: Path, impatient_server: HomeServer, era: Era
) -> None:
    async with client_of(impatient_server, era) as tools:
        thread_id = await running(tools)
        disk = Disk(impatient_server)
        answers: list[Any] = []

        async def append() -> None:
            answers.append(await tools("turn_append", thread_id=thread_id, items=SAID, request_id="r1"))

        with closing(sqlite3.connect(home / "threadstore.sqlite", isolation_level=None)) as other:
            async with anyio.create_task_group() as calls:
                calls.start_soon(append)
                await disk.written_to.wait()
                other.execute("BEGIN IMMEDIATE")
                disk.go_on.set()
            await append()
            other.execute("ROLLBACK")
        await append()
        assert answers == [answers[0]] * 3
        assert await said(tools, thread_id) == 1


async def test_a_call_whose_claim_can_not_be_written_is_not_begun(
    home: Path, impatient_server: HomeServer, era: Era
) -> None:
    async with client_of(impatient_server, era) as tools:
        thread_id = await running(tools)
        append: dict[str, Any] = {"thread_id": thread_id, "items": SAID, "request_id": "r1"}
        with closing(sqlite3.connect(home / "threadstore.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Refused) as refused:
                await tools("turn_append", **append)
            other.execute("ROLLBACK")
        assert refused.value.code == "store_failure"
        assert await said(tools, thread_id) == 0
        await tools("turn_append", **append)
        assert await said(tools, thread_id) == 1


def forget_the_outcomes(home: Path) -> None:
    """As a process leaves it that was killed between its work and the receipt."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with closing(sqlite3.connect(home / "threadstore.sqlite")) as db:
        db.execute("UPDATE receipts SET result = NULL, process = ?", (f"{ended.pid}:worker",))
        db.commit()


async def test_a_repeated_call_that_a_kill_cut_short_is_refused_with_the_way_to_look(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        start: dict[str, Any] = {"thread_id": thread_id, "input": "said once", "request_id": "start"}
        fork: dict[str, Any] = {"thread_id": thread_id, "request_id": "fork"}
        await tools("turn_start", **start)
        await tools("turn_complete", thread_id=thread_id)
        await tools("thread_fork", **fork)
    forget_the_outcomes(home)
    async with connect() as tools:
        await tools("thread_resume", thread_id=thread_id)
        for tool, arguments, way in (("turn_start", start, "thread_read"), ("thread_fork", fork, "thread_list")):
            with pytest.raises(Refused, match=way) as refused:
                await tools(tool, **arguments)
            assert refused.value.code == "outcome_unknown"
        turns = (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"]
        assert len(turns) == 2
        assert len(await tools.listed()) == 2
        await tools("turn_start", thread_id=thread_id, input="said twice", request_id="another")


async def test_a_repeated_call_that_a_kill_cut_short_is_done_again_where_that_is_harmless(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        await tools("thread_unsubscribe", thread_id=thread_id)
        await tools("thread_archive", thread_id=thread_id, request_id="archive")
        await tools("thread_start", request_id="start")
    forget_the_outcomes(home)
    async with connect() as tools:
        repeated = await tools("thread_archive", thread_id=thread_id, request_id="archive")
        assert repeated["already_archived"] == [thread_id]
        assert await tools("thread_archive", thread_id=thread_id, request_id="archive") == repeated
        started = await tools("thread_start", request_id="start")
        assert await tools.loaded() == [started["thread"]["id"]], "the first was in the killed process's memory"


async def test_a_turn_that_did_not_come_to_be_is_opened_by_the_repeated_call(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        start: dict[str, Any] = {"thread_id": thread_id, "input": "said once", "request_id": "r1"}
        await tools("turn_start", **start)
    (rollout,) = home.rglob("rollout-*.jsonl")
    stored = rollout.read_bytes()
    rollout.write_bytes(stored[: stored.rindex(b"\n", 0, stored.rindex(b"task_started")) + 1])
    os.utime(rollout, (1_700_000_000, 1_700_000_000))
    forget_the_outcomes(home)
    async with connect() as tools:
        await tools("thread_resume", thread_id=thread_id)
        await tools("turn_start", **start)
        turns = (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"]
        assert len(turns) == 2


# ---------------------------------------------------------------------------------------------- whose it is


async def test_the_same_request_id_of_two_clients_is_two(two: tuple[Tools, Tools]) -> None:
    one, other = two
    first = await one("thread_start", request_id="1")
    second = await other("thread_start", request_id="1")
    assert first["thread"]["id"] != second["thread"]["id"]
    assert first["subscription_id"] != second["subscription_id"]
    assert await one("thread_start", request_id="1") == first
    assert await other("thread_start", request_id="1") == second
    await other("thread_start", name="another call", request_id="2")
    await one("thread_start", name="and another", request_id="2")


async def test_a_thread_finds_its_request_ids_over_any_connection(two: tuple[Tools, Tools]) -> None:
    one, other = two
    ada = {"threadId": "01a20564-0000-7000-8000-00000000000a"}
    bob = {"threadId": "01a20564-0000-7000-8000-00000000000b"}
    first = await one("thread_start", meta=ada, request_id="1")
    assert await other("thread_start", meta=ada, request_id="1") == first
    assert await one("thread_start", meta=bob, request_id="1") != first
    assert await one("thread_start", request_id="1") != first


async def test_a_dry_run_uses_up_no_request_id(tools: Tools) -> None:
    thread_id = await tools.written()
    planned = await tools("thread_archive", thread_id=thread_id, dry_run=True, request_id="r1")
    assert (await tools("thread_archive", thread_id=thread_id, request_id="r1"))["archived"] == planned["archived"]


async def test_tools_that_only_read_take_no_request_id(tools: Tools) -> None:
    offered = (await tools.client.list_tools()).tools
    for tool in offered:
        reads = bool(tool.annotations and tool.annotations.read_only_hint)
        assert ("request_id" in tool.input_schema["properties"]) == (not reads and tool.name != "store_repair")
    with pytest.raises(Refused, match="request_id"):
        await tools("thread_list", request_id="r1")
