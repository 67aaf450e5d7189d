"""The contract of the index of histories: turns by byte offset, and their full text.

All of it is derived from the rollouts and built by whoever reads them; losing it costs a reading. A thread that is
forgotten or vanishes from the rows takes its index along.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mcp_server.models.history import IndexCheckpoint, IndexUpdate, TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.storage.query import ThreadQuery


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What texts are asked for: all `literals` are in them, whatever their case. `threads` bounds their threads (its
    order and page don't count), `thread_id` names a single one, `before` is the place that the last page ended at."""

    literals: tuple[str, ...]
    threads: ThreadQuery
    tools: bool = False
    thread_id: str | None = None
    before: int | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A text that may hold what was asked for: the lines in `[start, end)` of the turn at `span`; None if that is gone,
    or if a message between turns is there. `number` falls from newer texts to older ones."""

    number: int
    thread: StoredThread
    span: TurnSpan | None
    start: int
    end: int


class HistoryStore(Protocol):
    """Numbers of turns and items count from 0; ranges leave their end out and may reach beyond what is there."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Within, all reads of this thread see the same state of the store. Nothing is waited for within: others may
        wait for the snapshot."""
        ...

    def marks(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        """How far these threads are indexed, those that are."""
        ...

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns with these numbers, in order."""
        ...

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns that hold the items with these numbers in the thread, in order."""
        ...

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        """The first turn with this id."""
        ...

    def step(self, steps: Sequence[IndexUpdate]) -> list[bool]:
        """Take in what readings found, in one transaction, each of another thread. False, and nothing is changed,
        for a thread whose mark is not the one that the step goes on from: another has indexed it meanwhile.
        Of a thread that was deleted meanwhile nothing stays."""
        ...

    def places(self, query: TextQuery) -> list[TextPlace]:
        """Where texts may hold the literals, newest first: what was written since the index was begun as it came, and
        below it what was there before, as its threads were read. No place that holds them is left out, for what
        `re.IGNORECASE` takes for the same. A place is to be looked at: it may hold the literals in pieces, be a tool's,
        or be gone."""
        ...

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        """Threads whose names may hold all literals, whatever their case; the last changed first. Names are to be
        looked at; what stands behind a NUL in one is not found."""
        ...

    def unread(self, limit: int) -> list[str]:
        """Threads whose rollouts are not indexed as their rows tell of them, the last changed first."""
        ...

    def unread_count(self) -> int: ...

    def indexed_count(self) -> int:
        """How many threads are indexed, up to whatever place."""
        ...
