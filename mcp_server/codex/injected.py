"""Messages that a client gave to the model between turns (Codex: thread/inject_items). They belong to no turn. A search
finds them, as in Codex."""

from __future__ import annotations

import re
from typing import NamedTuple

from mcp_server.codex.binary import without_base64
from mcp_server.codex.fields import part_texts
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.parser import TurnBuilder

_TURN_STARTS = ("task_started", "turn_started")
# Messages in which Codex itself describes the environment to the model.
_ENVIRONMENT = re.compile(r"\s*(?:<(\w+)>.*</\1>|# AGENTS\.md instructions)", re.DOTALL)


class InjectedMessage(NamedTuple):
    """A message, and the bytes of its line."""

    start: int
    end: int
    text: str


class InjectedMessages:
    """Finds injected messages in the lines of one history, in order.

    Old versions of Codex did not mark turns: then every message lies outside a turn, and events record it. So messages
    before the first turn mark are held back. If a mark comes, they were injected; if such an event comes, they
    were not.
    """

    def __init__(self, builder: TurnBuilder) -> None:
        self._builder = builder
        self._early: list[InjectedMessage] = []
        self._marked: bool | None = None

    def take(self, line: RolloutLine, start: int, end: int) -> list[InjectedMessage]:
        """The injected messages that this line reveals. Feed the line to the builder first."""
        if self._marked is None and line.event is not None:
            if line.event in _TURN_STARTS:
                self._marked = True
                return self.rest()
            if line.event in ("user_message", "agent_message", "item_completed"):
                self._marked = False
                self._early = []
        if self._marked is False or line.type != "response_item" or not self._builder.is_between_turns(line.payload):
            return []
        text = message_of(line)
        found = [InjectedMessage(start, end, text)] if text else []
        if self._marked is None:
            self._early += found
            return []
        return found

    def rest(self) -> list[InjectedMessage]:
        """The messages that are still held back. Call it after the last line."""
        early, self._early = self._early, []
        return early


def message_of(line: RolloutLine) -> str:
    """The text of a message of the user or the model; "" for any other line and for Codex's own messages."""
    payload = line.payload
    if line.type != "response_item" or payload.get("type") != "message":
        return ""
    if payload.get("role") not in ("user", "assistant"):
        return ""
    text = "\n".join(without_base64(part_texts(payload, "content")))
    return "" if _ENVIRONMENT.match(text) else text
