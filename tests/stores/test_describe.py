"""Metadata from rollouts: against a home that the real Codex made, then the cases of Codex's own tests by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_text import (
    START_MS,
    A,
    B,
    C,
    context,
    describe,
    event,
    item,
    line,
    meta,
    path_of,
    text_of,
    thread_of,
    user,
)

from mcp_server.codex.files import RolloutRef
from mcp_server.models.thread import GitInfo, StoredThread, wire_source
from mcp_server.storage.files.rollouts import RolloutFiles

SHARED = Path(os.environ.get("THREADSTORE_SHARED", Path(__file__).parents[2] / "../shared"))


# ---------------------------------------------------------------------------------------------- a real home


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    expected = SHARED / "golden" / "expected.json"
    if not expected.is_file():
        pytest.skip("no golden home: set THREADSTORE_SHARED to the folder that holds golden/")
    return json.loads(expected.read_text())


@pytest.fixture
def golden_home(golden: dict[str, Any], tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(SHARED / "golden" / "home", home, copy_function=shutil.copyfile)
    for path, mtime in golden["mtimes"].items():
        os.utime(home / path, (mtime, mtime))
    return home


def threads_in(calls: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every thread that one of the answers shows, with the call."""
    for call in calls:
        answer: dict[str, Any] = call.get("ok") or {}
        shown: list[Any] = [answer.get("thread"), *answer.get("data", [])]
        yield from ((call, thread) for thread in shown if thread and "preview" in thread)


def as_codex_shows(home: Path, thread: StoredThread, name: str | None) -> dict[str, Any]:
    return {
        "id": thread.id,
        "preview": thread.preview,
        "cwd": thread.cwd,
        "model": thread.recorded["model"],
        "modelProvider": thread.model_provider,
        "reasoningEffort": thread.recorded["reasoning_effort"],
        "createdAt": thread.created_at_ms // 1000,
        "updatedAt": thread.updated_at_ms // 1000,
        "recencyAt": thread.recency_at_ms // 1000,
        "source": wire_source(thread.source),
        "agentNickname": thread.agent_nickname,
        "agentRole": thread.agent_role,
        "parentThreadId": thread.parent_thread_id,
        "forkedFromId": thread.forked_from_id,
        "historyMode": thread.history_mode,
        "gitInfo": thread.git,
        "cliVersion": thread.cli_version,
        "originator": thread.originator,
        "name": name,
        "path": thread.path,
    }


def test_every_thread_of_a_real_home_is_described_as_codex_shows_it(golden: dict[str, Any], golden_home: Path) -> None:
    store = RolloutFiles(golden_home)
    names = store.names()
    described = [(store.describe(file)).thread for file in store.walk()]
    ours = {thread.id: as_codex_shows(golden_home, thread, names.get(thread.id)) for thread in described}
    seen = set[str]()
    for call, shown in threads_in(golden["cold"]):
        expected = {key: shown[key] for key in ours[shown["id"]]}
        expected["path"] = shown["path"].removeprefix(golden["home"] + "/")
        if call["method"] == "thread/list":
            expected["forkedFromId"] = ours[shown["id"]]["forkedFromId"]  # the list leaves it out
        if call["method"] == "thread/read" and shown["historyMode"] == "legacy" and not shown["turns"]:
            expected["updatedAt"] = ours[shown["id"]]["updatedAt"]  # Codex shows createdAt here, a quirk
        assert ours[shown["id"]] == expected, call["label"]
        seen.add(shown["id"])
    assert seen == set(ours)


def test_no_line_of_a_real_home_is_bad_and_archives_have_the_time_of_the_file(golden_home: Path) -> None:
    store = RolloutFiles(golden_home)
    for file in store.walk():
        description = store.describe(file)
        assert description.bad_lines == ()
        mtime_ms = file.stamp.mtime_ns // 1_000_000
        assert description.thread.archived_at_ms == (mtime_ms if file.archived else None)


def test_a_paginated_fork_of_a_real_home_knows_its_base(golden: dict[str, Any], golden_home: Path) -> None:
    store = RolloutFiles(golden_home)
    [file] = store.locate(golden["ids"]["p_fork"])
    base = (store.describe(file)).thread.history_base
    assert base is not None
    assert base.thread_id == golden["ids"]["p_three_turns_shell"]
    store.remove(RolloutRef((store.locate(base.thread_id))[0].path))
    alone = (store.describe(file)).thread
    assert alone.preview not in ("", "golden three: first")


# ---------------------------------------------------------------------------------------------- made by hand


