"""The index of histories in memory."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from mcp_server.models.case import folded
from mcp_server.models.history import IndexCheckpoint, IndexProgress, IndexUpdate, TextChunk, TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import TurnIndex
from mcp_server.storage.query import TextPlace, TextQuery, ThreadQuery, fits
from mcp_server.storage.serialised import serialised, whole


@serialised
class MemoryHistory(TurnIndex):
    """Its methods run one at a time, so each is whole."""

    def __init__(self) -> None:
        self._threads: dict[str, StoredThread] = {}
        self._checkpoints: dict[str, IndexCheckpoint] = {}
        self._spans: dict[str, list[TurnSpan]] = {}
        self._texts: dict[int, tuple[str, TextChunk]] = {}
        self._next_text = 0

    @contextmanager
    def snapshot(self) -> Generator[None]:
        with whole(self):
            yield

    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        return {thread_id: self._checkpoints[thread_id] for thread_id in thread_ids if thread_id in self._checkpoints}

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        return self._spans.get(thread_id, [])[max(0, first) : max(0, end)]

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        all_ = self._spans.get(thread_id, [])
        return [span for span in all_ if span.size and span.items < end and span.items + span.size > first]

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        return next((span for span in self._spans.get(thread_id, ()) if span.turn_id == turn_id), None)

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        return [self._take(update) for update in updates]

    def _take(self, update: IndexUpdate) -> bool:
        thread_id = update.checkpoint.thread_id
        before = self._checkpoints.get(thread_id)
        if update.after is not None and (before is None or before.end != update.after):
            return False
        self._checkpoints[thread_id] = update.checkpoint
        self._spans[thread_id] = [*self._spans.get(thread_id, [])[: update.keep], *update.spans]
        if update.after is None:
            self._texts = {n: one for n, one in self._texts.items() if one[0] != thread_id}
        for piece in update.texts:
            self._next_text += 1
            self._texts[self._next_text] = (thread_id, replace(piece, text=""))
        return True

    def places(self, query: TextQuery) -> list[TextPlace]:
        """All of them: where nothing can be indexed, every text is looked at."""
        found: list[TextPlace] = []
        allowed = self._allowed(query.threads)
        for number, (thread_id, piece) in reversed(self._texts.items()):
            thread = self._threads.get(thread_id)
            if (
                thread is not None
                and (query.thread_id in (None, thread_id))
                and (query.before is None or number < query.before)
                and (query.tools or not piece.tools)
                and thread_id in allowed
            ):
                span = next((one for one in self._spans[thread_id] if one.begin.start == piece.turn), None)
                found.append(TextPlace(number, thread, span, piece.start, piece.end))
                if len(found) == query.limit:
                    break
        return found

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        wanted = [folded(literal) for literal in literals]
        allowed = self._allowed(threads)
        found = [
            thread
            for thread in self._threads.values()
            if thread.name is not None
            and all(literal in folded(thread.name) for literal in wanted)
            and thread.id in allowed
        ]
        return sorted(found, key=lambda thread: (thread.updated_at_ms, thread.id), reverse=True)[:limit]

    def _allowed(self, query: ThreadQuery) -> set[str]:
        """The threads that the filters of a query let through."""
        return {thread.id for thread in self._threads.values() if fits(thread, thread.updated_at_ms, query)}

    def unread(self, limit: int) -> list[str]:
        return [thread.id for thread in self._unread()[:limit]]

    def progress(self) -> IndexProgress:
        return IndexProgress(len(self._checkpoints), len(self._unread()))

    def _keep(self, before: StoredThread, after: StoredThread) -> None:
        """What is indexed of a history, when its file has another mtime and is else what it was."""
        mark = self._checkpoints.get(before.id)
        if mark is not None and mark.version == before.stamp:
            self._checkpoints[before.id] = replace(mark, version=after.stamp)

    def _unread(self) -> list[StoredThread]:
        marks = self._checkpoints
        left = [t for t in self._threads.values() if t.id not in marks or marks[t.id].version != t.stamp]
        return sorted(left, key=lambda thread: (thread.updated_at_ms, thread.id), reverse=True)

    def _forget(self, thread_id: str) -> None:
        self._checkpoints.pop(thread_id, None)
        self._spans.pop(thread_id, None)
        self._texts = {n: one for n, one in self._texts.items() if one[0] != thread_id}

    def _forget_all(self) -> None:
        self._checkpoints, self._spans, self._texts = {}, {}, {}
