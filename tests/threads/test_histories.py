"""Turns and items found by offset are those of the whole history, however often the index was brought up to date."""

from __future__ import annotations

import pytest
from any_lines import ANY_LINES
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from rollout_lines import META, aborted, agent, call, completed, ended, event, output, rolled_back, started, user

from mcp_server.codex import parser as folding
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.codex.parser import TurnBuilder
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.models.turn import Turn
from mcp_server.storage.contracts import TurnIndex
from mcp_server.storage.memory.history import MemoryHistory
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.history import history_text, select_view
from mcp_server.threads.turn_index import History, open_history

ID = "01a20581-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True, params=[folding.CHUNK_BYTES, 1], ids=["long pieces", "short pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are whole, or cut wherever they can be."""
    monkeypatch.setattr(folding, "CHUNK_BYTES", request.param)


class Rollout:
    """One rollout that grows, and the index of it."""

    def __init__(self, *, paginated: bool = False) -> None:
        self.files = MemoryRollouts()
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


@given(ANY_LINES, st.lists(st.integers(0, 40), max_size=4), st.booleans())
@example([started("b"), started("a"), ended("b"), rolled_back(0), aborted("a")], [], False)
def test_any_lines_are_found_again_by_offset_wherever_readings_ended(
    lines: list[RolloutLine], cuts: list[int], paginated: bool
) -> None:
    rollout = Rollout(paginated=paginated)
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
def test_what_is_told_of_earlier_turns_is_found_after_they_were_indexed(late: RolloutLine, paginated: bool) -> None:
    rollout = Rollout(paginated=paginated)
    rollout.write(META, started("a"), user("one"), call("c"), started("b"), user("two"), agent("re"), ended("b"))
    agrees(rollout)
    rollout.write(started("d"), user("three"), agent("re"), ended("d"), started("e"))
    agrees(rollout)
    rollout.write(late, user("four"), event("web_search_end", call_id="w", query="q"))
    agrees(rollout)


def test_a_rollout_that_was_rewritten_is_read_anew() -> None:
    rollout = Rollout()
    rollout.write(META, started("a"), user("one"), ended("a"))
    agrees(rollout)
    rollout.files.remove(RolloutRef(rollout.path))
    rollout.lines = []
    rollout.write(META, started("b"), user("another"), agent("and longer than before"), ended("b"))
    agrees(rollout)


def reads_of(rollout: Rollout) -> list[tuple[int, int]]:
    """The ranges that are read from now on."""
    read: list[tuple[int, int]] = []
    original = rollout.files.read

    def seen(one: RolloutRef, ranges: list[tuple[int, int]]) -> list[bytes]:
        read.extend(ranges)
        return original(one, ranges)

    rollout.files.read = seen  # type: ignore[method-assign, assignment]
    return read


def test_a_page_of_items_reads_the_pieces_of_a_giant_turn_that_hold_them() -> None:
    rollout = Rollout()
    rollout.write(META, started("giant"), user("ask"))
    for n in range(300):
        rollout.write(call(f"c{n}"), output(f"c{n}", "x" * 5_000), agent(f"said {n}"))
    rollout.write(ended("giant"))
    agrees(rollout)
    history = rollout.open()
    read = reads_of(rollout)
    page = history.items(301, 303)
    assert [item.get("text") for _, item in page] == [None, "said 150"]
    assert sum(end - start for start, end in read) < 2 * 128 * 1024 < rollout.stamp.size / 5


def test_no_piece_begins_between_a_call_and_what_is_told_of_it_later() -> None:
    rollout = Rollout()
    rollout.write(META, started("a"), user("one"), call("early"), call("late"), output("early", "done"))
    rollout.write(agent("x" * 200_000), output("late", "at last"), agent("y" * 200_000), ended("a"))
    agrees(rollout)
    (span,) = (rollout.open()).spans(0, 1)
    called, told = (len(b"".join(map(encode_line, rollout.lines[:n]))) for n in (4, 8))
    assert span.facts.chunks
    assert not [piece for piece in span.facts.chunks if called <= piece.start < told]


def test_a_page_reads_its_bytes_and_no_more() -> None:
    rollout = Rollout()
    rollout.write(META)
    for n in range(50):
        rollout.write(started(f"t{n}"), user(f"ask {n}"), agent("x" * 1000), ended(f"t{n}"))
    history = rollout.open()
    read = reads_of(rollout)
    history.turns(40, 43, "full")
    spans = history.spans(40, 43)
    assert sum(end - start for start, end in read) == sum(span.end - span.begin.start for span in spans) < 5_000
    read.clear()
    assert len(history.turns(0, 50, "notLoaded")) == 50
    assert read == []
