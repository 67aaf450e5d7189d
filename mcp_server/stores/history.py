"""The contract of the index of histories: turns by byte offset, and their full text.

All of it is derived from the rollouts and built by whoever reads them; losing it costs a reading. A thread that is
forgotten or vanishes from the rows takes its index along.
"""

from __future__ import annotations

from typing import Protocol

from mcp_server.models.history import HistoryMark, HistoryStep, TurnSpan


class HistoryStore(Protocol):
    """Numbers of turns and items count from 0; ranges leave their end out and may reach beyond what is there."""

    async def mark(self, thread_id: str) -> HistoryMark | None:
        """How far the thread is indexed; None if it is not."""
        ...

    async def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns with these numbers, in order."""
        ...

    async def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns that hold the items with these numbers in the thread, in order."""
        ...

    async def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        """The first turn with this id."""
        ...

    async def span_at(self, thread_id: str, offset: int) -> TurnSpan | None:
        """The last turn that begins at or before a byte offset."""
        ...

    async def step(self, step: HistoryStep) -> bool:
        """Take in what a reading found, all or nothing. False, and nothing is changed, if the thread's mark is not the
        one that the step goes on from: another has indexed it meanwhile."""
        ...

    async def unread(self, limit: int) -> list[str]:
        """Threads whose rollouts are not indexed as their rows tell of them, the last changed first."""
        ...

    async def unread_count(self) -> int: ...
