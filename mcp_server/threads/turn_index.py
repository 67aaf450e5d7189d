"""The index of turns and items by byte offset: building it, keeping it up to date, and reading through it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from msgspec import structs

from mcp_server.codex.drafts import Draft
from mcp_server.codex.fields import text_of
from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.injected import InjectedMessage, InjectedMessages
from mcp_server.codex.lines import RawLine
from mcp_server.codex.parser import TurnBuilder
from mcp_server.codex.texts import searchable
from mcp_server.errors import DamagedRollout, NotStorable, PathOutsideHome, StoreFailure
from mcp_server.models.history import (
    IndexCheckpoint,
    IndexUpdate,
    ItemSpan,
    ParserState,
    TextChunk,
    TurnFacts,
    TurnSpan,
)
from mcp_server.models.history_base import MAX_ORDINAL
from mcp_server.models.thread import LastTurn, StoredThread, last_turn
from mcp_server.models.times import now_ms
from mcp_server.models.tokens import TokenCount, TokenUsage
from mcp_server.models.turn import Item, ItemsView, Turn, TurnStatus
from mcp_server.models.value import plain
from mcp_server.storage.contracts import Rollouts, TurnIndex
from mcp_server.storage.lookup import Lookup
from mcp_server.threads.history import HistoryText, history_text, parse_turns, read_items, read_turns
from mcp_server.threads.usage import used_in

logger = logging.getLogger(__name__)

# A checksum of the last indexed line, of so many bytes at most, tells whether the file is still the same.
CHECKSUM_BYTES = 1024
# A match leads to all lines of its chunk, so chunks are short.
_CHUNK_CHARS = 16_384
# Text is held in memory until an update; so much of it makes one due.
_UPDATE_CHARS = 4 << 20
_MAX_OPEN_CALLS = 1_000
# A turn takes as much memory as so many items.
_TURN_WEIGHT = 8


class IndexBuilder:
    """Reads the lines of a history in order and makes index updates of them. Holds only the open turn's items.

    It resumes from a `checkpoint`: from the beginning of the `last` indexed turn, which may have gone on.
    """

    def __init__(
        self, text: HistoryText, checkpoint: IndexCheckpoint | None = None, last: TurnSpan | None = None
    ) -> None:
        self._text, self._checkpoint = text, checkpoint
        self._last_end = checkpoint.end if checkpoint else None
        self._indexed_end = checkpoint.end if checkpoint else 0
        self._base_number = last.number if last else 0
        self._base_items = last.items if last else 0
        self._base_tokens = last.facts.tokens if last else None
        self.begin = last.begin if last else ParserState()
        self._bounds = text.bounds
        self._builder = TurnBuilder(paginated=text.paginated, begin=self.begin, chunk_bytes=self._bounds.chunk_bytes)
        self._injected = InjectedMessages(self._builder)
        self._spans: list[TurnSpan] = []
        self._answers: list[str] = []
        self._answer_before = checkpoint.last_turn.answer if checkpoint and checkpoint.last_turn else None
        self._stored = 0
        self._reopened: dict[int, Draft] = {}
        self._end = self.begin.start
        self._tail = b""
        self._next_ordinal = checkpoint.next_ordinal if checkpoint else 0
        self._open_calls = checkpoint.open_calls if checkpoint else ()
        self._closed_items = self._open_bytes = 0
        self._texts: list[TextChunk] = []
        self._chars = 0

    # ------------------------------------------------------------------------------------------ lines

    def take(self, batch: Sequence[RawLine]) -> None:
        """Read the next lines.

        Raises:
            DamagedRollout: the history has more turns and items than fit in memory.
        """
        for raw in batch:
            line = self._text.decode(raw)
            if line is None and not raw.whole:
                continue  # a torn last line, which its writer may still complete
            if raw.offset >= self._text.base:
                self._tail = raw.data[-CHECKSUM_BYTES:]
            self._end = raw.end
            if line is None:
                continue
            self._builder.feed(line, raw.offset, raw.end)
            if line.ordinal is not None and 0 <= line.ordinal < MAX_ORDINAL:
                self._next_ordinal = max(self._next_ordinal, line.ordinal + 1)
            if raw.end > self._indexed_end:
                self._collect(raw.offset, raw.end)
            self._collect_injected(self._injected.take(line, raw.offset, raw.end))
            if len(self._builder.done) != len(self._spans) or self._builder.late:
                self._collect_ended_turns()
                self._open_bytes = 0
            self._open_bytes += len(raw.data)
            if self._open_bytes > self._bounds.open_turn_bytes:
                self._builder.drop_finished_items()
                self._open_bytes = 0
        held = self._closed_items + self._builder.count_held() + _TURN_WEIGHT * len(self._spans)
        if held > self._bounds.indexed_items:
            raise DamagedRollout(self._text.thread.path, "has more turns and items than can be indexed", self._end)

    def _collect_ended_turns(self) -> None:
        """Add the spans of turns that have ended, remove those of turns that were rolled back."""
        done = self._builder.done
        del self._spans[len(done) :], self._answers[len(done) :]
        self._stored = min(self._stored, len(self._spans))
        for draft in self._builder.late:
            self._reopened[id(draft)] = draft
        self._builder.late.clear()
        for draft in done[len(self._spans) :]:
            self._spans.append(self._span(draft, len(self._spans)))
            self._answers.append(_answer_of(draft))
            self._closed_items += len(draft.items)
            draft.drop_items()

    def _span(self, draft: Draft, number: int) -> TurnSpan:
        before = self._spans[number - 1] if number else None
        items = before.items + before.size if before else self._base_items
        tokens = before.facts.tokens if before else self._base_tokens
        return span_of(draft, self._base_number + number, items, tokens)

    def _collect(self, start: int, end: int) -> None:
        for draft, item in self._builder.last_items:
            texts, tools = searchable(item)
            if not texts:
                continue
            text, turn = "\n".join(texts), draft.begin.start
            self._chars += len(text)
            last = self._texts[-1] if self._texts else None
            if last and (last.turn, last.tools) == (turn, tools) and len(last.text) + len(text) < _CHUNK_CHARS:
                self._texts[-1] = structs.replace(last, end=end, text=f"{last.text}\n{text}")
            else:
                self._texts.append(TextChunk(turn, start, end, text, tools))

    def _collect_injected(self, messages: Sequence[InjectedMessage]) -> None:
        for start, end, text in messages:
            if end > self._indexed_end:
                self._chars += len(text)
                self._texts.append(TextChunk(start, start, end, text))

    # ------------------------------------------------------------------------------------------ updates

    @property
    def update_is_due(self) -> bool:
        """Whether so much text is held that an update should be stored before more is read."""
        return self._chars >= _UPDATE_CHARS

    @property
    def changes_indexed_turns(self) -> bool:
        """Whether the lines changed turns before the checkpoint: then the history must be indexed anew."""
        if self._checkpoint is None:
            return False
        nothing_left = self._base_number > 0 and not self._builder.drafts()  # the last turn is one before
        return nothing_left or self._builder.rolled_past or not self._builder.unknown_ids.isdisjoint(self._open_calls)

    @property
    def possible_turn_ids(self) -> Collection[str]:
        """Ids in the lines that may be those of turns before the checkpoint."""
        return self._builder.unknown_ids if self._checkpoint else ()

    def update(self) -> IndexUpdate:
        """The update for the lines since the last one."""
        self._collect_ended_turns()
        self._collect_injected(self._injected.rest())
        spans, answers = list(self._spans), list(self._answers)
        drafts = self._builder.drafts()
        if len(drafts) > len(spans):
            spans.append(self._span(drafts[-1], len(spans)))
            answers.append(_answer_of(drafts[-1]))
        last = spans[-1] if spans else None
        answer = next(filter(None, reversed(answers)), self._answer_before)
        checkpoint = IndexCheckpoint(
            thread_id=self._text.thread.id,
            version=self._text.rollout.version,
            base=self._text.base,
            end=self._end,
            check=checksum_of(self._tail) if self._tail else self._checkpoint.check if self._checkpoint else "",
            turns=self._base_number + len(spans),
            items=last.items + last.size if last else self._base_items,
            next_item=self._builder.next_item,
            next_ordinal=self._next_ordinal,
            open_calls=tuple(dict.fromkeys((*self._open_calls, *self._builder.open_calls)))[:_MAX_OPEN_CALLS],
            last_turn=_last_turn(last, answer, self._text.base) if last else None,
        )
        update = IndexUpdate(
            checkpoint,
            self._last_end,
            self._base_number + self._stored,
            tuple(spans[self._stored :]),
            tuple(self._texts),
        )
        self._last_end, self._stored = self._end, len(self._spans)
        self._texts, self._chars = [], 0
        return update

    def reopened_turns(self) -> list[tuple[int, TurnSpan, frozenset[str]]]:
        """Turns that got more lines after they had ended: the number of the span, the span up to its new end, and the
        foreign ids in between. The caller parses them again and calls `replace_span`."""
        found: list[tuple[int, TurnSpan, frozenset[str]]] = []
        for draft in self._reopened.values():
            for number, kept in enumerate(self._builder.done):
                if kept is draft:
                    later = self._builder.done[number + 1 :]
                    foreign_ids = frozenset[str]().union(*(one.foreign_ids for one in later))
                    # the ids of turns that begin after it are not foreign to a parser that continues from it
                    foreign_ids = draft.foreign_ids | (foreign_ids - {one.id for one in later})
                    found.append((number, structs.replace(self._spans[number], end=draft.end), frozenset(foreign_ids)))
        self._reopened.clear()
        return sorted(found, key=lambda one: one[0])

    def replace_span(self, number: int, draft: Draft) -> None:
        """Replace the span of a turn that was parsed again, and renumber the items after it."""
        self._stored = min(self._stored, number)
        self._spans[number] = self._span(draft, number)
        self._answers[number] = _answer_of(draft)
        for later in range(number + 1, len(self._spans)):
            before = self._spans[later - 1]
            self._spans[later] = structs.replace(self._spans[later], items=before.items + before.size)


def checksum_of(tail: bytes) -> str:
    return blake2b(tail, digest_size=8).hexdigest()


def span_of(draft: Draft, number: int, items: int, tokens: TokenCount | None = None) -> TurnSpan:
    """The index entry of a turn. `tokens` is the last count before it."""
    asked = next((key for key, item in draft.items.items() if item.type == "userMessage"), None)
    if asked is None:
        asked = next((key for key, item in draft.items.items() if item.is_users_command), None)
    answered = next((key for key, item in reversed(draft.items.items()) if item.type == "agentMessage"), None)
    facts = TurnFacts(
        status=draft.status,
        started_at=draft.started_at,
        completed_at=draft.completed_at,
        duration_ms=draft.duration_ms,
        request=_place(draft, asked),
        answer=_place(draft, answered),
        root_turn_id=draft.root_turn_id,
        error=plain(draft.error) if draft.error else None,
        foreign_ids=tuple(sorted(draft.foreign_ids)),
        chunks=() if draft.has_duplicate_ids else tuple(draft.chunks),
        tokens=draft.tokens or tokens,
    )
    return TurnSpan(number, draft.id, draft.begin, draft.end, items, len(draft.items), facts)


def _answer_of(draft: Draft) -> str:
    """The beginning of the last message of the agent in a turn; "" if there is none."""
    texts = (item.get("text") for item in reversed(draft.items.values()) if item.type == "agentMessage")
    return last_turn(draft.status, None, next(filter(None, texts), None)).answer or ""


def _last_turn(span: TurnSpan, answer: str | None, base: int) -> LastTurn:
    """What a row tells of the last turn. One that a fork borrows without its end was interrupted there."""
    borrowed = span.begin.start < base and span.facts.status == "inProgress"
    error = text_of(span.facts.error, "message")
    return last_turn("interrupted" if borrowed else span.facts.status, error, answer)


def _place(draft: Draft, key: str | int | None) -> ItemSpan | None:
    if key is None:
        return None
    item: Item = draft.items[key]
    return ItemSpan(*draft.line_spans[key], item.id)


_SMALL_BATCH = 64 << 10
UNREADABLE = (DamagedRollout, PathOutsideHome, NotStorable)
"""Errors that concern the files of a single thread, so that work on other threads continues."""


MIN_TURN_PREFIX, FULL_ID_CHARS = 8, 36


@dataclass(frozen=True, slots=True)
class History:
    """A thread's indexed history, up to its `checkpoint`. Only the turn that runs right now is in progress;
    another one without an end is shown as interrupted, as in Codex; and the last one as `open_status`."""

    text: HistoryText
    store: TurnIndex
    checkpoint: IndexCheckpoint
    active_turn_id: str | None = None
    last: Sequence[TurnSpan] = ()
    """The last turns, if they were loaded along with the checkpoint."""
    open_status: TurnStatus = "interrupted"

    def turns(self, first: int, end: int, view: ItemsView) -> list[Turn]:
        """The turns with these numbers, oldest first."""
        return self.show(self.spans(first, end), view)

    def spans(self, first: int, end: int) -> list[TurnSpan]:
        first, end = max(0, first), min(end, self.checkpoint.turns)
        if self.last and self.last[0].number <= first:
            return [span for span in self.last if first <= span.number < end]
        return self.store.spans(self.checkpoint.thread_id, first, end)

    def used_in(self, first: int, end: int) -> dict[str, TokenUsage]:
        """The tokens used in the turns with these numbers, by turn id, as far as the rollout tells."""
        spans = self.spans(max(0, first - 1), end)
        used = used_in(spans)
        return {span.turn_id: used[span.number] for span in spans if span.number >= first and span.number in used}

    @property
    def tokens(self) -> TokenCount | None:
        """The last count of the thread."""
        last = self.spans(self.checkpoint.turns - 1, self.checkpoint.turns)
        return last[-1].facts.tokens if last else None

    def span_of(self, turn_id: str) -> TurnSpan | None:
        """The turn with an id, or with an id that begins so, if there is only one; answers repeat ids so."""
        found = self.store.span_of(self.checkpoint.thread_id, turn_id)
        if found is not None or not MIN_TURN_PREFIX <= len(turn_id) < FULL_ID_CHARS:
            return found
        begun = [span for span in self.spans(0, self.checkpoint.turns) if span.turn_id.startswith(turn_id)]
        return begun[0] if len(begun) == 1 else None

    def show(self, spans: Sequence[TurnSpan], view: ItemsView) -> list[Turn]:
        turns = read_turns(self.text, spans, view)
        return [self._with_final_status(span, turn) for span, turn in zip(spans, turns, strict=True)]

    def items(self, first: int, end: int) -> list[tuple[str, Item]]:
        """The items with these numbers in the thread, each with its turn's id."""
        first, end = max(0, first), min(end, self.checkpoint.items)
        spans = self.store.spans_of_items(self.checkpoint.thread_id, first, end) if first < end else []
        return read_items(self.text, spans, first, end)

    def items_of(self, span: TurnSpan) -> Generator[Item]:
        """The items of a turn, however long it is."""
        page, end = self.text.bounds.items_at_once, span.items + span.size
        for first in range(span.items, end, page):
            for _, item in self.items(first, min(first + page, end)):
                yield item

    def _with_final_status(self, span: TurnSpan, turn: Turn) -> Turn:
        if turn.status != "inProgress" or turn.id == self.active_turn_id:
            return turn
        is_last = span.number == self.checkpoint.turns - 1 and span.begin.start >= self.text.base
        return structs.replace(turn, status=self.open_status if is_last else "interrupted")


