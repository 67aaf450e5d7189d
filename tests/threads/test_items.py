"""How what a rollout records of an item becomes Codex's ThreadItem."""

from __future__ import annotations

from typing import cast

import pytest
from rollout_lines import (
    agent,
    call,
    completed,
    ended,
    event,
    folded,
    ids,
    kinds,
    one_item,
    output,
    response,
    rolled_back,
    started,
    user,
)

from mcp_server.models.value import Json

# ---------------------------------------------------------------------------------------------- legacy items


def test_a_user_message_holds_text_and_images_as_user_input():
    element = {"byte_range": {"start": 0, "end": 3}, "placeholder": None}
    (turn,) = folded(user("see", images=["https://e/x.png"], local_images=["/a.png"], text_elements=[element]))

    assert turn.items[0]["content"] == [
        {"type": "text", "text": "see", "text_elements": [element]},
        {"type": "image", "url": "https://e/x.png"},
        {"type": "localImage", "path": "/a.png"},
    ]
    assert turn.items[0]["started_at_ms"] is None


def test_an_empty_agent_message_is_no_item():
    assert ids(folded(user("one"), agent(""), agent("two"))) == [["item-1", "item-2"]]


def test_reasoning_in_a_row_is_one_item():
    (turn,) = folded(
        user("one"),
        event("agent_reasoning", text="a"),
        call("c"),
        event("agent_reasoning", text="b"),
        event("agent_reasoning_raw_content", text="raw"),
        agent("re"),
        event("agent_reasoning", text="d"),
    )

    assert [item.id for item in turn.items] == ["item-1", "item-2", "c", "item-3", "item-4"]
    assert (turn.items[1]["summary"], turn.items[1]["content"]) == (["a", "b"], ["raw"])


def test_reviews_and_compactions_are_items():
    (turn,) = folded(
        user("one"),
        event("context_compacted"),
        event("entered_review_mode", user_facing_hint="the diff"),
        event("exited_review_mode", review_output={"overall_explanation": " fine "}),
        event("exited_review_mode"),
    )

    assert kinds(turn)[1:] == ["contextCompaction", "enteredReviewMode", "exitedReviewMode", "exitedReviewMode"]
    assert [item["review"] for item in turn.items[2:4]] == ["the diff", "fine"]


def test_the_ends_of_patches_and_mcp_calls_are_items_with_their_call_ids():
    (turn,) = folded(
        user("one"),
        event("patch_apply_end", call_id="p", status="completed", changes={"/a": {"type": "add", "content": "x"}}),
        event("mcp_tool_call_end", call_id="m", invocation={"server": "s", "tool": "t"}, result={"Err": "bad"}),
    )

    patch, mcp = turn.items[1:]
    assert patch["changes"] == [{"path": "/a", "kind": {"type": "add"}, "diff": "x"}]
    assert (mcp.id, mcp["status"], mcp["error"]) == ("m", "failed", {"message": "bad"})


def test_a_plan_is_an_item_and_a_later_version_replaces_it():
    plans = [completed("a", {"type": "Plan", "id": "p", "text": text}) for text in ("first", "second")]
    (turn,) = folded(started("a"), user("one"), plans[0], agent("re"), plans[1], ended("a"))

    assert [item.id for item in turn.items] == ["item-1", "p", "item-2"]
    assert turn.items[1]["text"] == "second"


