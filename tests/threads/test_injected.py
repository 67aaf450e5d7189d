"""Messages that are given to a model between turns, told apart from those of turns and from what Codex adds."""

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


def test_messages_between_turns_are_found_in_both_roles() -> None:
    between = (message("of the user"), message("of the model", "assistant"))
    assert found(started("a"), ended("a"), *between, started("b"), ended("b")) == ["of the user", "of the model"]


def test_messages_within_a_turn_are_not_injected() -> None:
    assert found(started("a"), message("asked"), user("asked"), message("said", "assistant"), agent("said")) == []


def test_a_message_that_names_its_turn_is_not_injected_though_it_comes_after_the_end() -> None:
    late = message("cut off", "assistant", internal_chat_message_metadata_passthrough={"turn_id": "a"})
    assert found(started("a"), ended("a"), late) == []


def test_a_message_before_the_first_turn_is_found_once_a_turn_starts_or_the_lines_end() -> None:
    assert found(message("early"), started("a"), ended("a")) == ["early"]
    assert found(message("early")) == ["early"]


def test_a_rollout_whose_turns_no_event_opens_has_no_injected_messages() -> None:
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
def test_context_that_codex_adds_is_not_an_injected_message(text: str) -> None:
    assert found(started("a"), ended("a"), message(text)) == []


def test_developer_messages_are_not_injected_messages() -> None:
    assert found(started("a"), ended("a"), message("be brief", "developer")) == []