def open_history(store: TurnIndex, text: HistoryText, active_turn_id: str | None = None, last: int = 0) -> History:
    """Update the index of a thread's history, and return the history. `last`: how many of the last turns to load along.

    Raises:
        DamagedRollout: the rollout is gone or can't be read.
        StoreFailure: the index can't be read or written.
    """
    while True:
        with store.snapshot():
            checkpoint = store.checkpoints([text.thread.id]).get(text.thread.id)
            spans = (
                store.spans(text.thread.id, max(0, checkpoint.turns - last), checkpoint.turns)
                if checkpoint and last
                else []
            )
        if checkpoint is None or (checkpoint.version, checkpoint.base) != (text.rollout.version, text.base):
            spans = []
            resume_from = checkpoint if checkpoint is not None and _still_matches(text, checkpoint) else None
            checkpoint = _update_index(store, text, resume_from)
        if checkpoint is not None:
            return History(text, store, checkpoint, active_turn_id, spans)


def _update_index(store: TurnIndex, text: HistoryText, checkpoint: IndexCheckpoint | None) -> IndexCheckpoint | None:
    """Index the history from the checkpoint on, or from its beginning. Returns the new checkpoint; None if another
    reader has updated the index meanwhile."""
    thread_id = text.thread.id
    last = store.spans(thread_id, checkpoint.turns - 1, checkpoint.turns) if checkpoint and checkpoint.turns else []
    builder = IndexBuilder(text, checkpoint, last[0] if last else None)
    for batch in text.lines(builder.begin.start):
        builder.take(batch)
        if builder.update_is_due:
            if _changes_indexed_turns(store, builder, thread_id):
                return _update_index(store, text, None)
            if not store.update([builder.update()])[0]:
                return None
    if _changes_indexed_turns(store, builder, thread_id):
        return _update_index(store, text, None)
    _rebuild_reopened_turns(text, builder)
    update = builder.update()
    return update.checkpoint if store.update([update])[0] else None