def test_messages_recorded_both_ways_are_shown_once():
    twice = completed("a", {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": "re"}]})

    assert ids(folded(started("a"), user("one"), agent("re"), twice, ended("a"))) == [["item-1", "item-2"]]


def test_hook_prompts_are_an_item_and_other_user_text_of_the_model_is_none():
    text = '<hook_prompt hook_run_id="r">do &lt;it&gt;</hook_prompt>'
    message = response("message", role="user", id="h", content=[{"type": "input_text", "text": text}])
    other = response("message", role="user", id="o", content=[{"type": "input_text", "text": "AGENTS.md"}])
    (turn,) = folded(user("one"), other, message)

    assert (turn.items[1].id, turn.items[1].type) == ("h", "hookPrompt")
    assert turn.items[1]["fragments"] == [{"text": "do <it>", "hook_run_id": "r"}]
    assert len(turn.items) == 2


def test_items_that_legacy_histories_have_no_event_for_are_shown_as_they_are():
    command = completed("a", {"type": "CommandExecution", "id": "c", "command": ["ls"]})
    review = completed("a", {"type": "EnteredReviewMode", "id": "r", "review": "the diff"})

    assert ids(folded(started("a"), user("one"), command, review, agent("re"))) == [["item-1", "c", "r", "item-2"]]


# ---------------------------------------------------------------------------------------------- paginated items


def test_paginated_items_keep_their_ids_and_times():
    message: Json = {
        "type": "UserMessage",
        "id": "u",
        "content": [{"type": "text", "text": "hi", "text_elements": []}],
    }
    (turn,) = folded(started("a"), completed("a", message), ended("a"), paginated=True)

    item = turn.items[0]
    assert (item.type, item.id, item["started_at_ms"], item["completed_at_ms"]) == ("userMessage", "u", 5, 6)
    assert item["content"] == message["content"]


def test_paginated_histories_ignore_legacy_events():
    turns = folded(started("a"), user("one"), agent("re"), rolled_back(1), ended("a"), paginated=True)

    assert ids(turns) == [[]]


def test_a_paginated_call_without_an_item_is_shown():
    (turn,) = folded(started("a"), call("c"), output("c", "files"), ended("a"), paginated=True)

    assert (kinds(turn), turn.items[0]["status"]) == (["dynamicToolCall"], "completed")


def test_items_stand_in_the_order_of_their_completion():
    commands = [completed("a", {"type": "CommandExecution", "id": name, "command": ["ls"]}) for name in "ba"]
    (turn,) = folded(started("a"), call("a"), call("b"), *commands, ended("a"), paginated=True)

    assert [item.id for item in turn.items] == ["b", "a"]


def test_an_item_that_completes_late_joins_its_own_turn():
    plan = {"type": "Plan", "id": "p", "text": "t"}
    turns = folded(started("a"), ended("a"), started("b"), completed("a", plan), completed("?", plan), paginated=True)

    assert ids(turns) == [["p"], []]


def test_a_command_execution_has_codex_wire_values():
    recorded = {
        "type": "CommandExecution",
        "process_id": "7",
        "command": ["/bin/bash", "-lc", "echo hi"],
        "cwd": "file:///my%20project",
        "parsed_cmd": [{"type": "list_files", "cmd": "ls", "path": "."}, {"type": "read", "cmd": "cat x", "path": "x"}],
        "source": "unified_exec_startup",
        "status": "in_progress",
        "aggregated_output": "hi\n",
        "exit_code": 0,
        "duration": {"secs": 1, "nanos": 5_900_000},
    }
    assert one_item(recorded) == {
        "type": "commandExecution",
        "process_id": "7",
        "command": "/bin/bash -lc 'echo hi'",
        "cwd": "/my project",
        "command_actions": [
            {"type": "listFiles", "command": "ls", "path": "."},
            {"type": "read", "command": "cat x", "path": "/my project/x"},
        ],
        "source": "unifiedExecStartup",
        "status": "inProgress",
        "aggregated_output": "hi\n",
        "exit_code": 0,
        "duration_ms": 1005,
    }


def test_a_collab_call_has_the_states_of_its_agents():
    item = one_item(
        {
            "type": "CollabAgentToolCall",
            "tool": "spawn_agent",
            "status": "completed",
            "sender_thread_id": "s",
            "receiver_thread_ids": ["r"],
            "agents_states": {"r": "pending_init", "q": {"completed": "done"}},
        }
    )
    assert (item["tool"], item["receiver_thread_ids"]) == ("spawnAgent", ["r"])
    assert item["agents_states"] == {
        "r": {"status": "pendingInit", "message": None},
        "q": {"status": "completed", "message": "done"},
    }


def test_a_file_change_lists_its_files_sorted():
    changes = {
        "/b": {"type": "delete", "content": "z"},
        "/a": {"type": "update", "unified_diff": "@@", "move_path": "/c"},
    }
    assert one_item({"type": "FileChange", "changes": changes, "status": "completed"}) == {
        "type": "fileChange",
        "changes": [
            {"path": "/a", "kind": {"type": "update", "move_path": "/c"}, "diff": "@@\n\nMoved to: /c"},
            {"path": "/b", "kind": {"type": "delete"}, "diff": "z"},
        ],
        "status": "completed",
    }


def test_an_mcp_call_keeps_arguments_and_result_as_they_are():
    result = {"content": [{"type": "text", "text": "hi"}], "structuredContent": {"someKey": 1}, "isError": False}
    item = one_item(
        {
            "type": "McpToolCall",
            "server": "s",
            "tool": "some_tool",
            "arguments": {"someKey": 1},
            "status": "completed",
            "result": result,
        }
    )
    assert (item["tool"], item["arguments"]) == ("some_tool", {"someKey": 1})
    assert item["result"] == {"content": result["content"], "structured_content": {"someKey": 1}}


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        (
            {"type": "Reasoning", "summary_text": ["s"], "raw_content": ["c"]},
            {"type": "reasoning", "summary": ["s"], "content": ["c"]},
        ),
        (
            {
                "type": "AgentMessage",
                "content": [{"type": "Text", "text": "a"}, {"text": "b"}],
                "phase": "final_answer",
            },
            {"type": "agentMessage", "text": "ab", "phase": "final_answer"},
        ),
        ({"type": "Plan", "text": "p"}, {"type": "plan", "text": "p"}),
        ({"type": "ContextCompaction"}, {"type": "contextCompaction"}),
        ({"type": "ImageView", "path": "/x.png"}, {"type": "imageView", "path": "/x.png"}),
        ({"type": "EnteredReviewMode", "review": "r"}, {"type": "enteredReviewMode", "review": "r"}),
        (
            {"type": "ExitedReviewMode", "review_output": {"overall_explanation": "fine"}},
            {"type": "exitedReviewMode", "review": "fine"},
        ),
        (
            {"type": "WebSearch", "query": "q", "action": {"type": "find_in_page", "url": "u"}},
            {"type": "webSearch", "query": "q", "action": {"type": "findInPage", "url": "u"}},
        ),
        (
            {
                "type": "UserMessage",
                "content": [{"type": "image", "image_url": "u"}, {"type": "local_image", "path": "/p"}],
            },
            {"type": "userMessage", "content": [{"type": "image", "url": "u"}, {"type": "localImage", "path": "/p"}]},
        ),
        (
            {"type": "NewThing", "someField": 1, "status": "in_progress", "duration": {"secs": 1, "nanos": 0}},
            {"type": "newThing", "some_field": 1, "status": "inProgress", "duration_ms": 1000},
        ),
    ],
    ids=lambda value: cast("Json", value)["type"],
)
def test_an_item_has_codex_type_and_our_field_names(recorded: Json, shown: Json):
    assert one_item(recorded) == shown
