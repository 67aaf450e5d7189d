"""Copies histories from one rollout to another, and translates between the two forms of histories.

A legacy history has an event of its own for each kind of message. A paginated one numbers all lines and records each
item as `item_completed`. Of these items, a reader of legacy histories shows only plans and skips the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from mcp_server.codex import writer as recording
from mcp_server.codex.fields import mapping_of, mappings_of, part_texts, texts_of
from mcp_server.codex.lines import RolloutLine, decoded_or_text
from mcp_server.codex.messages import message_item, said_by_user
from mcp_server.errors import TurnNotFound
from mcp_server.models.times import rfc3339
from mcp_server.models.value import Json

_OPENING = ("task_started", "turn_started")
_MESSAGE_EVENTS = (*_OPENING, "agent_message", "agent_reasoning", "agent_reasoning_raw_content")
_CLOSING = ("task_complete", "turn_complete", "turn_aborted")


@dataclass
class HistoryCopy:
    """Makes the part of a legacy fork that is copied from its source: the lines between the fork's own session metadata
    and its settings.

    Feed it the source's lines in order, from the first line of the history (for a paginated source, from what that
    borrows). It copies everything, or up to the end of `last_turn_id`, or up to the start of `before_turn_id`. As in
    Codex, every copied line gets the fork's time, the source's session metadata is copied too, and a turn that is open
    at the end is closed as interrupted. An `old` source, from before September 2025, has no events; the copy gets
    events for its messages.
    """

    source_id: str
    now_ms: int
    last_turn_id: str | None = None
    before_turn_id: str | None = None
    old: bool = False
    done: bool = field(default=False, init=False)
    _turn_id: str | None = field(default=None, init=False)
    _open: Json | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _found: bool = field(default=False, init=False)
    _has_events: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._stamp = rfc3339(self.now_ms)

    def feed(self, line: RolloutLine) -> list[RolloutLine]:
        """The copies of a line: none after the end of the copy, several if the translation needs them."""
        if self.done:
            return []
        opened = self._opened_by(line)
        self._count += 1
        if opened is not None and self._enter(opened, line):
            return []
        if line.event in _CLOSING and self._open is not None and _ends(line.payload, self._open):
            self._open = None
            self.done = self._turn_id == self.last_turn_id
        made = _with_events(line) if self.old else to_legacy(line)
        return [msgspec.structs.replace(one, timestamp=self._stamp) for one in made]

    def close(self) -> list[RolloutLine]:
        """The lines at the end of the copy, which interrupt a turn in progress.

        Raises:
            TurnNotFound: the turn that bounds the copy is not in the source.
        """
        bound = self.last_turn_id or self.before_turn_id
        if bound is not None and not self._found:
            raise TurnNotFound(bound, self.source_id)
        if self._open is None:
            return []
        aborted = {
            "type": "turn_aborted",
            "turn_id": self._open["turn_id"],
            "root_turn_id": self._open.get("root_turn_id") or self._open["turn_id"],
            "reason": "interrupted",
            "started_at": self._open.get("started_at"),
        }
        event = RolloutLine(type="event_msg", payload=aborted, timestamp=self._stamp)
        return [recording.interruption_note(self._open["turn_id"], self.now_ms), event]

    def _opened_by(self, line: RolloutLine) -> str | None:
        user_event = line.event == "user_message" or _item(line).get("type") == "UserMessage"
        self._has_events = self._has_events or user_event or line.event in _MESSAGE_EVENTS
        match line.payload.get("turn_id"):
            case str(turn_id) if line.event in _OPENING:
                return turn_id
            case _:
                pass
        # Before Codex marked turns, each user message began a turn, named after the number of its line. In a history
        # without events, a user message in the model's history begins one.
        bare = not self._has_events and line.type == "response_item" and bool(said_by_user(line.payload))
        return f"rollout-{self._count}" if self._open is None and (user_event or bare) else None

    def _enter(self, turn_id: str, line: RolloutLine) -> bool:
        """Note that a turn begins. True if the copy ends before it."""
        if self._found or turn_id == self.before_turn_id:
            self._found = self.done = True
            return True
        self._turn_id = turn_id
        self._open = line.payload if line.event in _OPENING else None
        self._found = turn_id == self.last_turn_id
        return False


def _ends(end: Json, start: Json) -> bool:
    return end.get("turn_id") in (None, start["turn_id"])


def _item(line: RolloutLine) -> Json:
    return mapping_of(line.payload, "item") if line.event == "item_completed" else {}


# ---------------------------------------------------------------------------------------------- translation


def to_legacy(line: RolloutLine) -> list[RolloutLine]:
    """A line of any history in the legacy form. Items without an event of their own stay items."""
    if line.type == "session_meta":
        return [_with_payload(line, _legacy_meta(line.payload))]
    if line.event != "item_completed":  # nearly all
        return [line if line.ordinal is None else _with_payload(line, line.payload)]
    item = _item(line)
    match item.get("type"):
        case "UserMessage":
            payloads = [recording.user_event(_user_inputs(item), 0).payload]
        case "AgentMessage":
            extra = {name: item.get(name) for name in ("phase", "memory_citation")}
            payloads = [{"type": "agent_message", "message": _agent_text(item), **extra}]
        case "Reasoning":
            payloads = _reasoning_events(item)
        case "ContextCompaction":
            payloads = [{"type": "context_compacted"}]
        case _:
            payloads = [line.payload]
    return [_with_payload(line, payload) for payload in payloads]


def _with_events(line: RolloutLine) -> list[RolloutLine]:
    """A line of an old rollout, with the event that Codex writes beside it today."""
    if line.type != "response_item":
        return []
    match message_item(line.payload, ""):
        case {"type": "userMessage", "content": content}:
            return [line, recording.user_event(content, 0)]
        case {"type": "agentMessage", "text": text}:
            return [RolloutLine("event_msg", {"type": "agent_message", "message": text, "phase": None}), line]
        case _:
            return [line]


@dataclass
class Numbering:
    """Translates lines of `writer` into the paginated form and numbers them, to be appended to a paginated history.

    `next_ordinal` is one more than the ordinal of the file's last numbered line. An item's id is made of its ordinal, a
    tool call has its call id. A call is recorded when it begins, and again, whole, with its output.
    """

    thread_id: str
    next_ordinal: int
    _calls: dict[str, Json] = field(default_factory=dict[str, Json], init=False)

    def number(self, lines: Iterable[RolloutLine], turn_id: str, now_ms: int) -> list[RolloutLine]:
        """The lines of a turn, or of a part of it, numbered from `next_ordinal` on."""
        found: list[RolloutLine] = []
        for line in lines:
            for made in self._translated(line, turn_id, now_ms):
                found.append(msgspec.structs.replace(made, ordinal=self.next_ordinal))
                self.next_ordinal += 1
        return found

    def _translated(self, line: RolloutLine, turn_id: str, now_ms: int) -> list[RolloutLine]:
        if line.type == "response_item":
            call = self._called(line.payload)
            return [line] if call is None else [line, self._completed(call, turn_id, now_ms)]
        if line.event in _CLOSING:
            self._calls.clear()
        item = _paginated_item(line.payload, f"item-{self.next_ordinal}")
        return [line] if item is None else [self._completed(item, turn_id, now_ms)]

    def _completed(self, item: Json, turn_id: str, now_ms: int) -> RolloutLine:
        return recording.item_completed(item, self.thread_id, turn_id, now_ms)

    def _called(self, payload: Json) -> Json | None:
        match payload:
            case {"type": "function_call", "call_id": str(call_id), "name": name, "arguments": arguments}:
                call = {"type": "DynamicToolCall", "id": call_id, "tool": name, "arguments": decoded_or_text(arguments)}
                self._calls[call_id] = call
                return {**call, "status": "in_progress"}
            case {"type": "function_call_output", "call_id": str(call_id), "output": output}:
                call = self._calls.pop(call_id, None)
                return None if call is None else {**call, **_outcome(output, payload.get("success"))}
            case _:
                return None


def _with_payload(line: RolloutLine, payload: Json) -> RolloutLine:
    return msgspec.structs.replace(line, payload=payload, ordinal=None)


def _legacy_meta(payload: Json) -> Json:
    borrowed = ("history_base", "forked_from_ordinal_exclusive")
    kept = {name: value for name, value in payload.items() if name not in borrowed}
    return {**kept, "history_mode": "legacy"}


def _user_inputs(item: Json) -> list[Json]:
    """The content of a recorded UserMessage in wire form."""
    found: list[Json] = []
    for part in mappings_of(item, "content"):
        match part:
            case {"type": "image", "image_url": url}:
                found.append({"type": "image", "url": url})
            case {"type": "local_image", "path": path}:
                found.append({"type": "localImage", "path": path})
            case _:
                found.append(part)
    return found


def _agent_text(item: Json) -> str:
    parts = [part for part in mappings_of(item, "content") if part.get("type") == "Text"]
    return "".join(part_texts(parts))


def _reasoning_events(item: Json) -> list[Json]:
    shown = [{"type": "agent_reasoning", "text": text} for text in texts_of(item, "summary_text")]
    raw = [{"type": "agent_reasoning_raw_content", "text": text} for text in texts_of(item, "raw_content")]
    return shown + raw


def _outcome(output: str, success: bool | None) -> Json:
    return {
        "status": "failed" if success is False else "completed",
        "content_items": [{"type": "inputText", "text": output}],
        "success": success is not False,
    }


def _paginated_item(event: Json, item_id: str) -> Json | None:
    match event:
        case {"type": "user_message"}:
            return {"type": "UserMessage", "id": item_id, "content": _recorded_inputs(event)}
        case {"type": "agent_message", "message": text}:
            return {"type": "AgentMessage", "id": item_id, "content": [{"type": "Text", "text": text}]}
        case {"type": "agent_reasoning", "text": text}:
            return {"type": "Reasoning", "id": item_id, "summary_text": [text], "raw_content": []}
        case _:
            return None


def _recorded_inputs(event: Json) -> list[Json]:
    message = event["message"]
    text: list[Json] = [{"type": "text", "text": message, "text_elements": event["text_elements"]}] if message else []
    images = [{"type": "image", "image_url": url} for url in event.get("images") or ()]
    local = [{"type": "local_image", "path": path} for path in event.get("local_images") or ()]
    return text + images + local
