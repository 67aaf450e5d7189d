"""How the last turn of a rollout stands, told by the events at its ends. The index of turns knows it for sure, and
more; this is what a first look at a file tells of it."""

from __future__ import annotations

from mcp_server.codex.fields import text_of
from mcp_server.codex.items import turn_error
from mcp_server.codex.lines import MalformedLine, RawLine, RolloutLine, decode_raw
from mcp_server.models.thread import LastTurn, last_turn
from mcp_server.models.value import Json

COMPLETIONS = {b"task_complete", b"turn_complete"}
ENDS = COMPLETIONS | {b"turn_aborted"}


class LastTurnReader:
    """Takes the starts and ends of turns in order, and what makes them unsure. An end is decoded only if it turns out
    to be the last."""

    def __init__(self) -> None:
        self._open = self._unsure = False
        self._id: str | None = None
        self._end: RawLine | RolloutLine | None = None
        self._completion: RawLine | RolloutLine | None = None

    def start(self, payload: Json) -> None:
        self._id, self._open, self._unsure, self._end = text_of(payload, "turn_id"), True, False, None

    def end(self, line: RawLine | RolloutLine, *, completes: bool) -> None:
        self._open, self._end = False, line
        if completes:
            self._completion = line

    def message(self) -> None:
        """A message of the user: outside of a turn it opens one, which no event ends."""
        self._unsure = self._unsure or not self._open

    def roll_back(self) -> None:
        self._open, self._unsure = False, True

    def result(self) -> LastTurn | None:
        """None where the events don't tell."""
        ended, completed = _payload(self._end), _payload(self._completion)
        if self._unsure or not (self._open or ended):
            return None
        answer = text_of(completed, "last_agent_message")
        if self._end is None or not ended:
            return last_turn("inProgress", None, answer) if self._open else None
        if text_of(ended, "turn_id") not in (None, self._id):  # it came late, of another turn
            return None
        if text_of(ended, "type") == "turn_aborted":
            return last_turn("interrupted", None, answer)
        error = turn_error(ended.get("error"))
        return last_turn("failed" if error else "completed", error and error.message, answer)


def _payload(line: RawLine | RolloutLine | None) -> Json:
    if isinstance(line, RawLine):
        try:
            return decode_raw(line).payload
        except MalformedLine:
            return {}
    return line.payload if line else {}