def test_extract_metadata_from_rollout_uses_session_meta() -> None:
    thread = thread_of(
        meta(
            A.upper(),
            session_id=B,
            source="exec",
            model_provider="mock",
            thread_source="user",
            history_mode="paginated",
            git={"commit_hash": "abc", "branch": "main", "repository_url": "https://example.com/r"},
        )
    )
    assert (thread.id, thread.session_id, thread.source, thread.model_provider) == (A, B, "exec", "mock")
    assert (thread.cwd, thread.cli_version, thread.originator, thread.thread_source) == ("/w", "0.169.0", "o", "user")
    assert (thread.history_mode, thread.history_base) == ("paginated", None)
    assert thread.git == GitInfo(sha="abc", branch="main", origin_url="https://example.com/r")
    assert (thread.created_at_ms, thread.recency_at_ms) == (START_MS, START_MS)
    assert thread.updated_at_ms == thread.stamp.mtime_ns // 1_000_000
    assert (thread.preview, thread.name, thread.recorded) == ("", None, {})


def test_a_missing_source_is_vscode_and_a_missing_history_mode_legacy() -> None:
    thread = thread_of(meta(source=None))
    assert (thread.source, thread.history_mode, thread.source_kind) == ("vscode", "legacy", "vscode")


def test_list_conversations_scans_past_head_for_user_event() -> None:
    """test_list_threads_scans_past_head_for_user_event: 12 meta lines before the message"""
    thread = thread_of(*[meta() for _ in range(12)], user("late"))
    assert (thread.id, thread.preview) == (A, "late")


def test_session_meta_of_a_fork_source_is_ignored() -> None:
    fork = meta(forked_from_id=B)
    source = meta(B, cwd="/other", git={"branch": "theirs"}, source="exec", agent_nickname="Zeno")
    thread = thread_of(fork, source, user("hello"))
    assert (thread.id, thread.forked_from_id, thread.cwd, thread.git) == (A, B, "/w", None)
    assert (thread.source, thread.agent_nickname, thread.preview) == ("vscode", None, "hello")


def test_update_thread_metadata_sets_git_info() -> None:
    thread = thread_of(meta(git={"branch": "old", "commit_hash": "1"}), user("x"), meta(git={"branch": "new"}))
    assert thread.git == GitInfo(branch="new")


def test_update_thread_metadata_clears_git_info_fields() -> None:
    """An empty object clears; a later line without git (memory mode) leaves it as it is."""
    thread = thread_of(meta(git={"branch": "old"}), meta(git={}), meta(memory_mode="disabled"))
    assert thread.git is None
    thread = thread_of(meta(git={"branch": "old"}), meta(memory_mode="disabled"))
    assert thread.git == GitInfo(branch="old")


@pytest.mark.parametrize(
    ("timestamp", "created_ms"),
    [
        ("2026-11-22T23:04:49.500Z", START_MS + 1500),
        ("2026-11-23T00:04:49+01:00", START_MS + 1000),
        ("2026-11-22T23-04-50", START_MS + 2000),
        ("no time", START_MS),
    ],
)
def test_created_at_is_the_time_in_the_metadata_else_the_one_in_the_name(timestamp: str, created_ms: int) -> None:
    """builder_from_items_falls_back_to_filename"""
    assert (thread_of(meta(timestamp=timestamp))).created_at_ms == created_ms


def test_without_any_time_created_at_is_that_of_the_file() -> None:
    thread = (describe(text_of(meta(timestamp="")), f"sessions/rollout-{A}.jsonl")).thread
    assert thread.created_at_ms == thread.updated_at_ms


def test_a_spawned_sub_agent_names_parent_nickname_and_role() -> None:
    spawn = {"parent_thread_id": B.upper(), "depth": 1, "agent_nickname": "Zeno", "agent_role": "explorer"}
    thread = thread_of(meta(source={"subagent": {"thread_spawn": spawn}}))
    assert (thread.parent_thread_id, thread.agent_nickname, thread.agent_role) == (B, "Zeno", "explorer")
    assert thread.source_kind == "subAgentThreadSpawn"
    thread = thread_of(
        meta(
            source={"subagent": {"thread_spawn": spawn}},
            parent_thread_id=C,
            agent_nickname="Own",
            agent_role="own role",
        )
    )
    assert (thread.parent_thread_id, thread.agent_nickname, thread.agent_role) == (C, "Own", "own role")


def test_archived_rollouts_carry_the_time_of_the_file() -> None:
    thread = (describe(text_of(meta()), f"archived_sessions/{path_of().rsplit('/', 1)[1]}")).thread
    assert thread.archived
    assert thread.archived_at_ms == thread.updated_at_ms


# preview and name


def test_response_item_user_messages_do_not_set_title_or_first_user_message() -> None:
    content = [{"type": "input_text", "text": "<environment_context>"}]
    thread = thread_of(meta(), line("response_item", {"type": "message", "role": "user", "content": content}))
    assert thread.preview == ""


