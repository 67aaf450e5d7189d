"""A thread's history as one range of bytes, even if it borrows from other rollouts; and turns parsed from its parts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from msgspec import structs

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.drafts import Draft
from mcp_server.codex.files import BadLine, RolloutRef, add_bad_line, rollout_of
from mcp_server.codex.lines import MalformedLine, RawLine, RolloutLine, decode_raw, split_lines
from mcp_server.codex.parser import TurnBuilder
from mcp_server.errors import DamagedRollout, LimitReached
from mcp_server.models.history import ItemSpan, ParserState, TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.models.turn import Item, ItemsView, Turn, TurnError
from mcp_server.storage.contracts import Rollouts
from mcp_server.storage.lookup import Source

MAX_LINEAGE = 64
"""How many rollouts one history may consist of. Codex has no bound; ours keeps damaged homes readable."""

RolloutFinder = Callable[[str], Source | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Part:
    """A rollout in a history: all of it, or the bytes that a fork borrows. Offsets are those in the history."""

    rollout: RolloutRef
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryText:
    """The history of a thread: what it borrows by `history_base`, then its own rollout. `bad` collects the lines and
    files that could not be read."""

    rollouts: Rollouts
    thread: StoredThread
    parts: tuple[_Part, ...]
    bad: list[BadLine] = field(default_factory=list[BadLine])

    @property
    def bounds(self) -> ReadingBounds:
        return self.rollouts.bounds

    @property
    def paginated(self) -> bool:
        return self.thread.history_mode == "paginated"

    @property
    def rollout(self) -> RolloutRef:
        """The thread's own."""
        return self.parts[-1].rollout

    @property
    def base(self) -> int:
        """The offset at which the thread's own rollout begins."""
        return self.parts[-1].start

    def lines(self, start: int = 0, *, strict: bool = False) -> Generator[list[RawLine]]:
        """The lines from `start` on (where a line begins), in batches. A borrowed rollout that can't be read is skipped
        and reported in `bad`.

        Raises:
            DamagedRollout: the thread's own rollout, or if `strict` any rollout, is gone or can't be read.
        """
        for part in self.parts:
            if part.end is not None and part.end <= start:
                continue
            first = max(0, start - part.start)
            end = None if part.end is None else part.end - part.start
            try:
                if end is None and self._is_small_rest(part.rollout, first):
                    (data,) = self.rollouts.read(part.rollout, [(first, part.rollout.size)])
                    yield split_lines(data, first + part.start)
                    continue
                for batch in self.rollouts.lines(part.rollout, first, end):
                    yield [replace(raw, offset=raw.offset + part.start) for raw in batch] if part.start else batch
            except DamagedRollout as error:
                if strict or part is self.parts[-1]:
                    raise
                self.bad.append(BadLine(error.path, error.offset, error.reason))

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range, without those of borrowed rollouts that can't be read. Raises as `lines`."""
        found = [b""] * len(ranges)
        for part in self.parts:
            end = part.end if part.end is not None else 1 << 62
            cut = [(n, max(a, part.start), min(b, end)) for n, (a, b) in enumerate(ranges)]
            cut = [(n, a - part.start, b - part.start) for n, a, b in cut if a < b]
            if not cut:
                continue
            try:
                read = self.rollouts.read(part.rollout, [(a, b) for _, a, b in cut])
            except DamagedRollout:
                if part is self.parts[-1]:
                    raise
                continue
            for (n, _, _), data in zip(cut, read, strict=True):
                found[n] += data
        return found

    def decode(self, raw: RawLine) -> RolloutLine | None:
        """The decoded line; None if it is malformed, which `bad` then reports."""
        try:
            return decode_raw(raw, self.rollouts.bounds)
        except MalformedLine as error:
            reason = str(error) if raw.whole else f"torn line without a newline: {error}"
            part = next(part for part in reversed(self.parts) if part.start <= raw.offset)
            add_bad_line(self.bad, BadLine(part.rollout.path, raw.offset - part.start, reason), self.bounds)
            return None

    def _is_small_rest(self, rollout: RolloutRef, first: int) -> bool:
        """Whether a rollout, from an offset on, is small enough to be read at once."""
        return rollout.is_text and first < rollout.size <= first + self.bounds.small_bytes