def _changes_indexed_turns(store: TurnIndex, builder: IndexBuilder, thread_id: str) -> bool:
    """Whether the lines change turns before the checkpoint, as far as builder and index can tell together."""
    if builder.changes_indexed_turns:
        return True
    return any(store.span_of(thread_id, turn_id) is not None for turn_id in builder.possible_turn_ids)


def _rebuild_reopened_turns(text: HistoryText, builder: IndexBuilder) -> None:
    for number, span, foreign_ids in builder.reopened_turns():
        if span.end - span.begin.start > text.bounds.read_bytes:
            continue  # too long to read again: its late lines are not shown
        (data,) = text.read([(span.begin.start, span.end)])
        reread = replace(text, bad=[])  # bad lines were reported when they were read first
        drafts = parse_turns(reread, span.begin, data, tuple(foreign_ids)).drafts()
        if drafts:
            drafts[0].foreign_ids.update(foreign_ids)
            builder.replace_span(number, drafts[0])


def _still_matches(text: HistoryText, checkpoint: IndexCheckpoint) -> bool:
    """Whether the indexed bytes are still in the file, so that indexing can continue after them."""
    if checkpoint.base != text.base:
        return False
    start = max(text.base, checkpoint.end - CHECKSUM_BYTES - 1)
    (data,) = text.read([(start, checkpoint.end)])
    tail = data.rstrip(b"\n").rpartition(b"\n")[2]
    return len(data) == checkpoint.end - start and (
        not checkpoint.check or checksum_of(tail[-CHECKSUM_BYTES:]) == checkpoint.check
    )


