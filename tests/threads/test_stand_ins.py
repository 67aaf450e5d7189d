"""Messages that only the model's history records are shown until events record messages. Context that Codex adds is
never shown."""

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


def test_each_user_message_opens_a_turn_named_by_its_line_where_no_event_does():
    turns = folded(asked("one"), answered("re"), asked("two"))

    assert [turn.id for turn in turns] == ["rollout-1", "rollout-3"]
    assert words(turns) == [["one", "re"], ["two"]]
    assert {turn.status for turn in turns} == {"completed"}


def test_a_call_joins_the_turn_of_the_message_before_it_and_the_first_turn_if_none_is_before_it():
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
def test_context_that_codex_adds_in_the_users_role_is_not_shown(added: str):
    assert words(folded(asked(added), said("user", added, "one"), answered("re"))) == [["one", "re"]]


@pytest.mark.parametrize("kept", ["<div>fix this</div>", "<b>x</b> and y", "see <environment_context>", "# AGENTS.md"])
def test_a_user_message_that_only_resembles_such_context_is_shown(kept: str):
    assert words(folded(asked(kept))) == [[kept]]


def test_pictures_and_reasoning_are_shown_where_no_event_records_them():
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


def test_a_plain_text_is_shown_as_a_message_of_the_user_and_not_of_system_or_developer():
    messages = [response("message", role=role, content="hi") for role in ("system", "developer", "user")]

    assert ids(folded(*messages)) == [["message-3"]]


def test_messages_without_events_are_shown_in_a_turn_that_an_event_opened():
    (turn,) = folded(started("a"), asked("one"), answered("re"), ended("a"))

    assert words([turn]) == [["one", "re"]]


# ---------------------------------------------------------------------------------------------- with events


@pytest.mark.parametrize("begin", [[], [started("a")]])
def test_a_message_recorded_both_ways_is_shown_once_with_codexs_id(begin: list[RolloutLine]):
    turns = folded(*begin, asked(CONTEXT), asked("one"), user("one"), agent("re"), answered("re"))

    assert ids(turns) == [["item-1", "item-2"]]
    assert [turn.id for turn in turns] == ["a" if begin else "rollout-3"]


def test_an_answer_that_its_event_follows_is_shown_once():
    assert ids(folded(answered("re"), agent("re"))) == [["item-1"]]


def test_messages_that_a_converter_wrote_stay_shown_after_codex_adds_events():
    turns = folded(
        asked("one"), answered("re"), asked("two"), answered("re"), started("a"), asked("x"), user("x"), agent("y")
    )

    assert words(turns) == [["one", "re"], ["two", "re"], ["x", "y"]]
    assert ids(turns)[2] == ["item-1", "item-2"]


def test_messages_injected_between_turns_are_not_shown_where_events_record_messages():
    turns = folded(
        started("a"), user("one"), ended("a"), asked("injected"), answered("injected"), started("b"), ended("b")
    )

    assert ids(turns) == [["item-1"], []]


def test_history_that_is_repeated_after_a_compaction_is_not_shown():
    turns = folded(line("compacted", message="m"), asked("a summary"), answered("ok"), user("one"))

    assert [words(turns), [turn.id for turn in turns]] == [[["one"]], ["rollout-1"]]


def test_turns_and_items_are_numbered_by_events_where_events_record_the_messages():
    turns = folded(asked("one"), user("one"), event("context_compacted"), asked("two"), user("two"))

    assert [turn.id for turn in turns] == ["rollout-2", "rollout-5"]
    assert ids(turns) == [["item-1", "item-2"], ["item-3"]]


def test_a_paginated_history_shows_only_the_messages_that_are_items():
    item = {"type": "UserMessage", "id": "u", "content": [{"type": "text", "text": "one"}]}
    turns = folded(
        asked("?"), started("a"), asked("one"), completed("a", item), answered("?"), ended("a"), paginated=True
    )

    assert ids(turns) == [["u"]]


def test_the_models_summary_for_a_compaction_is_not_shown():
    turns = folded(started("a"), answered("a summary"), event("context_compacted"), ended("a"))

    assert [kinds(turn) for turn in turns] == [["contextCompaction"]]
