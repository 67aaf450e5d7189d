"""events_read: from now on, of a tree, and until the turn of a thread ends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.mission.conftest import Connect, Refused, Tools, grow

pytestmark = pytest.mark.anyio


async def test_now_leaves_out_all_that_was(tools: Tools) -> None:
    await tools.written()
    now = await tools("events_read", after="now")
    assert now["data"] == []
    thread_id = await tools.written()
    later = await tools("events_read", after=now["last_seq"], limit=100)
    assert {event["thread_id"] for event in later["data"]} == {thread_id}


async def test_a_seq_beyond_the_log_is_refused_with_its_end(tools: Tools) -> None:
    await tools.written()
    last = (await tools("events_read", after="now"))["last_seq"]
    assert (await tools("events_read", after=last))["data"] == []
    with pytest.raises(Refused, match=f"the log ends at {last}") as refused:
        await tools("events_read", after=last + 1)
    assert refused.value.code == "invalid_argument"


async def test_an_ancestor_gives_the_events_of_its_tree(tools: Tools) -> None:
    tree = await grow(tools)
    await tools.written("beside")
    told = await tools("events_read", ancestor_thread_id=tree.left, types=["turn/completed"])
    assert [event["thread_id"] for event in told["data"]] == [tree.left, tree.leaf]
    with pytest.raises(Refused, match="ancestor_thread_id"):
        await tools("events_read", ancestor_thread_id=tree.left, thread_id=tree.leaf)


async def test_a_wait_for_the_end_of_a_turn_gives_its_outcome_and_last_message(two: tuple[Tools, Tools]) -> None:
    agent, waiting = two
    thread_id = await agent.start()
    turn = await agent("turn_start", thread_id=thread_id, input="work")
    answers: list[dict[str, Any]] = []

    async def wait() -> None:
        answers.append(
            await waiting("events_read", after="now", thread_id=thread_id, until="turn_end", wait_seconds=30)
        )

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await agent("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": "half"}])
        assert answers == []
        await agent("turn_complete", thread_id=thread_id, message="all of it")
    (answer,) = answers
    assert answer["outcome"] == {
        "thread_id": thread_id,
        "running": False,
        "turn_id": turn["turn"]["id"],
        "status": "completed",
        "message": "all of it",
    }


async def test_a_wait_that_is_over_says_that_the_turn_still_runs(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="work")
    told = await tools("events_read", thread_id=thread_id, until="turn_end", wait_seconds=0.2)
    assert (told["outcome"]["running"], told["outcome"]["status"]) == (True, "inProgress")
    await tools("turn_complete", thread_id=thread_id, status="failed", error="overloaded")
    told = await tools("events_read", thread_id=thread_id, until="turn_end", wait_seconds=30)
    assert (told["outcome"]["running"], told["outcome"]["status"]) == (False, "failed")
    assert told["outcome"]["error"] == "overloaded"


async def test_a_turn_that_runs_in_another_server_is_waited_for(connect: Connect, home: Path) -> None:
    async with connect() as one, connect() as other:
        thread_id = await one.start()
        await one("turn_start", thread_id=thread_id, input="work")
        running = await other("events_read", thread_id=thread_id, until="turn_end")
        assert running["outcome"]["running"] is True
        wait = partial(other, "events_read", thread_id=thread_id, until="turn_end", wait_seconds=30)
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await one("turn_complete", thread_id=thread_id, message="done elsewhere")
        assert (await wait())["outcome"]["message"] == "done elsewhere"


async def test_a_wait_for_a_turn_names_its_thread(tools: Tools) -> None:
    with pytest.raises(Refused, match="until") as refused:
        await tools("events_read", until="turn_end")
    assert refused.value.code == "invalid_argument"