def index_histories(store: TurnIndex, texts: Sequence[HistoryText]) -> None:
    """Update the index of these histories. Those that are small and new to it are stored together. A history that
    can't be read is skipped.

    Raises:
        StoreFailure: the index can't be written.
    """
    checkpoints = store.checkpoints([text.thread.id for text in texts])
    updates: list[IndexUpdate] = []
    for text in texts:
        try:
            if text.thread.id in checkpoints or text.rollout.size > _SMALL_BATCH:
                open_history(store, text)
                continue
            builder = IndexBuilder(text)
            for batch in text.lines():
                builder.take(batch)
            _rebuild_reopened_turns(text, builder)
            updates.append(builder.update())
        except UNREADABLE as error:
            logger.warning("Could not index the history of thread %s: %s", text.thread.id, error)
        except StoreFailure:
            raise
        except Exception:  # a bug with one history must not keep the others from being indexed
            logger.exception("Could not index the history of thread %s (%s)", text.thread.id, text.thread.path)
    if updates:
        _store_updates(store, updates)


def _store_updates(store: TurnIndex, updates: Sequence[IndexUpdate]) -> None:
    """Store these updates together; one by one if the index can't hold something of one, so that the others are."""
    try:
        store.update(updates)
    except NotStorable as error:
        if len(updates) == 1:
            logger.warning("Could not index the history of thread %s: %s", updates[0].checkpoint.thread_id, error)
        else:
            for update in updates:
                _store_updates(store, [update])


