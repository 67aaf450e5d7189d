"""Messages that are given to a model between turns, and what is none."""

from __future__ import annotations

import pytest
from rollout_lines import META, agent, ended, response, started, user

from mcp_server.codex.injected import InjectedMessages
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.parser import TurnBuilder


def message(text: str, role: str = "user", **fields: object) -> RolloutLine:
    kind = "output_text" if role == "assistant" else "input_text"
    return response("message", role=role, content=[{"type": kind, "text": text}], **fields)


def found(*lines: RolloutLine) -> list[str]:
    builder = TurnBuilder(paginated=True)
    between = InjectedMessages(builder)
    texts: list[str] = []
    for place, line in enumerate((META, *lines)):
        builder.feed(line, place, place + 1)
        texts += [injected.text for injected in between.take(line, place, place + 1)]
    return texts + [injected.text for injected in between.rest()]


def test_what_stands_between_turns_is_found_whoever_says_it() -> None:
    between = (message("of the user"), message("of the model", "assistant"))
    assert found(started("a"), ended("a"), *between, started("b"), ended("b")) == ["of the user", "of the model"]


def test_what_stands_in_a_turn_is_told_by_events() -> None:
    assert found(started("a"), message("asked"), user("asked"), message("said", "assistant"), agent("said")) == []


def test_what_names_a_turn_belongs_to_it() -> None:
    late = message("cut off", "assistant", internal_chat_message_metadata_passthrough={"turn_id": "a"})
    assert found(started("a"), ended("a"), late) == []


def test_what_stands_before_the_first_turn_is_found_once_a_turn_is_marked_or_nothing_else_comes() -> None:
    assert found(message("early"), started("a"), ended("a")) == ["early"]
    assert found(message("early")) == ["early"]


def test_where_events_alone_tell_of_turns_nothing_stands_between_them() -> None:
    assert found(message("asked"), user("asked"), message("said", "assistant"), agent("said"), message("more")) == []


@pytest.mark.parametrize(
    "text",
    [
        "<environment_context>\n<cwd>/w</cwd>\n</environment_context>",
        "<turn_aborted>\nThe user interrupted\n</turn_aborted>",
        "# AGENTS.md instructions for /w\n\nbe brief",
        "",
    ],
)
def test_what_codex_tells_of_the_surroundings_is_no_message(text: str) -> None:
    assert found(started("a"), ended("a"), message(text)) == []


def test_the_words_of_a_developer_are_no_message() -> None:
    assert found(started("a"), ended("a"), message("be brief", "developer")) == []
