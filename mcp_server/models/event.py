"""What happened to threads, as the durable log keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

EventType = Literal[
    "thread/started",
    "thread/status/changed",
    "thread/name/updated",
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


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """One event. `payload` is Codex's notification in snake_case; `seq` and `at_ms` are given by the log (0 before)."""

    type: EventType
    thread_id: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    seq: int = 0
    at_ms: int = 0
