"""What Codex wrote in 2025, in the forms that it has left since: read, gone on with where that is safe, never lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, Json, Refused, Tools, rollouts
from tests.mission.searches import ONE, passages, put, search
from tests.threads.rollout_lines import agent, line, user

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------------------------------------- sandbox policies


@pytest.mark.parametrize(
    ("recorded", "in_force"),
    [
        (
            {"mode": "workspace-write", "network_access": True, "exclude_slash_tmp": False},
            {"type": "workspaceWrite", "networkAccess": True, "excludeSlashTmp": False},
        ),
        ({"mode": "danger-full-access"}, {"type": "dangerFullAccess"}),
        ({"mode": "read-only"}, {"type": "readOnly"}),
        ({"type": "danger-full-access"}, {"type": "dangerFullAccess"}),
        ("danger-full-access", {"type": "dangerFullAccess"}),
        ({"mode": "unheard-of"}, {"type": "readOnly", "networkAccess": False}),
    ],
)
async def test_the_sandbox_that_was_recorded_is_in_force_on_resume_and_recorded_again(
    home: Path, connect: Connect, recorded: Any, in_force: dict[str, Any]
) -> None:
    context = line("turn_context", cwd="/work", approval_policy="never", sandbox_policy=recorded, model="gpt-5-codex")
    put(home, ONE, context, user("x"), agent("y"))
    async with connect() as tools:
        assert (await tools("thread_resume", thread_id=ONE))["sandbox"] == in_force
        await tools("turn_start", thread_id=ONE, input="more")
    (path,) = rollouts(home)
    written = [json.loads(text) for text in path.read_bytes().splitlines()]
    (again,) = [entry["payload"] for entry in written if entry["type"] == "turn_context"][1:]
    put(home, ONE, line("turn_context", **again), user("x"), agent("y"))
    async with connect() as tools:
        assert (await tools("thread_resume", thread_id=ONE))["sandbox"] == in_force


# ---------------------------------------------------------------------------------------------- before session_meta

BARE = "cf4def41-21e0-4b91-adb4-5397c1492084"
CONTEXT = "<environment_context>\nCurrent working directory: /home/u/p\n</environment_context>"
ITEMS: list[Json] = [
    {"type": "message", "id": None, "role": "user", "content": [{"type": "input_text", "text": CONTEXT}]},
    {"type": "message", "id": None, "role": "user", "content": [{"type": "input_text", "text": "mend the zebra"}]},
    {"type": "function_call", "id": "fc", "name": "shell", "arguments": '{"command": ["ls"]}', "call_id": "c1"},
    {"type": "function_call_output", "call_id": "c1", "output": '{"output": "okapi", "metadata": {"exit_code": 0}}'},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "mended the zebra"}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and the okapi"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "that too"}]},
]
SESSION = {"id": BARE, "timestamp": "2025-08-13T18:58:38.331Z", "instructions": None}


def put_bare(home: Path) -> Path:
    """As codex-rs left it until 0.32."""
    head = SESSION | {"git": {"branch": "main", "commit_hash": "abc"}}
    state = {"record_type": "state"}
    path = home / f"sessions/2025/08/13/rollout-2025-08-13T20-58-38-{BARE}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (head, state, *ITEMS, state)), encoding="utf-8")
    return path


def put_document(home: Path) -> Path:
    """As the TypeScript CLI left it."""
    path = home / f"sessions/rollout-2025-08-13-{BARE}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"session": SESSION, "items": ITEMS}, indent=2), encoding="utf-8")
    return path


Put = Callable[[Path], Path]
each_form = pytest.mark.parametrize("put_old", [put_bare, put_document])


async def said(tools: Tools, thread_id: str) -> list[list[str]]:
    read = await tools("thread_read", thread_id=thread_id, include_turns=True, sort_direction="asc")
    return [
        [item["text"] if item["type"] == "agentMessage" else item["content"][0]["text"] for item in turn["items"]]
        for turn in read["turns"]
    ]


SAID = [["mend the zebra", "mended the zebra"], ["and the okapi", "that too"]]


@each_form
@pytest.mark.parametrize("with_db", [True, False])
async def test_an_old_rollout_is_listed_read_and_found(
    home: Path, connect: Connect, put_old: Put, with_db: bool
) -> None:
    path = put_old(home)
    async with connect(state=with_db) as tools:
        listed = await tools("thread_list", cwd="/home/u/p")
        (thread,) = listed["data"]
        assert (thread["id"], thread["preview"], thread["path"]) == (BARE, "mend the zebra", str(path))
        assert (thread["created_at"], thread["source"], thread["history_mode"]) == (1755111518, "cli", "bare")
        assert set(listed["hidden"].values()) == {0}
        assert await said(tools, BARE) == SAID
        items = (await tools("thread_items", thread_id=BARE))["data"]
        assert [entry["item"]["type"] for entry in items] == [
            "userMessage",
            "dynamicToolCall",
            "agentMessage",
            "userMessage",
            "agentMessage",
        ]
        assert len(await passages(tools, "zebra")) == 2
        assert len(await search(tools, "exit_code", include_tool_calls=True)) == 1
        assert (await tools("store_status"))["malformed"] == []


@each_form
async def test_an_old_rollout_is_moved_and_deleted_and_never_written_to(
    home: Path, connect: Connect, put_old: Put
) -> None:
    path = put_old(home)
    data = path.read_bytes()
    async with connect() as tools:
        for verb, more in (("thread_resume", {}), ("thread_update", {"git_info": {"branch": "x"}})):
            with pytest.raises(Refused, match="thread_fork") as refused:
                await tools(verb, thread_id=BARE, **more)
            assert refused.value.code == "unknown_history_mode"
        await tools("thread_update", thread_id=BARE, name="the old one")
        await tools("thread_archive", thread_id=BARE)
        assert (home / "archived_sessions" / path.name).read_bytes() == data
        assert await tools.listed(archived=True) == [BARE]
        assert await said(tools, "the old one") == SAID
        await tools("thread_unarchive", thread_id=BARE)
        assert (home / "sessions/2025/08/13" / path.name).read_bytes() == data
        assert await tools.listed() == [BARE]
        await tools("thread_delete", thread_id=BARE, confirm_thread_id=BARE)
        assert not list(home.rglob("rollout-*"))


@each_form
async def test_a_fork_of_an_old_rollout_is_in_todays_format_and_goes_on(
    home: Path, connect: Connect, put_old: Put
) -> None:
    data = put_old(home).read_bytes()
    async with connect() as tools:
        fork = (await tools("thread_fork", thread_id=BARE))["thread"]
        assert (fork["history_mode"], fork["preview"], fork["cwd"]) == ("legacy", "mend the zebra", "/home/u/p")
        await tools("turn_start", thread_id=fork["id"], input="and on")
        await tools("turn_complete", thread_id=fork["id"], message="done")
        assert await said(tools, fork["id"]) == [*SAID, ["and on", "done"]]
        assert len(await search(tools, "and on")) == 1
        turns = (await tools("thread_read", thread_id=BARE, include_turns=True, sort_direction="asc"))["turns"]
        part = await tools("thread_fork", thread_id=BARE, last_turn_id=turns[0]["id"])
        assert await said(tools, part["thread"]["id"]) == SAID[:1]
        part = await tools("thread_fork", thread_id=BARE, before_turn_id=turns[1]["id"])
        assert await said(tools, part["thread"]["id"]) == SAID[:1]
    written = [json.loads(line) for line in Path(fork["path"]).read_bytes().splitlines()]
    assert all(line["type"] in ("session_meta", "response_item", "event_msg", "turn_context") for line in written)
    events = [line["payload"] for line in written if line["type"] == "event_msg"]
    assert [event["message"] for event in events if event["type"] == "user_message"][:2] == [
        "mend the zebra",
        "and the okapi",
    ]
    (path,) = home.rglob(f"rollout-*-{BARE}.json*")
    assert path.read_bytes() == data


async def test_a_rollout_of_a_converter_is_resumed_and_its_messages_stay(home: Path, connect: Connect) -> None:
    put(home, ONE, *(line("response_item", **item) for item in ITEMS))
    async with connect() as tools:
        assert await tools.listed() == []
        assert await tools.listed(include_without_preview=True) == [ONE]
        assert len(await passages(tools, "zebra")) == 2
        await tools("thread_resume", thread_id=ONE)
        await tools("turn_start", thread_id=ONE, input="and on")
        await tools("turn_complete", thread_id=ONE, message="done")
        assert await said(tools, ONE) == [*SAID, ["and on", "done"]]
        assert len(await passages(tools, "zebra")) == 2
        assert len(await search(tools, "and on")) == 1