BATCH = 64
# Threads that changed a moment ago wait: a running turn would be read from its beginning again and again.
QUIET_SECONDS = 10.0
_LOOKED_AT = 2 * BATCH


class Indexer:
    """Indexes histories, batch by batch, the last changed first. Skips threads `written_here`, and those that changed
    less than `quiet_seconds` ago."""

    def __init__(
        self,
        rollouts: Rollouts,
        lookup: Lookup,
        written_here: Callable[[], Collection[str]] = frozenset[str],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._rollouts, self._lookup, self._written_here = rollouts, lookup, written_here
        self._quiet_ms = quiet_seconds * 1000
        self._tried: dict[str, RolloutRef] = {}

    def step(self) -> int:
        """Index one batch. Returns the number of threads in it: 0 if nothing can be indexed now.

        Raises:
            StoreFailure: the index can't be read or written.
        """
        state, written_here = self._lookup.store, self._written_here()
        unread = state.unread(_LOOKED_AT + len(self._tried) + len(written_here))
        rows = state.get_many(set(unread))
        now = now_ms()
        todo = [
            row
            for thread_id in unread
            if (row := rows.get(thread_id)) is not None
            and not now - self._quiet_ms < row.updated_at_ms <= now
            and thread_id not in written_here
            and self._tried.get(thread_id) != rollout_of(row)
        ][:BATCH]
        index_histories(state, self._texts(todo))
        # A history that could not be indexed is not tried again until its file changes.
        self._tried = {thread_id: rollout for thread_id, rollout in self._tried.items() if thread_id in rows}
        self._tried |= {row.id: rollout_of(row) for row in todo}
        return len(todo)

    def _texts(self, rows: Sequence[StoredThread]) -> list[HistoryText]:
        texts: list[HistoryText] = []
        for row in rows:
            try:
                texts.append(history_text(self._rollouts, row, self._lookup.source))
            except UNREADABLE as error:
                logger.warning("Could not index the history of thread %s: %s", row.id, error)
        return texts
