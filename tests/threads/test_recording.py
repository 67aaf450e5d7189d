import json
from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex import writer as recording
from mcp_server.codex.lines import RolloutLine, decode_line, decode_meta, encode_line
from mcp_server.codex.sandbox import sandbox_from_rollout
from mcp_server.models.thread import GitInfo, Settings, spawn_depth, spawn_parent
from mcp_server.models.times import rfc3339

NOW = 1_795_388_690_123
STAMP = "2026-11-22T23:04:50.123Z"
THREAD, TURN, ROOT = "01a20581-0000-7000-8000-000000000001", "turn-1", "root-1"
SETTINGS = Settings(
    model="m",
    model_provider="mock",
    cwd="/work",
    approval_policy="on-request",
    sandbox={"type": "workspaceWrite", "writableRoots": ["/x"], "networkAccess": True},
    reasoning_effort="high",
)


def meta(**fields: object) -> RolloutLine:
    given: dict[str, object] = {
        "session_id": THREAD,
        "created_at_ms": NOW,
        "cwd": "/work",
        "originator": "client/1",
        "cli_version": "0.1.0",
        "source": "mcp",
        "model_provider": "mock",
        "base_instructions": "BASE",
        **fields,
    }
    return recording.session_meta(THREAD, **given)  # pyright: ignore[reportArgumentType]


def kinds(lines: list[RolloutLine]) -> list[str]:
    return [line.event or line.payload.get("role") or line.payload.get("type", line.type) for line in lines]


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_timestamp_records_its_instant_to_the_millisecond(at_ms: int) -> None:
    text = rfc3339(at_ms)
    assert text.endswith("Z")
    assert len(text) == len(STAMP)
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == at_ms


def test_every_line_is_stamped_with_the_time_it_is_given_and_survives_encoding() -> None:
    lines = [
        meta(),
        *recording.settings_applied(THREAD, SETTINGS, NOW),
        *recording.turn_context(TURN, SETTINGS, NOW),
        *recording.developer_message("DEV", NOW),
        *recording.turn_started(TURN, ROOT, NOW),
        *recording.user_message(TURN, [{"type": "text", "text": "hi"}], NOW),
        *recording.agent_message(TURN, "ho", NOW),
        *recording.reasoning(TURN, "hm", NOW),
        *recording.plan(TURN, THREAD, "# plan", NOW),
        *recording.tool_call(TURN, "c1", "tool", {"a": 1}, NOW),
        *recording.tool_output(TURN, "c1", "out", True, NOW),
        *recording.turn_completed(TURN, ROOT, NOW, "ho", NOW),
        *recording.turn_failed(TURN, ROOT, NOW, "boom", NOW),
        *recording.turn_interrupted(TURN, ROOT, NOW, NOW),
    ]
    for line in lines:
        assert line.timestamp == STAMP
        assert decode_line(encode_line(line)) == line


def test_the_session_metadata_reads_back_as_it_was_given() -> None:
    read = decode_meta(meta(git=GitInfo(sha="abc", branch="main")).payload)
    assert (read.id, read.session_id, read.timestamp, read.history_mode) == (THREAD, THREAD, STAMP, "legacy")
    assert (read.cwd, read.originator, read.cli_version, read.source) == ("/work", "client/1", "0.1.0", "mcp")
    assert read.base_instructions == {"text": "BASE", "provenance": {"type": "custom"}}
    assert read.git == {"commit_hash": "abc", "branch": "main"}


def test_session_metadata_leaves_out_what_is_not_known() -> None:
    payload = meta(base_instructions=None).payload
    assert None not in payload.values()
    assert not {"git", "parent_thread_id", "forked_from_id", "base_instructions"} & payload.keys()


def test_a_sub_agents_metadata_names_its_parent_beside_and_inside_the_source() -> None:
    source = recording.spawn_source("parent", 2, "Zeno", "explorer")
    payload = meta(source=source, parent_thread_id="parent", thread_source="subagent", agent_nickname="Zeno").payload
    assert payload["parent_thread_id"] == spawn_parent(payload["source"]) == "parent"
    assert spawn_depth(payload["source"]) == 2


