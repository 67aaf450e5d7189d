"""What one verb does, with the receipt of its call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import fields
from typing import Any, TypeVar

from mcp_server.codex.files import RolloutRef
from mcp_server.models.records import Change, Receipt
from mcp_server.storage.contracts import Rollouts, UnitOfWork

logger = logging.getLogger(__name__)

T = TypeVar("T")

receipt_of: ContextVar[Callable[[Any], Receipt] | None] = ContextVar("receipt_of", default=None)
"""Makes the receipt of the call that is worked on, from the verb's result. None if the call has no request_id."""


class RolloutFirst(UnitOfWork):
    """In a home of files, and in memory: rollouts are written at once, then all the rest in one transaction. A process
    that is killed in between leaves a rollout that is right, and of the call a claim without an outcome."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts
        self.change = Change()

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        return self._rollouts.create(rollout, data)

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        return self._rollouts.append(rollout, data)

    def record(self, change: Change) -> None:
        self.change = merged(self.change, change)

    def answer(self, result: T) -> T:
        make = receipt_of.get()
        if make is not None:
            try:
                self.record(Change(receipts=(make(result),)))
            except Exception:  # what was written must have its row all the same
                logger.exception("Could not make the receipt of a call")
        return result


def merged(one: Change, other: Change) -> Change:
    """Both in one change. An operation is in one of them at most."""
    parts = {field.name: getattr(one, field.name) for field in fields(Change)}
    for name, part in parts.items():
        more = getattr(other, name)
        parts[name] = part + more if isinstance(part, tuple) else part or more
    return Change(**parts)
