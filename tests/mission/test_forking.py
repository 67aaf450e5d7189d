"""Fork: a copy with its own id, the source as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio


def said(answer: dict[str, Any]) -> list[str]:
    return [turn["items"][0]["content"][0]["text"] for turn in answer["turns"]]


async def conversation(tools: Tools, *messages: str, **arguments: Any) -> tuple[str, list[str]]:
    """A thread with one complete turn a message, and the ids of the turns."""
    thread_id = await tools.start(**arguments)
    turns: list[str] = []
    for message in messages:
        turns.append((await tools("turn_start", thread_id=thread_id, input=message))["turn"]["id"])
        await tools("turn_complete", thread_id=thread_id)
    return thread_id, turns


# Codex: thread_fork_creates_new_thread_and_emits_started, thread_read_returns_forked_from_id_for_forked_threads
async def test_a_fork_has_the_history_and_leaves_the_source_as_it_was(home: Path, tools: Tools) -> None:
    source, _ = await conversation(tools, "one", "two", model="m", cwd="/work")
    (original,) = rollouts(home)
    before = (original.read_bytes(), original.stat().st_mtime_ns)
    after = (await tools("events_read", limit=100))["last_seq"]
    fork = await tools("thread_fork", thread_id=source)
    thread = fork["thread"]
    assert thread["id"] != source
    assert (thread["forked_from_id"], thread["preview"], thread["status"]) == (source, "one", {"type": "idle"})
    assert (said(fork), thread["name"], fork["model"], fork["cwd"]) == (["one", "two"], None, "m", "/work")
    assert Path(thread["path"]).exists()
    events = await tools("events_read", after=after)
    (started,) = [event for event in events["data"] if event["thread_id"] == thread["id"]]
    assert (started["type"], started["payload"]["thread"]["id"]) == ("thread/started", thread["id"])
    await tools("turn_start", thread_id=thread["id"], input="only here")
    assert (original.read_bytes(), original.stat().st_mtime_ns) == before
    assert (await tools("thread_read", thread_id=thread["id"]))["thread"]["forked_from_id"] == source
    assert (await tools("thread_read", thread_id=source, include_turns=True))["total"] == 2


@pytest.mark.parametrize(
    ("bound", "turn", "kept"),
    [("last_turn_id", 1, ["one", "two"]), ("before_turn_id", 1, ["one"]), ("before_turn_id", 0, [])],
)
async def test_a_fork_ends_where_it_is_told(tools: Tools, bound: str, turn: int, kept: list[str]) -> None:
    source, turns = await conversation(tools, "one", "two", "three")
    bounded: dict[str, Any] = {bound: turns[turn]}
    fork = await tools("thread_fork", thread_id=source, **bounded)
    assert said(fork) == kept
    begun = {name: turn_id[:18] for name, turn_id in bounded.items()}
    assert said(await tools("thread_fork", thread_id=source, **begun)) == kept
    with pytest.raises(Refused):
        await tools("thread_fork", thread_id=source, last_turn_id=turns[0], before_turn_id=turns[0])
    with pytest.raises(Refused) as refused:
        await tools("thread_fork", thread_id=source, last_turn_id="no such turn")
    assert refused.value.code == "turn_not_found"


async def test_a_fork_that_is_refused_leaves_nothing(home: Path, tools: Tools) -> None:
    source, _ = await conversation(tools, "one")
    before = (await tools.loaded(), sorted(home.rglob("*")), await tools.events())
    with pytest.raises(Refused):
        await tools("thread_fork", thread_id=source, last_turn_id="no such turn")
    assert (await tools.loaded(), sorted(home.rglob("*")), await tools.events()) == before


async def test_a_turn_in_progress_is_interrupted_in_the_copy_alone(tools: Tools) -> None:
    source = await tools.start()
    await tools("turn_start", thread_id=source, input="at work")
    fork = await tools("thread_fork", thread_id=source)
    assert [turn["status"] for turn in fork["turns"]] == ["interrupted"]
    assert fork["thread"]["status"] == {"type": "idle"}
    read = await tools("thread_read", thread_id=source, include_turns=True)
    assert [turn["status"] for turn in read["turns"]] == ["inProgress"]


# Codex: thread_fork_inherits_explicit_source_name_from_session_index
async def test_the_name_goes_with_the_copy(connect: Connect) -> None:
    async with connect() as tools:
        source, _ = await conversation(tools, "hello")
        await tools("thread_update", thread_id=source, name="both")
        fork = (await tools("thread_fork", thread_id=source))["thread"]["id"]
    async with connect() as tools:
        listed = (await tools("thread_list"))["data"]
        assert {thread["id"]: thread["name"] for thread in listed} == {source: "both", fork: "both"}


# Codex: thread_fork_ephemeral_remains_pathless_and_omits_listing
async def test_an_ephemeral_copy_has_no_file_and_can_go_on(home: Path, tools: Tools) -> None:
    source, _ = await conversation(tools, "hello")
    copy = await tools("thread_fork", thread_id=source, ephemeral=True)
    fork = copy["thread"]
    assert (fork["ephemeral"], fork["path"], said(copy)) == (True, None, ["hello"])
    await tools("turn_start", thread_id=fork["id"], input="secret")
    await tools("turn_complete", thread_id=fork["id"])
    assert await tools.listed() == [source]
    assert len(rollouts(home)) == 1