def history_text(
    rollouts: Rollouts, thread: StoredThread, find_rollout: RolloutFinder, *, whole: bool = False
) -> HistoryText:
    """The history of a thread. `find_rollout` finds a rollout by id.

    A missing base, and a chain of bases that is too long or a circle, are reported in `bad`. As in Codex, an attached
    thread (and what borrows from it) does not show what it borrows; the `whole` history, which a model continues from,
    includes it."""
    bad: list[BadLine] = []
    borrowed: list[tuple[RolloutRef, int]] = []
    own = rollout_of(thread)
    seen = {own.path}
    fork = Source(own, thread.history_base, thread.attached)
    while (base := fork.history_base) and (whole or not fork.attached):
        try:
            source = find_rollout(base.thread_id)
        except DamagedRollout as error:
            bad.append(BadLine(error.path, error.offset, error.reason))
            break
        if source is None or source.rollout.path in seen or len(borrowed) + 1 >= MAX_LINEAGE:
            circle = source is not None and source.rollout.path in seen
            reason = "is missing" if source is None else "runs in a circle" if circle else "is too long"
            bad.append(BadLine(fork.rollout.path, 0, f"the history borrowed from thread {base.thread_id} {reason}"))
            break
        borrowed.append((source.rollout, base.end_byte_offset))
        seen.add(source.rollout.path)
        fork = source
    parts: list[_Part] = []
    offset = 0
    for rollout, length in reversed(borrowed):
        parts.append(_Part(rollout, offset, offset + length))
        offset += length
    return HistoryText(rollouts, thread, (*parts, _Part(own, offset)), bad)


# ---------------------------------------------------------------------------------------------- turns


def read_turns(text: HistoryText, spans: Sequence[TurnSpan], view: ItemsView) -> list[Turn]:
    """These turns with the items that a view shows: none, the first user and the last agent message, or all. Reads only
    the bytes of what is shown. Turns that are too long to be read together with the later ones show less; their
    `items_view` says so."""
    if view == "notLoaded":
        return [_header(span, view) for span in spans]
    if view == "summary":
        return _summaries(text, spans)
    whole = _read_together(text.bounds, spans, lambda span: span.end - span.begin.start)
    if len(whole) < len(spans):
        long = [span for span in spans if span not in whole]
        read = [*_summaries(text, long), *read_turns(text, whole, view)]
        by_number = {span.number: turn for span, turn in zip([*long, *whole], read, strict=True)}
        return [by_number[span.number] for span in spans]
    data = text.read([(span.begin.start, span.end) for span in spans])
    return list(map(partial(_full_turn, text), spans, data))


def _read_together(bounds: ReadingBounds, spans: Sequence[TurnSpan], size: Callable[[TurnSpan], int]) -> list[TurnSpan]:
    """The spans that fit the read bound together, chosen from the last one backwards."""
    left = bounds.read_bytes
    chosen: list[TurnSpan] = []
    for span in reversed(spans):
        if size(span) <= left:
            left -= size(span)
            chosen.append(span)
    return chosen[::-1]


def read_items(text: HistoryText, spans: Sequence[TurnSpan], first: int, end: int) -> list[tuple[str, Item]]:
    """The items number `first` to `end` - 1 of the thread, each with its turn's id. They are in the turns of `spans`.
    Of a long turn, only the chunks that hold them are read.

    Raises:
        LimitReached: their lines are too long to be read together.
    """
    parts = [_byte_range(span, first - span.items, end - span.items) for span in spans]
    if sum(stop - state.start for state, stop, _ in parts) > text.bounds.read_bytes:
        what = f"the lines of items {first} to {end - 1} of thread {text.thread.id} are too long to be read together"
        raise LimitReached(what, text.bounds.read_bytes, "ask for fewer with limit, or for the summary of their turn")
    data = text.read([(state.start, stop) for state, stop, _ in parts])

    found: list[tuple[str, Item]] = []
    for span, (state, _, before), piece in zip(spans, parts, data, strict=True):
        within = span.turn_id if state != span.begin else None
        draft = next(iter(parse_turns(text, state, piece, span.facts.foreign_ids, within).drafts()), None)
        for number, item in enumerate(draft.items.values() if draft else (), start=span.items + before):
            if first <= number < end:
                found.append((span.turn_id, item))
    return found