def test_event_msg_user_messages_set_title_and_first_user_message() -> None:
    thread = thread_of(
        meta(), user("# Context\n## My request for Codex: \n fix it \n"), user("the second one does not count")
    )
    assert thread.preview == "fix it"


def test_event_msg_image_only_user_message_sets_image_placeholder_preview() -> None:
    assert (thread_of(meta(), user(" ", images=["data:"]))).preview == "[Image]"
    assert (thread_of(meta(), user("", local_images=["/x.png"]))).preview == "[Image]"
    assert (thread_of(meta(), user("see", images=["data:"]))).preview == "see"


def test_event_msg_blank_user_message_without_images_keeps_first_user_message_empty() -> None:
    thread = thread_of(meta(), user("  \n", images=[], local_images=[]))
    assert thread.preview == ""
    assert (thread_of(meta(), user("  "), user("next"))).preview == "next"


def test_a_paginated_user_message_sets_the_preview() -> None:
    content = [{"type": "text", "text": "one "}, {"type": "image", "url": "x"}, {"type": "text", "text": "two"}]
    assert (thread_of(meta(), item([], kind="AgentMessage"), item(content))).preview == "one two"
    assert (thread_of(meta(), item([{"type": "localImage", "path": "x"}]))).preview == "[Image]"


def test_previews_keep_length_and_newlines() -> None:
    text = "ä\n" * 5000 + "end"
    assert (thread_of(meta(), user(text))).preview == text


def test_a_thread_name_event_is_the_name() -> None:
    """reconcile_rollout_preserves_existing_explicit_title: the name is kept apart from the preview"""
    named = event("thread_name_updated", thread_id=A, thread_name=" math ")
    thread = thread_of(meta(), user("first"), named, event("thread_name_updated", thread_id=A, thread_name=" "))
    assert (thread.name, thread.preview) == ("math", "first")


# settings


def test_the_last_settings_are_recorded() -> None:
    first = context(
        cwd="/one", model="old", approval_policy="never", sandbox_policy={"type": "danger-full-access"}, effort="high"
    )
    second = context(
        cwd="/two",
        model="new",
        approval_policy="on-request",
        sandbox_policy={"type": "workspace-write", "network_access": True},
        effort="low",
    )
    assert (thread_of(meta(), first, second)).recorded == {
        "cwd": "/two",
        "model": "new",
        "approval_policy": "on-request",
        "sandbox": {"type": "workspaceWrite", "networkAccess": True},
        "reasoning_effort": "low",
    }


def test_applied_settings_follow_the_turn_context() -> None:
    applied = event(
        "thread_settings_applied",
        thread_id=A,
        thread_settings={
            "model": "newer",
            "model_provider_id": "mock",
            "approval_policy": "never",
            "permission_profile": {"type": "disabled"},
            "cwd": "/three",
            "collaboration_mode": {"mode": "default", "settings": {"reasoning_effort": "medium"}},
        },
    )
    sandbox = {"type": "read-only"}
    thread = thread_of(meta(), context(model="old", sandbox_policy=sandbox, effort="high"), applied)
    assert thread.recorded == {
        "cwd": "/three",
        "model": "newer",
        "model_provider": "mock",
        "approval_policy": "never",
        "sandbox": {"type": "dangerFullAccess"},
        "reasoning_effort": "medium",
    }
    assert (thread_of(meta(), event("thread_settings_applied"))).recorded == {}


def test_turn_context_does_not_override_session_cwd() -> None:
    thread = thread_of(meta(cwd="/session"), context(cwd="/turn"))
    assert (thread.cwd, thread.recorded["cwd"]) == ("/session", "/turn")


def test_turn_context_sets_cwd_when_session_cwd_missing() -> None:
    assert (thread_of(meta(cwd=""), context(cwd="/one"), context(cwd="/two"))).cwd == "/one"


def test_resume_candidate_matches_cwd_reads_latest_turn_context() -> None:
    assert (thread_of(meta(), context(cwd="/one"), context(cwd="/two"))).recorded["cwd"] == "/two"


# recency


def test_live_thread_turn_start_touch() -> None:
    """Recency is the start of the last turn; what follows in the turn does not move it."""
    thread = thread_of(
        meta(),
        event("task_started", "2026-11-22T23:04:50.000Z"),
        user("one", "2026-11-22T23:04:50.100Z"),
        event("turn_started", "2026-11-22T23:04:51.000Z"),
        user("two", "2026-11-22T23:04:52.000Z"),
        event("task_complete", "2026-11-22T23:04:53.000Z"),
    )
    assert thread.recency_at_ms == START_MS + 3000


def test_turns_that_only_a_user_message_opens_count_for_recency() -> None:
    thread = thread_of(meta(), user("one"), user("two", "2026-11-22T23:04:52.000Z"))
    assert thread.recency_at_ms == START_MS + 4000
