"""The index of histories in memory."""

from __future__ import annotations

from mcp_server.models.history import HistoryMark, HistoryStep, TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.stores.history import HistoryStore


class MemoryHistory(HistoryStore):
    """No method awaits, so each is one step of the event loop, and whole."""

    def __init__(self) -> None:
        self._threads: dict[str, StoredThread] = {}
        self._marks: dict[str, HistoryMark] = {}
        self._spans: dict[str, list[TurnSpan]] = {}

    async def mark(self, thread_id: str) -> HistoryMark | None:
        return self._marks.get(thread_id)

    async def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        return self._spans.get(thread_id, [])[max(0, first) : max(0, end)]

    async def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        all_ = self._spans.get(thread_id, [])
        return [span for span in all_ if span.items < end and span.items + span.size > first]

    async def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        return next((span for span in self._spans.get(thread_id, ()) if span.turn_id == turn_id), None)

    async def span_at(self, thread_id: str, offset: int) -> TurnSpan | None:
        before = [span for span in self._spans.get(thread_id, ()) if span.place.start <= offset]
        return before[-1] if before else None

    async def step(self, step: HistoryStep) -> bool:
        thread_id = step.mark.thread_id
        before = self._marks.get(thread_id)
        if step.after is not None and (before is None or before.end != step.after):
            return False
        self._marks[thread_id] = step.mark
        self._spans[thread_id] = [*self._spans.get(thread_id, [])[: step.keep], *step.spans]
        return True

    async def unread(self, limit: int) -> list[str]:
        return [thread.id for thread in self._unread()[:limit]]

    async def unread_count(self) -> int:
        return len(self._unread())

    def _unread(self) -> list[StoredThread]:
        marks = self._marks
        left = [t for t in self._threads.values() if t.id not in marks or marks[t.id].stamp != t.stamp]
        return sorted(left, key=lambda thread: (thread.updated_at_ms, thread.id), reverse=True)

    def _forget(self, thread_id: str) -> None:
        self._marks.pop(thread_id, None)
        self._spans.pop(thread_id, None)