def _byte_range(span: TurnSpan, first: int, end: int) -> tuple[ParserState, int, int]:
    """Where to begin and stop reading for items with these numbers in their turn, and how many items of the turn come
    before."""
    state, before, stop = span.begin, 0, span.end
    for piece in span.facts.chunks:
        if piece.items <= first:
            state, before = ParserState(piece.start, piece.line, piece.item, piece.counted), piece.items
        elif piece.items >= end:
            stop = piece.start
            break
    return state, stop, before


def read_draft(text: HistoryText, span: TurnSpan, data: bytes | None = None) -> Draft | None:
    """A turn with the offsets of its items' lines. `data` are its bytes, if they are already read.

    Raises:
        DamagedRollout: the turn can't be read, or is too long to be read.
    """
    data = data if data is not None else text.read([(span.begin.start, span.end)])[0]
    builder = parse_turns(text, span.begin, data, span.facts.foreign_ids)
    return next(iter(builder.drafts()), None)


def _summaries(text: HistoryText, spans: Sequence[TurnSpan]) -> list[Turn]:
    read = _read_together(text.bounds, spans, lambda span: sum(place.end - place.start for place in _summary_of(span)))
    data = iter(text.read([(place.start, place.end) for span in read for place in _summary_of(span)]))
    turns: list[Turn] = []
    for span in spans:
        if span not in read:
            turns.append(_header(span, "notLoaded"))
            continue
        items = [_item(text, span, place, next(data)) for place in _summary_of(span)]
        turns.append(structs.replace(_header(span, "summary"), items=[item for item in items if item]))
    return turns


def _summary_of(span: TurnSpan) -> list[ItemSpan]:
    return [place for place in (span.facts.request, span.facts.answer) if place]


def _header(span: TurnSpan, view: ItemsView) -> Turn:
    facts = span.facts
    return Turn(
        id=span.turn_id,
        root_turn_id=facts.root_turn_id,
        status=facts.status,
        error=TurnError(**facts.error) if facts.error else None,
        items_view=view,
        started_at=facts.started_at,
        completed_at=facts.completed_at,
        duration_ms=facts.duration_ms,
    )


def _item(text: HistoryText, span: TurnSpan, place: ItemSpan, data: bytes) -> Item | None:
    builder = TurnBuilder(paginated=text.paginated)
    builder.enter_turn(span.turn_id)
    for line in _decoded(text, place.start, data):
        builder.feed(line)
    items = [item for _, item in builder.last_items]
    return items[-1].changed(id=place.id) if items else None


def _full_turn(text: HistoryText, span: TurnSpan, data: bytes) -> Turn:
    builder = parse_turns(text, span.begin, data, span.facts.foreign_ids)
    turns = builder.turns()
    return turns[0] if turns and turns[0].id == span.turn_id else _header(span, "full")


def parse_turns(
    text: HistoryText, state: ParserState, data: bytes, foreign_ids: Sequence[str] = (), within: str | None = None
) -> TurnBuilder:
    """Parse these bytes from a parser state on. `within`: the id of the turn that they are in, if they begin in one."""
    chunk_bytes = text.bounds.chunk_bytes
    builder = TurnBuilder(paginated=text.paginated, begin=state, foreign_ids=foreign_ids, chunk_bytes=chunk_bytes)
    if within is not None:
        builder.enter_turn(within, has_event_messages=True)
    offset = state.start
    for piece in data.split(b"\n"):
        end = offset + len(piece) + 1
        if piece and not piece.isspace() and (line := text.decode(RawLine(offset, piece))) is not None:
            builder.feed(line, offset, end)
        offset = end
    return builder


def _decoded(text: HistoryText, start: int, data: bytes) -> list[RolloutLine]:
    lines = [text.decode(RawLine(start, piece)) for piece in data.split(b"\n") if piece]
    return [line for line in lines if line is not None]


def select_view(turn: Turn, view: ItemsView) -> Turn:
    """The turn with the items that a view shows: none, the first user and the last agent message, or all."""
    if view == "full":
        return turn
    chosen = _first_and_last(turn.items) if view == "summary" else []
    return structs.replace(turn, items=chosen, items_view=view)


def _first_and_last(items: list[Item]) -> list[Item]:
    asked = next((item for item in items if item.type == "userMessage"), None)
    asked = asked or next((item for item in items if item.is_users_command), None)
    answered = next((item for item in reversed(items) if item.type == "agentMessage"), None)
    return [item for item in (asked, answered) if item]
