"""The events of threads in the durable log."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

EventType = Literal[
    "thread/started",
    "thread/status/changed",
    "thread/name/updated",
    "thread/tags/updated",
    "thread/archived",
    "thread/unarchived",
    "thread/reverted",
    "thread/deleted",
    "thread/closed",
    "turn/started",
    "turn/completed",
    "item/completed",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


class ThreadEvent(msgspec.Struct, frozen=True):
    """One event. `payload` is Codex's notification in snake_case. The log gives `seq` and `at_ms` (0 before)."""

    type: EventType
    thread_id: str
    payload: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    seq: int = 0
    at_ms: int = 0
