"""Messages that only the model's history holds: they stand in until an event tells; what Codex adds is none."""

from __future__ import annotations

from typing import Any

import pytest
from rollout_lines import agent, call, completed, ended, event, folded, ids, kinds, line, response, started, user

from mcp_server.codex.lines import RolloutLine
from mcp_server.models.turn import Turn

CONTEXT = "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>"


def said(role: str, *texts: str, **fields: Any) -> RolloutLine:
    kind = "output_text" if role == "assistant" else "input_text"
    return response("message", role=role, content=[{"type": kind, "text": text} for text in texts], **fields)


def asked(text: str) -> RolloutLine:
    return said("user", text)


def answered(text: str) -> RolloutLine:
    return said("assistant", text)


def words(turns: list[Turn]) -> list[list[str]]:
    """What was said, turn by turn."""
    return [
        [item["text"] if item.type == "agentMessage" else item["content"][0]["text"] for item in turn.items]
        for turn in turns
    ]


# ---------------------------------------------------------------------------------------------- without events


def test_without_events_each_message_of_the_user_opens_a_turn_named_by_its_line():
    turns = folded(asked("one"), answered("re"), asked("two"))

    assert [turn.id for turn in turns] == ["rollout-1", "rollout-3"]
    assert words(turns) == [["one", "re"], ["two"]]
    assert {turn.status for turn in turns} == {"completed"}


def test_calls_between_such_messages_are_in_their_turn_and_so_is_one_before_all_of_them():
    turns = folded(call("c"), asked("one"), call("d"), answered("re"))

    assert ids(turns) == [["c"], ["message-2", "d", "message-4"]]


@pytest.mark.parametrize(
    "added",
    [
        CONTEXT,
        "<user_instructions>\n\nbe kind\n\n</user_instructions>",
        "# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>\nbe kind\n</INSTRUCTIONS>",
        "<permissions instructions>\nnone\n</permissions instructions>",
        "<skill>\n<name>x</name>\n</skill>",
        "<turn_aborted>\nyou were interrupted\n</turn_aborted>",
        "  \n",
    ],
)
def test_what_codex_adds_in_the_users_role_is_no_message(added: str):
    assert words(folded(asked(added), said("user", added, "one"), answered("re"))) == [["one", "re"]]


@pytest.mark.parametrize("kept", ["<div>fix this</div>", "<b>x</b> and y", "see <environment_context>", "# AGENTS.md"])
def test_what_only_looks_a_little_like_it_is_a_message(kept: str):
    assert words(folded(asked(kept))) == [[kept]]


def test_pictures_and_reasoning_stand_in_too():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    marked = [
        {"type": "input_text", "text": "<image name=[Image #1]>"},
        picture,
        {"type": "input_text", "text": "</image>"},
    ]
    thought = response("reasoning", id="r", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="x")
    (turn,) = folded(response("message", role="user", content=marked), thought, answered("re"))

    assert kinds(turn) == ["userMessage", "reasoning", "agentMessage"]
    assert turn.items[0]["content"] == [{"type": "image", "url": "data:image/png;base64,AA"}]
    assert turn.items[1]["summary"] == ["hm"]


def test_a_message_may_be_a_mere_text_and_developers_and_systems_say_nothing():
    messages = [response("message", role=role, content="hi") for role in ("system", "developer", "user")]

    assert ids(folded(*messages)) == [["message-3"]]


def test_in_a_turn_that_events_open_messages_stand_in_as_well():
    (turn,) = folded(started("a"), asked("one"), answered("re"), ended("a"))

    assert words([turn]) == [["one", "re"]]


# ---------------------------------------------------------------------------------------------- where events tell


@pytest.mark.parametrize("begin", [[], [started("a")]])
def test_a_message_that_an_event_tells_is_shown_once_with_codex_ids(begin: list[RolloutLine]):
    turns = folded(*begin, asked(CONTEXT), asked("one"), user("one"), agent("re"), answered("re"))

    assert ids(turns) == [["item-1", "item-2"]]
    assert [turn.id for turn in turns] == ["a" if begin else "rollout-3"]


def test_an_answer_whose_event_comes_after_it_is_shown_once():
    assert ids(folded(answered("re"), agent("re"))) == [["item-1"]]


def test_messages_of_a_converter_stay_when_codex_goes_on():
    turns = folded(
        asked("one"), answered("re"), asked("two"), answered("re"), started("a"), asked("x"), user("x"), agent("y")
    )

    assert words(turns) == [["one", "re"], ["two", "re"], ["x", "y"]]
    assert ids(turns)[2] == ["item-1", "item-2"]


def test_what_is_injected_between_turns_that_events_tell_is_not_shown():
    turns = folded(
        started("a"), user("one"), ended("a"), asked("injected"), answered("injected"), started("b"), ended("b")
    )

    assert ids(turns) == [["item-1"], []]


def test_after_a_compaction_the_history_that_is_told_anew_is_not_shown():
    turns = folded(line("compacted", message="m"), asked("a summary"), answered("ok"), user("one"))

    assert [words(turns), [turn.id for turn in turns]] == [[["one"]], ["rollout-1"]]


def test_a_turn_keeps_its_id_and_numbers_where_events_tell():
    turns = folded(asked("one"), user("one"), event("context_compacted"), asked("two"), user("two"))

    assert [turn.id for turn in turns] == ["rollout-2", "rollout-5"]
    assert ids(turns) == [["item-1", "item-2"], ["item-3"]]


def test_paginated_histories_show_messages_by_their_items_alone():
    item = {"type": "UserMessage", "id": "u", "content": [{"type": "text", "text": "one"}]}
    turns = folded(
        asked("?"), started("a"), asked("one"), completed("a", item), answered("?"), ended("a"), paginated=True
    )

    assert ids(turns) == [["u"]]


def test_what_a_compaction_was_told_by_the_model_is_not_shown():
    turns = folded(started("a"), answered("a summary"), event("context_compacted"), ended("a"))

    assert [kinds(turn) for turn in turns] == [["contextCompaction"]]
