"""Turns and items of threads, found by offset: the index is kept up while reading, and only what is shown is read."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from mcp_server.errors import DamagedRollout, NotStorable, PathOutsideHome, StoreFailure
from mcp_server.models.history import IndexCheckpoint, IndexUpdate, TurnSpan
from mcp_server.models.turn import Item, ItemsView, Turn
from mcp_server.storage.history import HistoryStore
from mcp_server.storage.rollout_text import MAX_READ_BYTES
from mcp_server.threads.history import HistoryText, fold, read_items, read_turns
from mcp_server.threads.scan import CHECK_BYTES, HistoryScan, check_of

logger = logging.getLogger(__name__)

_SMALL_BATCH = 64 << 10
_ITEMS_AT_ONCE = 1_000
UNREADABLE = (DamagedRollout, PathOutsideHome, NotStorable)
"""What the files of one thread are at fault for, and no other thread suffers from."""


@dataclass(frozen=True, slots=True)
class History:
    """A thread's history as far as `mark` tells. Only the turn that runs right now is in progress; another without an
    end is shown interrupted, as Codex does."""

    text: HistoryText
    store: HistoryStore
    mark: IndexCheckpoint
    active_turn_id: str | None = None
    last: Sequence[TurnSpan] = ()
    """The last turns, as far as they were asked for."""

    def turns(self, first: int, end: int, view: ItemsView) -> list[Turn]:
        """The turns with these numbers, oldest first."""
        return self.show(self.spans(first, end), view)

    def spans(self, first: int, end: int) -> list[TurnSpan]:
        first, end = max(0, first), min(end, self.mark.turns)
        if self.last and self.last[0].number <= first:
            return [span for span in self.last if first <= span.number < end]
        return self.store.spans(self.mark.thread_id, first, end)

    def span_of(self, turn_id: str) -> TurnSpan | None:
        return self.store.span_of(self.mark.thread_id, turn_id)

    def show(self, spans: Sequence[TurnSpan], view: ItemsView) -> list[Turn]:
        return [self._settled(turn) for turn in read_turns(self.text, spans, view)]

    def items(self, first: int, end: int) -> list[tuple[str, Item]]:
        """The items with these numbers in the thread, each with its turn's id."""
        first, end = max(0, first), min(end, self.mark.items)
        spans = self.store.spans_of_items(self.mark.thread_id, first, end) if first < end else []
        return read_items(self.text, spans, first, end)

    def items_of(self, span: TurnSpan) -> Generator[Item]:
        """The items of a turn, however long it is."""
        for first in range(span.items, span.items + span.size, _ITEMS_AT_ONCE):
            for _, item in self.items(first, min(first + _ITEMS_AT_ONCE, span.items + span.size)):
                yield item

    def _settled(self, turn: Turn) -> Turn:
        if turn.status != "inProgress" or turn.id == self.active_turn_id:
            return turn
        return structs.replace(turn, status="interrupted")


def open_history(store: HistoryStore, text: HistoryText, active_turn_id: str | None = None, last: int = 0) -> History:
    """The thread's history as its file holds it now. Who opens one brings its index up to date first. `last` is how
    many of the last turns are fetched on the same way.

    Raises:
        DamagedRollout: the rollout is gone or can't be read.
        StoreFailure: the index can't be read or written.
    """
    while True:
        with store.snapshot():
            mark = store.marks([text.thread.id]).get(text.thread.id)
            spans = store.spans(text.thread.id, max(0, mark.turns - last), mark.turns) if mark and last else []
        if mark is None or (mark.stamp, mark.base) != (text.thread.stamp, text.base):
            spans = []
            going_on = mark if mark is not None and _holds(text, mark) else None
            mark = _read_on(store, text, going_on)
        if mark is not None:
            return History(text, store, mark, active_turn_id, spans)


def _read_on(store: HistoryStore, text: HistoryText, mark: IndexCheckpoint | None) -> IndexCheckpoint | None:
    """Read on from the mark, or all. None if another has indexed the thread meanwhile."""
    thread_id = text.thread.id
    last = store.spans(thread_id, mark.turns - 1, mark.turns) if mark and mark.turns else []
    scan = HistoryScan(text, mark, last[0] if last else None)
    for batch in text.lines(scan.begin.start):
        scan.take(batch)
        if scan.due:
            if _strange(store, scan, thread_id):
                return _read_on(store, text, None)
            if not (store.step([scan.step()]))[0]:
                return None
    if _strange(store, scan, thread_id):
        return _read_on(store, text, None)
    _mend(text, scan)
    step = scan.step()
    return step.mark if (store.step([step]))[0] else None


def _strange(store: HistoryStore, scan: HistoryScan, thread_id: str) -> bool:
    """Whether the lines change turns that lie before the place where the reading began."""
    if scan.strange:
        return True
    return any(store.span_of(thread_id, turn_id) is not None for turn_id in scan.unknown)


def _mend(text: HistoryText, scan: HistoryScan) -> None:
    for number, span, foreign_ids in scan.late():
        if span.end - span.begin.start > MAX_READ_BYTES:
            continue  # what came late of it is not shown
        (data,) = text.read([(span.begin.start, span.end)])
        again = replace(text, bad=[])  # what is bad was said when it was read first
        drafts = fold(again, span.begin, data, tuple(foreign_ids)).drafts()
        if drafts:
            drafts[0].foreign_ids.update(foreign_ids)
            scan.mend(number, drafts[0])


def _holds(text: HistoryText, mark: IndexCheckpoint) -> bool:
    """Whether the bytes that are indexed are still there, so that reading can go on behind them."""
    if mark.base != text.base:
        return False
    start = max(text.base, mark.end - CHECK_BYTES - 1)
    (data,) = text.read([(start, mark.end)])
    tail = data.rstrip(b"\n").rpartition(b"\n")[2]
    return len(data) == mark.end - start and (not mark.check or check_of(tail[-CHECK_BYTES:]) == mark.check)


def index_small(store: HistoryStore, texts: Sequence[HistoryText]) -> None:
    """Index the threads of these histories, together those that are small and were not indexed before.

    Raises:
        StoreFailure: the index can't be written. A rollout that can't be read is left as it is.
    """
    marks = store.marks([text.thread.id for text in texts])
    steps: list[IndexUpdate] = []
    for text in texts:
        try:
            if text.thread.id in marks or text.thread.stamp.size > _SMALL_BATCH:
                open_history(store, text)
                continue
            scan = HistoryScan(text)
            for batch in text.lines():
                scan.take(batch)
            _mend(text, scan)
            steps.append(scan.step())
        except UNREADABLE as error:
            logger.warning("the history of %s is not indexed: %s", text.thread.id, error)
        except StoreFailure:
            raise
        except Exception:  # a history that we make a mistake with costs no other
            logger.exception("the history of %s (%s) is not indexed", text.thread.id, text.thread.path)
    if steps:
        _step_each(store, steps)


def _step_each(store: HistoryStore, steps: Sequence[IndexUpdate]) -> None:
    """Index these steps together; one by one if something of one of them is no good, so that the others are indexed."""
    try:
        store.step(steps)
    except NotStorable as error:
        if len(steps) == 1:
            logger.warning("the history of %s is not indexed: %s", steps[0].mark.thread_id, error)
        else:
            for step in steps:
                _step_each(store, [step])
