"""Calls that come at the same time for one thread that is not loaded wait for each other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from mcp import Client

from mcp_server.codex.files import RolloutRef
from mcp_server.config import Config
from mcp_server.server import HomeServer, build_server
from tests.mission.conftest import Era, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(home: Path) -> HomeServer:
    return build_server(replace(Config.load(home), watch=False))


@pytest.fixture
async def tools(server: HomeServer, era: Era) -> AsyncIterator[Tools]:
    async with Client(server, mode=era) as client:
        yield Tools(client)


Step = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Gate:
    """A step that is begun and does not go on before it is told to."""

    begun: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def gated(*args: Any, **kwargs: Any) -> Any:
            anyio.from_thread.run_sync(self.begun.set)
            anyio.from_thread.run(self.go_on.wait)
            return step(*args, **kwargs)

        return gated


@dataclass
class Calls:
    """Calls under way, with what came of each: its answer, or the code that it was refused with."""

    tools: Tools
    outcomes: dict[str, Any] = field(default_factory=dict[str, Any])

    async def __call__(self, label: str, tool: str, **arguments: Any) -> None:
        try:
            self.outcomes[label] = await self.tools(tool, **arguments)
        except Refused as refused:
            self.outcomes[label] = refused.code


async def unloaded(tools: Tools) -> str:
    thread_id = await tools.written()
    await tools("thread_unsubscribe", thread_id=thread_id)
    return thread_id


async def together(gate: Gate, calls: Calls, *steps: Step) -> None:
    """The first of these up to the gate, then the others, and the gate is opened once they wait."""
    async with anyio.create_task_group() as group:
        group.start_soon(steps[0])
        await gate.begun.wait()
        for step in steps[1:]:
            group.start_soon(step)
        await calls.tools.loaded()
        gate.go_on.set()


async def test_a_turn_is_opened_once_the_thread_is_loaded(server: HomeServer, tools: Tools) -> None:
    thread_id = await unloaded(tools)
    gate, calls = Gate(), Calls(tools)
    server.runtime.locks.acquire = gate.before(server.runtime.locks.acquire)  # type: ignore[method-assign]
    await together(
        gate,
        calls,
        partial(calls, "resumed", "thread_resume", thread_id=thread_id),
        partial(calls, "again", "thread_resume", thread_id=thread_id),
        partial(calls, "turn", "turn_start", thread_id=thread_id, input="go on"),
    )
    assert calls.outcomes["turn"]["turn"]["status"] == "inProgress"
    handles = {calls.outcomes[label]["subscription_id"] for label in ("resumed", "again")}
    assert len(handles) == 2


async def test_changes_of_metadata_are_made_one_after_the_other(home: Path, tools: Tools) -> None:
    thread_id = await unloaded(tools)
    calls = Calls(tools)
    async with anyio.create_task_group() as group:
        for n in range(8):
            update: dict[str, Any] = {"thread_id": thread_id, "git_info": {"branch": f"b{n}"}}
            group.start_soon(partial(calls, str(n), "thread_update", **update))
    branches = [calls.outcomes[str(n)]["thread"]["branch"] for n in range(8)]
    assert branches == [f"b{n}" for n in range(8)]
    (rollout,) = rollouts(home)
    written = map(json.loads, rollout.read_text(encoding="utf-8").splitlines())
    assert sum(line["type"] == "session_meta" for line in written) == 9


async def test_an_archive_waits_for_a_change_of_metadata_and_loses_nothing_of_it(
    server: HomeServer, tools: Tools
) -> None:
    thread_id = await unloaded(tools)
    gate, calls = Gate(), Calls(tools)
    server.runtime.rollouts.append = gate.before(server.runtime.rollouts.append)  # type: ignore[method-assign]
    await together(
        gate,
        calls,
        partial(calls, "git", "thread_update", thread_id=thread_id, git_info={"branch": "kept"}),
        partial(calls, "archive", "thread_archive", thread_id=thread_id),
        partial(calls, "name", "thread_update", thread_id=thread_id, name="too late, or in time"),
    )
    assert calls.outcomes["archive"]["archived"] == [thread_id]
    read = (await tools("thread_read", thread_id=thread_id))["thread"]
    assert (read["archived"], read["git_info"]["branch"]) == (True, "kept")


async def test_a_thread_that_is_being_closed_is_loaded_again_after_that(server: HomeServer, tools: Tools) -> None:
    thread_id = await tools.written()
    gate, calls = Gate(), Calls(tools)
    server.runtime.locks.release = gate.before(server.runtime.locks.release)  # type: ignore[method-assign]
    await together(
        gate,
        calls,
        partial(calls, "left", "thread_unsubscribe", thread_id=thread_id),
        partial(calls, "resumed", "thread_resume", thread_id=thread_id),
        partial(calls, "git", "thread_update", thread_id=thread_id, git_info={"branch": "b"}),
    )
    assert calls.outcomes["left"]["status"] == "unsubscribed"
    assert calls.outcomes["resumed"]["thread"]["status"] == {"type": "idle"}
    assert calls.outcomes["git"]["thread"]["branch"] == "b"
    assert await tools.loaded() == [thread_id]
    told = await tools.events(thread_id)
    assert told.index("thread/closed") < len(told) - 1, "the thread is told to be there again after it was closed"


@pytest.mark.parametrize("reading", ["thread_read", "thread_items", "thread_fork"])
async def test_a_thread_that_is_moved_while_it_is_read_is_found_where_it_lies_then(
    server: HomeServer, tools: Tools, reading: str
) -> None:
    thread_id = await unloaded(tools)
    store = server.runtime.rollouts
    read, lines = store.read, store.lines
    moved = False

    def move() -> None:
        nonlocal moved
        if not moved:
            moved = True
            anyio.from_thread.run(partial(tools, "thread_archive", thread_id=thread_id))

    def read_late(rollout: RolloutRef, ranges: Any) -> Any:
        move()
        return read(rollout, ranges)

    def lines_late(*args: Any, **kwargs: Any) -> Iterator[Any]:
        move()
        yield from lines(*args, **kwargs)

    store.read, store.lines = read_late, lines_late  # type: ignore[method-assign, assignment]
    calls = Calls(tools)
    await calls(
        "outcome", reading, thread_id=thread_id, **({"include_turns": True} if reading == "thread_read" else {})
    )
    assert moved
    outcome = calls.outcomes["outcome"]
    shown = {
        "thread_read": lambda: len(outcome["turns"]) == 1,
        "thread_items": lambda: outcome["total"] == 2,
        "thread_fork": lambda: outcome == "thread_archived",
    }
    assert shown[reading]()


@pytest.mark.parametrize("pair", [("thread_archive", "thread_resume"), ("thread_delete", "thread_update")])
async def test_the_second_of_two_calls_at_once_succeeds_or_is_refused_for_what_the_first_did(
    tools: Tools, pair: tuple[str, str]
) -> None:
    first, second = pair
    arguments: dict[str, dict[str, Any]] = {
        "thread_delete": {},
        "thread_update": {"git_info": {"branch": "b"}},
    }
    for _ in range(5):
        thread_id = await unloaded(tools)
        arguments["thread_delete"]["confirm_thread_id"] = thread_id
        calls = Calls(tools)
        async with anyio.create_task_group() as group:
            for tool in (first, second):
                group.start_soon(partial(calls, tool, tool, thread_id=thread_id, **arguments.get(tool, {})))
        assert isinstance(calls.outcomes[first], dict)
        refusal = calls.outcomes[second]
        assert isinstance(refusal, dict) or refusal in ("thread_archived", "thread_not_found")
