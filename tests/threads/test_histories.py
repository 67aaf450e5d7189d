"""Turns and items found by offset are those of the whole history, however often the index was brought up to date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from any_lines import ANY_LINES
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from rollout_lines import META, aborted, agent, call, completed, ended, event, output, rolled_back, started, user

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RawLine, RolloutLine, encode_line
from mcp_server.codex.parser import TurnBuilder
from mcp_server.models.thread import FileStamp, LastTurn, StoredThread, last_turn
from mcp_server.models.turn import Turn
from mcp_server.storage.contracts import TurnIndex
from mcp_server.storage.memory.history import MemoryHistory
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.history import history_text, select_view
from mcp_server.threads.turn_index import History, open_history

ID = "01a20581-0000-7000-8000-000000000001"


either_chunks = pytest.mark.parametrize(
    "bounds", [BOUNDS, ReadingBounds(chunk_bytes=1)], ids=["long chunks", "short chunks"]
)
"""Turns are whole, or cut wherever they can be."""


class Files(MemoryRollouts):
    """Rollouts that tell which ranges of bytes were read."""

    def __init__(self, bounds: ReadingBounds) -> None:
        super().__init__(bounds=bounds)
        self.ranges: list[tuple[int, int]] = []

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        self.ranges.append((start, rollout.size if end is None else end))
        yield from super().lines(rollout, start, end)

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.ranges += ranges
        return super().read(rollout, ranges)


class Rollout:
    """One rollout that grows, and the index of it."""

    def __init__(self, bounds: ReadingBounds = BOUNDS, *, paginated: bool = False) -> None:
        self.files = Files(bounds)
        self.store: TurnIndex = MemoryHistory()
        self.path = self.files.new(ID, 0).path
        self.mode = "paginated" if paginated else "legacy"
        self.lines: list[RolloutLine] = []
        self.stamp = FileStamp(0, 0)

    def write(self, *lines: RolloutLine) -> None:
        data = b"".join(map(encode_line, lines))
        if self.lines:
            self.stamp = self.files.append(RolloutRef(self.path, self.stamp), data).stamp
        else:
            self.stamp = self.files.create(RolloutRef(self.path), data).stamp
        self.lines += lines

    def open(self) -> History:
        thread = StoredThread(
            id=ID,
            path=self.path,
            stamp=self.stamp,
            archived=False,
            created_at_ms=0,
            updated_at_ms=0,
            recency_at_ms=0,
            history_mode=self.mode,
        )
        return open_history(self.store, history_text(self.files, thread, _nobody))

    def folded(self) -> TurnBuilder:
        builder = TurnBuilder(paginated=self.mode == "paginated")
        for line in self.lines:
            builder.feed(line)
        return builder


def _nobody(_: str) -> None:
    return None


def settled(turns: list[Turn]) -> list[Turn]:
    ended = {"inProgress": "interrupted"}
    return [replace(turn, status=ended.get(turn.status, turn.status)) for turn in turns]


def agrees(rollout: Rollout) -> None:
    """What the index finds is what folding every line finds."""
    history, whole = rollout.open(), rollout.folded()
    turns = settled(whole.turns())
    assert history.turns(0, 100, "full") == turns
    assert [history.turns(n, n + 1, "full") for n in range(len(turns))] == [[turn] for turn in turns]
    assert history.turns(0, 100, "summary") == [select_view(turn, "summary") for turn in turns]
    assert history.turns(0, 100, "notLoaded") == [select_view(turn, "notLoaded") for turn in turns]
    entries = [(turn.id, item) for turn in turns for item in turn.items]
    assert [history.items(n, n + 2) for n in range(len(entries))] == [entries[n : n + 2] for n in range(len(entries))]
    assert (history.checkpoint.turns, history.checkpoint.items) == (len(turns), len(entries))
    assert history.checkpoint.next_item == whole.next_item
    assert history.checkpoint.last_turn == last_of(whole.turns())


def last_of(turns: list[Turn]) -> LastTurn | None:
    said = [str(item["text"]) for turn in turns for item in turn.items if item.type == "agentMessage" and item["text"]]
    error = turns[-1].error if turns else None
    return last_turn(turns[-1].status, error and error.message, said[-1] if said else None) if turns else None


@given(ANY_LINES, st.lists(st.integers(0, 40), max_size=4), st.booleans())
@example([started("b"), started("a"), ended("b"), rolled_back(0), aborted("a")], [], False)
@either_chunks
def test_any_lines_are_found_again_by_offset_wherever_readings_ended(
    bounds: ReadingBounds, lines: list[RolloutLine], cuts: list[int], paginated: bool
) -> None:
    rollout = Rollout(bounds, paginated=paginated)
    rollout.write(META)
    written = 0
    for cut in [*sorted(cuts), len(lines)]:
        rollout.write(*lines[written:cut])
        written = max(written, cut)
        agrees(rollout)


LATE = {
    "an item of a turn that has ended": completed("a", {"type": "Plan", "id": "p", "text": "late"}),
    "the end of a turn that another followed": ended("a", error={"message": "late"}),
    "the output of a call of a turn that has ended": output("c", "late"),
    "the rollback of turns read before": rolled_back(2),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize("paginated", [False, True])
@either_chunks
def test_a_late_line_of_an_earlier_turn_is_found_after_that_turn_was_indexed(
    bounds: ReadingBounds, late: RolloutLine, paginated: bool
) -> None:
    rollout = Rollout(bounds, paginated=paginated)
    rollout.write(META, started("a"), user("one"), call("c"), started("b"), user("two"), agent("re"), ended("b"))
    agrees(rollout)
    rollout.write(started("d"), user("three"), agent("re"), ended("d"), started("e"))
    agrees(rollout)
    rollout.write(late, user("four"), event("web_search_end", call_id="w", query="q"))
    agrees(rollout)


@either_chunks
def test_a_rollout_that_was_rewritten_is_read_anew(bounds: ReadingBounds) -> None:
    rollout = Rollout(bounds)
    rollout.write(META, started("a"), user("one"), ended("a"))
    agrees(rollout)
    rollout.files.remove(RolloutRef(rollout.path))
    rollout.lines = []
    rollout.write(META, started("b"), user("another"), agent("and longer than before"), ended("b"))
    agrees(rollout)


def bytes_read(rollout: Rollout) -> int:
    """How many bytes were read since they were last counted."""
    ranges, rollout.files.ranges = rollout.files.ranges, []
    return sum(end - start for start, end in ranges)


def test_turns_before_the_last_are_not_read_again_though_a_line_behind_them_is_too_long() -> None:
    rollout = Rollout(ReadingBounds(batch_bytes=1_000, line_bytes=10_000, small_bytes=1_000))
    rollout.write(META, started("a"), user("one"), ended("a"))
    first = rollout.stamp.size
    rollout.write(started("b"), user("two"), agent("z" * 20_000), ended("b"))
    assert rollout.open().checkpoint.turns == 2
    rollout.files.ranges.clear()
    rollout.write(started("c"), user("three"), ended("c"))
    assert rollout.open().checkpoint.turns == 3
    assert min(start for start, _ in rollout.files.ranges) == first


@either_chunks
def test_a_page_of_items_reads_the_chunks_of_a_giant_turn_that_hold_them(bounds: ReadingBounds) -> None:
    rollout = Rollout(bounds)
    rollout.write(META, started("giant"), user("ask"))
    for n in range(300):
        rollout.write(call(f"c{n}"), output(f"c{n}", "x" * 5_000), agent(f"said {n}"))
    rollout.write(ended("giant"))
    agrees(rollout)
    history = rollout.open()
    bytes_read(rollout)
    page = history.items(301, 303)
    assert [item.get("text") for _, item in page] == [None, "said 150"]
    assert bytes_read(rollout) < 2 * 128 * 1024 < rollout.stamp.size / 5


@either_chunks
def test_no_chunk_begins_between_a_call_and_its_output(bounds: ReadingBounds) -> None:
    rollout = Rollout(bounds)
    rollout.write(META, started("a"), user("one"), call("early"), call("late"), output("early", "done"))
    rollout.write(agent("x" * 200_000), output("late", "at last"), agent("y" * 200_000), ended("a"))
    agrees(rollout)
    (span,) = (rollout.open()).spans(0, 1)
    called, told = (len(b"".join(map(encode_line, rollout.lines[:n]))) for n in (4, 8))
    assert span.facts.chunks
    assert not [chunk for chunk in span.facts.chunks if called <= chunk.start < told]


@either_chunks
def test_a_page_of_turns_reads_their_bytes_and_no_more(bounds: ReadingBounds) -> None:
    rollout = Rollout(bounds)
    rollout.write(META)
    for n in range(50):
        rollout.write(started(f"t{n}"), user(f"ask {n}"), agent("x" * 1000), ended(f"t{n}"))
    history = rollout.open()
    bytes_read(rollout)
    history.turns(40, 43, "full")
    spans = history.spans(40, 43)
    assert bytes_read(rollout) == sum(span.end - span.begin.start for span in spans) < 5_000
    assert len(history.turns(0, 50, "notLoaded")) == 50
    assert rollout.files.ranges == []
