"""Messages that were given to the model between turns (Codex: thread/inject_items). They are no items of any turn; a
search finds them, as in Codex."""

from __future__ import annotations

import re
from typing import NamedTuple

from mcp_server.codex.binary import without_base64
from mcp_server.codex.fields import part_texts
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.parser import TurnBuilder

_TURN_STARTS = ("task_started", "turn_started")
# What Codex itself tells the model about its surroundings.
_SURROUNDINGS = re.compile(r"\s*(?:<(\w+)>.*</\1>|# AGENTS\.md instructions)", re.DOTALL)


class InjectedMessage(NamedTuple):
    """A message, and the bytes of its line."""

    start: int
    end: int
    text: str


class InjectedMessages:
    """Finds them in the lines of one history, in order. Before Codex marked turns, each message came between marks;
    there it is told by an event too. So those before the first mark wait until it, or an event, is met."""

    def __init__(self, folder: TurnBuilder) -> None:
        self._builder = folder
        self._early: list[InjectedMessage] = []
        self._marked: bool | None = None

    def take(self, line: RolloutLine, start: int, end: int) -> list[InjectedMessage]:
        """What is known now that the folder has taken this line."""
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
        """Those before the first mark, where no event has told them by the end of what is there."""
        early, self._early = self._early, []
        return early


def message_of(line: RolloutLine) -> str:
    """What a message to the model says, of whoever uses it or of the model itself; nothing for any other line."""
    payload = line.payload
    if line.type != "response_item" or payload.get("type") != "message":
        return ""
    if payload.get("role") not in ("user", "assistant"):
        return ""
    text = "\n".join(without_base64(part_texts(payload, "content")))
    return "" if _SURROUNDINGS.match(text) else text
