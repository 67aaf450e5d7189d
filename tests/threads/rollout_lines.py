"""Hand-made rollout lines, and what they fold into."""

from __future__ import annotations

from typing import Any

from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.parser import TurnBuilder
from mcp_server.models.turn import Turn
from mcp_server.models.value import Json


def line(kind: str, **payload: Any) -> RolloutLine:
    return RolloutLine(type=kind, payload=payload, timestamp="2026-11-22T10:00:00.000Z")


def event(kind: str, **fields: Any) -> RolloutLine:
    return line("event_msg", type=kind, **fields)


def response(kind: str, **fields: Any) -> RolloutLine:
    return line("response_item", type=kind, **fields)


META = line("session_meta", id="t", history_mode="legacy")


def started(turn_id: str, **fields: Any) -> RolloutLine:
    return event("task_started", **({"turn_id": turn_id, "root_turn_id": turn_id, "started_at": 100} | fields))


def ended(turn_id: str, **fields: Any) -> RolloutLine:
    return event("task_complete", **({"turn_id": turn_id, "completed_at": 101, "duration_ms": 7} | fields))


def aborted(turn_id: str | None, **fields: Any) -> RolloutLine:
    return event("turn_aborted", turn_id=turn_id, reason="interrupted", **fields)


def user(text: str, **fields: Any) -> RolloutLine:
    return event("user_message", **({"message": text, "images": [], "local_images": [], "text_elements": []} | fields))


def agent(text: str) -> RolloutLine:
    return event("agent_message", message=text, phase=None)


def completed(turn_id: str, item: Json) -> RolloutLine:
    return event("item_completed", turn_id=turn_id, item=item, started_at_ms=5, completed_at_ms=6)


def rolled_back(num_turns: int) -> RolloutLine:
    return event("thread_rolled_back", num_turns=num_turns)


def call(call_id: str, arguments: str = '{"cmd": "ls"}', **fields: Any) -> RolloutLine:
    return response("function_call", name="exec", arguments=arguments, call_id=call_id, **fields)


def output(call_id: str, text: Any, **fields: Any) -> RolloutLine:
    return response("function_call_output", call_id=call_id, output=text, **fields)


def folded(*lines: RolloutLine, paginated: bool = False) -> list[Turn]:
    builder = TurnBuilder(paginated=paginated)
    for each in (META, *lines):
        builder.feed(each)
    return builder.turns()


def one_item(item: Json) -> dict[str, Any]:
    """What a paginated history shows of one completed item."""
    (turn,) = folded(started("a"), completed("a", {"id": "i"} | item), ended("a"), paginated=True)
    return {"type": turn.items[0].type, **turn.items[0].fields}


def ids(turns: list[Turn]) -> list[list[str]]:
    return [[item.id for item in turn.items] for turn in turns]


def kinds(turn: Turn) -> list[str]:
    return [item.type for item in turn.items]