def test_new_git_values_come_with_the_whole_metadata_and_replace_the_old_ones() -> None:
    before = meta(git=GitInfo(sha="abc", branch="main")).payload
    line = recording.git_updated(before, GitInfo(branch="feature", origin_url="https://x/y"), NOW)
    assert line.payload["git"] == {"branch": "feature", "repository_url": "https://x/y"}
    assert line.payload["memory_mode"] == "enabled"
    assert {**line.payload, "git": None, "memory_mode": None} == {**before, "git": None, "memory_mode": None}


def test_git_values_that_were_all_cleared_are_an_empty_object() -> None:
    assert recording.git_updated(meta().payload, GitInfo(), NOW).payload["git"] == {}


def test_the_settings_of_a_turn_are_recorded_in_codexs_own_forms() -> None:
    payload = recording.turn_context(TURN, SETTINGS, NOW, root_turn_id=ROOT)[0].payload
    assert (payload["turn_id"], payload["root_turn_id"]) == (TURN, ROOT)
    assert (payload["model"], payload["effort"], payload["approval_policy"]) == ("m", "high", "on-request")
    assert payload["sandbox_policy"] == {
        "type": "workspace-write",
        "writable_roots": ["/x"],
        "network_access": True,
    }


@pytest.mark.parametrize(
    ("sandbox", "profile"),
    [
        ({"type": "dangerFullAccess"}, {"type": "disabled"}),
        (
            {"type": "externalSandbox", "networkAccess": "restricted"},
            {"type": "external", "network": "restricted"},
        ),
        (
            {"type": "readOnly", "networkAccess": False},
            {
                "type": "managed",
                "file_system": {
                    "type": "restricted",
                    "entries": [{"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}],
                },
                "network": "restricted",
            },
        ),
    ],
)
def test_a_sandbox_is_recorded_as_a_permission_profile(sandbox: dict[str, object], profile: dict[str, object]) -> None:
    settings = msgspec.structs.replace(SETTINGS, sandbox=sandbox)
    applied = recording.settings_applied(THREAD, settings, NOW)[0].payload
    assert applied["thread_id"] == THREAD
    assert applied["thread_settings"]["permission_profile"] == profile
    assert sandbox_from_rollout(applied["thread_settings"]["sandbox_policy"]) == sandbox


def test_a_writable_workspace_is_profiled_with_its_roots_and_its_guarded_folders() -> None:
    profile = recording.settings_applied(THREAD, SETTINGS, NOW)[0].payload["thread_settings"]["permission_profile"]
    access = {e["path"]["path"]: e["access"] for e in profile["file_system"]["entries"] if "path" in e["path"]}
    assert profile["network"] == "enabled"
    assert access["/work"] == access["/x"] == "write"
    assert access["/work/.git"] == access["/work/.codex"] == "read"


def test_a_message_is_written_for_clients_and_for_the_model() -> None:
    user = recording.user_message(TURN, [{"type": "text", "text": "hi"}], NOW)
    assert kinds(user) == ["user", "user_message"]
    assert user[0].payload["content"] == [{"type": "input_text", "text": "hi"}]
    assert user[1].payload["message"] == "hi"
    agent = recording.agent_message(TURN, "ho", NOW)
    assert kinds(agent) == ["agent_message", "assistant"]
    assert agent[1].payload["content"] == [{"type": "output_text", "text": "ho"}]


def test_texts_of_one_input_are_joined_and_their_elements_move_by_bytes() -> None:
    element = {"byteRange": {"start": 0, "end": 2}, "placeholder": "@x"}
    parts = [{"type": "text", "text": "é "}, {"type": "text", "text": "@x", "text_elements": [element]}]
    event = recording.user_message(TURN, parts, NOW)[1].payload
    assert event["message"] == "é @x"
    assert event["text_elements"] == [{"byte_range": {"start": 3, "end": 5}, "placeholder": "@x"}]


def test_images_reach_clients_as_they_are_and_the_model_as_input_or_by_their_path() -> None:
    parts = [{"type": "image", "url": "data:x"}, {"type": "localImage", "path": "/a.png"}, {"type": "skill"}]
    item, event = recording.user_message(TURN, parts, NOW)
    assert (event.payload["images"], event.payload["local_images"]) == (["data:x"], ["/a.png"])
    assert item.payload["content"] == [
        {"type": "input_image", "image_url": "data:x", "detail": "high"},
        {"type": "input_text", "text": '<image name=[Image #2] path="/a.png">'},
        {"type": "input_text", "text": "</image>"},
    ]


@pytest.mark.parametrize(
    ("parts", "preview"),
    [
        ([{"type": "text", "text": " hi "}], "hi"),
        ([{"type": "text", "text": "files\n## My request for Codex: go"}], "go"),
        ([{"type": "image", "url": "data:x"}], "[Image]"),
    ],
)
def test_a_preview_is_what_codex_would_take_from_the_input(parts: list[dict[str, object]], preview: str) -> None:
    assert recording.preview_of_input(parts) == preview


def test_reasoning_is_for_clients_alone() -> None:
    assert kinds(recording.reasoning(TURN, "hm", NOW)) == ["agent_reasoning"]


def test_a_plan_is_an_item_for_clients_and_tagged_text_for_the_model() -> None:
    item, message = recording.plan(TURN, THREAD, "# P\n", NOW)
    assert item.payload["item"]["type"] == "Plan"
    assert item.payload["item"]["text"] == "# P\n"
    assert message.payload["content"][0]["text"] == "<proposed_plan>\n# P\n</proposed_plan>"


def test_two_plans_of_a_turn_are_two_items() -> None:
    first, second = (recording.plan(TURN, THREAD, "p", NOW)[0].payload["item"]["id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("arguments", "text"), [({"a": [1]}, '{"a":[1]}'), ('{"a": 1}', '{"a": 1}'), (None, "null")])
def test_arguments_of_a_call_are_json_text(arguments: object, text: str) -> None:
    payload = recording.tool_call(TURN, "c1", "tool", arguments, NOW)[0].payload
    assert (payload["type"], payload["call_id"], payload["name"]) == ("function_call", "c1", "tool")
    assert payload["arguments"] == text
    json.loads(payload["arguments"])


def test_an_output_records_whether_the_call_succeeded_where_that_is_known() -> None:
    known = recording.tool_output(TURN, "c1", "out", False, NOW)[0].payload
    assert (known["type"], known["output"], known["success"]) == ("function_call_output", "out", False)
    assert "success" not in recording.tool_output(TURN, "c1", "out", None, NOW)[0].payload


def test_the_end_of_a_turn_records_its_times_and_its_duration() -> None:
    ended = recording.turn_completed(TURN, ROOT, NOW - 1500, "bye", NOW)[0].payload
    assert ended["type"] == "task_complete"
    assert (ended["turn_id"], ended["root_turn_id"], ended["last_agent_message"]) == (TURN, ROOT, "bye")
    assert (ended["started_at"], ended["completed_at"]) == ((NOW - 1500) // 1000, NOW // 1000)
    assert ended["duration_ms"] == 1500
    assert "error" not in ended


def test_a_failed_turn_says_why() -> None:
    ended = recording.turn_failed(TURN, ROOT, NOW, "boom", NOW)[0].payload
    assert ended["type"] == "task_complete"
    assert ended["error"] == {"message": "boom", "codex_error_info": "other"}


def test_an_interruption_is_recorded_for_the_model_before_the_event_for_clients() -> None:
    note, event = recording.turn_interrupted(TURN, ROOT, NOW - 5, NOW)
    assert note.payload["content"][0]["text"].startswith("<turn_aborted>\n")
    assert (event.payload["type"], event.payload["reason"], event.payload["duration_ms"]) == (
        "turn_aborted",
        "interrupted",
        5,
    )


def test_a_clock_that_went_back_makes_no_negative_duration() -> None:
    assert recording.turn_completed(TURN, ROOT, NOW + 10, None, NOW)[0].payload["duration_ms"] == 0


@given(st.lists(st.dictionaries(st.sampled_from(["type", "text", "url", "path", "text_elements"]), st.text())))
def test_an_input_of_any_shape_becomes_lines_that_can_be_written(parts: list[dict[str, object]]) -> None:
    for line in recording.user_message(TURN, parts, NOW):
        assert msgspec.json.decode(encode_line(line))["timestamp"] == STAMP
