"""Start and resume, the values in force, names, and persistence that waits for the first message."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, Refused, Tools, lock_files, rollouts

pytestmark = pytest.mark.anyio

CONFIG = """\
model = "from-config"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "danger-full-access"
model_reasoning_effort = "high"
"""


# ---------------------------------------------------------------------------------------------- values in force


async def test_without_config_the_defaults_are_in_force(tools: Tools) -> None:
    answer = await tools("thread_start")
    assert answer["approval_policy"] == "on-request"
    assert answer["sandbox"]["type"] == "readOnly"
    assert (answer["model"], answer["model_provider"], answer["reasoning_effort"]) == (None, "openai", None)


# Codex: thread_start_respects_project_config_from_cwd
async def test_the_homes_config_goes_before_the_defaults_and_the_request_before_both(
    home: Path, connect: Connect
) -> None:
    home.mkdir()
    (home / "config.toml").write_text(CONFIG, encoding="utf-8")
    async with connect() as tools:
        configured = await tools("thread_start")
        asked = await tools("thread_start", model="asked", sandbox="read-only", reasoning_effort="low")
    assert (configured["model"], configured["model_provider"]) == ("from-config", "mock")
    assert (configured["approval_policy"], configured["reasoning_effort"]) == ("never", "high")
    assert configured["sandbox"] == {"type": "dangerFullAccess"}
    assert (asked["model"], asked["sandbox"]["type"], asked["reasoning_effort"]) == ("asked", "readOnly", "low")
    assert asked["approval_policy"] == "never"


async def test_a_sub_agent_takes_its_parents_settings_and_session(tools: Tools) -> None:
    parent = await tools("thread_start", model="parents", cwd="/work", approval_policy="untrusted")
    child = await tools("thread_start", parent_thread_id=parent["thread"]["id"], agent_nickname="Ada", model="childs")
    assert (child["cwd"], child["approval_policy"], child["model"]) == ("/work", "untrusted", "childs")
    assert child["thread"]["session_id"] == parent["thread"]["session_id"]
    spawn = child["thread"]["source"]["subAgent"]["thread_spawn"]
    assert (spawn["parent_thread_id"], spawn["depth"], spawn["agent_nickname"]) == (parent["thread"]["id"], 1, "Ada")


async def test_a_known_caller_is_offered_as_parent_and_never_assumed(tools: Tools) -> None:
    caller = await tools.start()
    answer = await tools("thread_start", meta={"threadId": caller})
    assert answer["suggested_parent_thread_id"] == caller
    assert answer["thread"]["parent_thread_id"] is None


# Codex: thread_resume_defers_updated_at_until_turn_start
async def test_resume_takes_what_was_recorded_then_the_overrides_and_touches_nothing(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        thread_id = await tools.written(model="first", approval_policy="never", cwd="/work")
    (rollout,) = rollouts(home)
    os.utime(rollout, (1_700_000_000, 1_700_000_000))
    before = rollout.read_bytes()
    async with connect() as tools:
        resumed = await tools("thread_resume", thread_id=thread_id, model="second")
        assert (resumed["model"], resumed["approval_policy"], resumed["cwd"]) == ("second", "never", "/work")
        assert resumed["thread"]["updated_at"] == 1_700_000_000
        assert resumed["thread"]["status"] == {"type": "idle"}
        assert [turn["status"] for turn in resumed["turns"]] == ["completed"]
        assert (rollout.read_bytes(), rollout.stat().st_mtime) == (before, 1_700_000_000)
        await tools("turn_start", thread_id=thread_id, input="on")
        assert rollout.stat().st_mtime > 1_700_000_000
    async with connect() as tools:
        assert (await tools("thread_resume", thread_id=thread_id))["model"] == "second"


# Codex: thread_resume_rejoins_running_thread_even_with_override_mismatch
async def test_a_loaded_thread_is_rejoined_and_says_which_overrides_it_ignores(tools: Tools) -> None:
    thread_id = await tools.written(model="live")
    again = await tools("thread_resume", thread_id=thread_id, model="other")
    assert again["model"] == "live"
    assert again["ignored_overrides"] == ["model"]


# Codex: thread_resume_keeps_in_flight_turn_streaming, thread_resume_can_skip_turns_when_thread_is_running
async def test_another_client_that_resumes_sees_the_running_turn_and_does_not_disturb_it(
    two: tuple[Tools, Tools],
) -> None:
    one, other = two
    thread_id = await one.start()
    await one("turn_start", thread_id=thread_id, input="at work")
    joined = await other("thread_resume", thread_id=thread_id)
    assert joined["thread"]["status"] == {"type": "active", "active_flags": []}
    assert [turn["status"] for turn in joined["turns"]] == ["inProgress"]
    assert (await other("thread_resume", thread_id=thread_id, turns=0))["turns"] == []
    assert (await one("turn_complete", thread_id=thread_id))["turn"]["status"] == "completed"
    assert (await other("thread_read", thread_id=thread_id))["thread"]["status"] == {"type": "idle"}


# Codex: thread_resume_and_read_interrupt_incomplete_rollout_turn_when_thread_is_idle
async def test_a_last_turn_without_an_end_is_shown_crashed_where_nobody_holds_the_thread(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
    (rollout,) = rollouts(home)
    lines = rollout.read_bytes().splitlines(keepends=True)
    rollout.write_bytes(b"".join(line for line in lines if b"task_complete" not in line))
    async with connect() as tools:
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        resumed = await tools("thread_resume", thread_id=thread_id)
    assert [turn["status"] for turn in read["turns"]] == ["crashed"]
    assert [turn["status"] for turn in resumed["turns"]] == ["crashed"]


# ---------------------------------------------------------------------------------------------- names


# Codex: thread_name_set_is_reflected_in_read_list_and_resume
async def test_a_name_is_trimmed_and_shown_in_list_read_and_resume(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        await tools("thread_update", thread_id=thread_id, name="  My Thread \n")
        assert "thread/name/updated" in await tools.events(thread_id)
    async with connect() as tools:
        assert (await tools("thread_list"))["data"][0]["name"] == "My Thread"
        assert (await tools("thread_read", thread_id="My Thread"))["thread"]["id"] == thread_id
        assert (await tools("thread_resume", thread_id=thread_id))["thread"]["name"] == "My Thread"


# Codex: thread_name_updated_broadcasts_for_loaded_threads, thread_name_updated_broadcasts_for_not_loaded_threads
@pytest.mark.parametrize("loaded", [True, False])
async def test_a_new_name_is_one_event_in_the_log_of_every_server(connect: Connect, loaded: bool) -> None:
    async with connect() as here, connect() as there:
        thread_id = await here.written()
        if not loaded:
            await here("thread_unsubscribe", thread_id=thread_id)
        await there("thread_update", thread_id=thread_id, name="told")
        events = await here("events_read", types=["thread/name/updated"])
        assert [event["payload"] for event in events["data"]] == [{"thread_id": thread_id, "thread_name": "told"}]


@pytest.mark.parametrize("blank", ["", "   ", "\n\t"])
async def test_a_blank_name_is_refused_and_the_old_one_stays(tools: Tools, blank: str) -> None:
    thread_id = await tools.written(name="kept")
    with pytest.raises(Refused, match="thread name must not be empty") as refused:
        await tools("thread_update", thread_id=thread_id, name=blank)
    assert refused.value.code == "invalid_argument"
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "kept"


async def test_names_survive_the_loss_of_the_state_db(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written(name="before")
        await tools("thread_update", thread_id=thread_id, name="after")
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    async with connect() as tools:
        assert (await tools("thread_read", thread_id="after"))["thread"]["id"] == thread_id
        with pytest.raises(Refused) as refused:
            await tools("thread_read", thread_id="before")
        assert refused.value.code == "thread_not_found"


# ---------------------------------------------------------------------------------------------- deferred persistence


# Codex: thread_start_creates_thread_and_emits_started,
# thread_read_loaded_thread_returns_precomputed_path_before_materialization
async def test_a_fresh_thread_is_in_memory_alone(home: Path, tools: Tools) -> None:
    thread = (await tools("thread_start"))["thread"]
    path = Path(thread["path"])
    assert path.is_absolute()
    assert path.is_relative_to(home / "sessions")
    assert thread["preview"] == ""
    assert thread["name"] is None
    assert thread["status"] == {"type": "idle"}
    assert rollouts(home) == []
    assert _rows(home) == 0
    assert lock_files(home) == [f"{thread['id']}.lock"]
    assert await tools.listed() == []
    assert await tools.loaded() == [thread["id"]]
    read = (await tools("thread_read", thread_id=thread["id"]))["thread"]
    assert (read["path"], read["preview"]) == (str(path), "")


# Codex: thread_read_include_turns_rejects_unmaterialized_loaded_thread, thread_resume_rejects_unmaterialized_thread,
# thread_fork_rejects_unmaterialized_thread, thread_archive_requires_materialized_rollout
@pytest.mark.parametrize("verb", ["thread_read", "thread_resume", "thread_fork", "thread_archive"])
async def test_a_verb_that_needs_the_file_of_a_fresh_thread_is_refused(tools: Tools, verb: str) -> None:
    thread_id = await tools.start()
    extra: Any = {"include_turns": True} if verb == "thread_read" else {}
    with pytest.raises(Refused, match="turn_start with its first user message") as refused:
        await tools(verb, thread_id=thread_id, **extra)
    assert refused.value.code == "not_materialized"
    assert await tools.loaded() == [thread_id]


@pytest.mark.parametrize("verb", ["thread_read", "thread_resume", "thread_fork", "thread_archive"])
async def test_another_client_gets_the_same_error_for_a_fresh_thread(two: tuple[Tools, Tools], verb: str) -> None:
    one, other = two
    thread_id = await one.start()
    extra: Any = {"include_turns": True} if verb == "thread_read" else {}
    with pytest.raises(Refused, match=r"before first user message|has no file yet") as refused:
        await other(verb, thread_id=thread_id, **extra)
    assert refused.value.code == "not_materialized"
    assert (await other("thread_read", thread_id=thread_id))["thread"]["preview"] == ""
    await one("turn_start", thread_id=thread_id, input="hello")
    await one("turn_complete", thread_id=thread_id)
    await other(verb, thread_id=thread_id, **extra)


async def test_another_process_finds_no_rollout_and_leaves_the_threads_lock(home: Path, connect: Connect) -> None:
    async with connect() as here, connect() as there:
        thread_id = await here.start()
        for verb in ("thread_read", "thread_resume", "thread_fork", "thread_archive"):
            with pytest.raises(Refused, match=f"no thread found for {thread_id}") as refused:
                await there(verb, thread_id=thread_id)
            assert refused.value.code == "thread_not_found"
        assert await there.loaded() == []
        assert lock_files(home) == [f"{thread_id}.lock"]
        await here("turn_start", thread_id=thread_id, input="hello")
        assert await there.listed() == [thread_id]


async def test_the_first_message_writes_the_meta_then_what_waited_then_the_message(home: Path, tools: Tools) -> None:
    thread_id = await tools.start(developer_instructions="BE BRIEF", base_instructions="BASE")
    await tools("turn_start", thread_id=thread_id, input="  hello  ")
    (rollout,) = rollouts(home)
    lines = [json.loads(line) for line in rollout.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["type"] == "session_meta"
    assert lines[0]["payload"]["id"] == thread_id
    assert lines[0]["payload"]["source"] == "mcp"
    texts = [json.dumps(line) for line in lines]
    waited = next(n for n, text in enumerate(texts) if "BE BRIEF" in text)
    message = next(n for n, line in enumerate(lines) if line["payload"].get("type") == "user_message")
    assert 0 < waited < message
    assert (await tools("thread_list"))["data"][0]["preview"] == "hello"
    assert rollout.stat().st_mode & 0o777 == 0o600
    assert rollout.parent.stat().st_mode & 0o777 == 0o700


# Codex: persist_reports_filesystem_error_and_retries_buffered_items
async def test_a_first_message_that_can_not_be_written_makes_no_row(home: Path, tools: Tools) -> None:
    thread_id = await tools.start(developer_instructions="WAITING")
    (home / "sessions").write_text("in the way", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        await tools("turn_start", thread_id=thread_id, input="hello")
    assert refused.value.code == "write_failed"
    assert _rows(home) == 0
    assert await tools.listed() == []
    assert "turn/started" not in await tools.events(thread_id)
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["status"] == {"type": "idle"}
    (home / "sessions").unlink()
    await tools("turn_start", thread_id=thread_id, input="hello again")
    (rollout,) = rollouts(home)
    assert rollout.read_text(encoding="utf-8").index("WAITING") < rollout.read_text(encoding="utf-8").index("again")
    assert _rows(home) == 1


async def test_naming_a_fresh_thread_writes_it_first(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("thread_update", thread_id=thread_id, name="named before it spoke")
    (rollout,) = rollouts(home)
    assert json.loads(rollout.read_text(encoding="utf-8").splitlines()[0])["payload"]["id"] == thread_id
    assert (await tools("thread_list"))["hidden"]["without_preview"] == 1
    assert (await tools("thread_read", thread_id="named before it spoke"))["thread"]["id"] == thread_id


async def test_a_server_that_ends_before_the_first_message_leaves_nothing_behind(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.start(name="never written")
    assert rollouts(home) == []
    assert _rows(home) == 0
    assert lock_files(home) == []
    assert not (home / "session_index.jsonl").exists()
    async with connect() as tools:
        with pytest.raises(Refused) as refused:
            await tools("thread_read", thread_id=thread_id)
        assert refused.value.code == "thread_not_found"


# Codex: thread_start_ephemeral_remains_pathless
async def test_an_ephemeral_thread_is_never_written(home: Path, tools: Tools) -> None:
    started = await tools("thread_start", ephemeral=True)
    thread_id = started["thread"]["id"]
    assert (started["thread"]["ephemeral"], started["thread"]["path"]) == (True, None)
    await tools("turn_start", thread_id=thread_id, input="secret")
    await tools("turn_complete", thread_id=thread_id)
    assert rollouts(home) == []
    assert await tools.listed() == []
    with pytest.raises(Refused, match="ephemeral threads do not support include_turns"):
        await tools("thread_read", thread_id=thread_id, include_turns=True)


def _rows(home: Path) -> int:
    with sqlite3.connect(home / "threadstore.sqlite") as connection:
        return connection.execute("SELECT count(*) FROM threads").fetchone()[0]
