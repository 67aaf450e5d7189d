"""What every home keeps of histories: marks, turns by offset, and what is left to be read. Search has a file of
its own."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from mcp_server.models.history import (
    IndexCheckpoint,
    IndexUpdate,
    ItemSpan,
    ParserState,
    TextChunk,
    TurnFacts,
    TurnSpan,
)
from mcp_server.models.records import Change, Moved
from mcp_server.models.thread import FileStamp, LastTurn, StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import TextQuery, ThreadQuery

STAMP = FileStamp(1_000, 2_000_000_000)


def thread(key: str, **changes: Any) -> StoredThread:
    path = f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{key}.jsonl"
    base = StoredThread(
        id=key, path=path, stamp=STAMP, archived=False, created_at_ms=1, updated_at_ms=2, recency_at_ms=3, preview="p"
    )
    return structs.replace(base, **changes)


def checkpoint(key: str, end: int = 1_000, **changes: Any) -> IndexCheckpoint:
    base = IndexCheckpoint(key, STAMP, base=0, end=end, check="c", turns=3, items=6, next_item=7, next_ordinal=0)
    return structs.replace(base, **changes)


def span(number: int, items: int = 2, **changes: Any) -> TurnSpan:
    """Turns of 100 bytes with two items each, beginning at byte 50."""
    start = 50 + 100 * number
    place = ParserState(start, line=10 * number + 1, item=2 * number + 1, counted=2 * number)
    base = TurnSpan(number, f"t{number}", place, start + 100, 2 * number, items, TurnFacts("completed"))
    return structs.replace(base, **changes)


def update_of(key: str, spans: tuple[TurnSpan, ...] = (), *texts: TextChunk, **changes: Any) -> IndexUpdate:
    base = IndexUpdate(checkpoint(key), after=None, keep=0, spans=spans, texts=texts)
    return structs.replace(base, **changes)


THREE = (span(0), span(1), span(2))

# ---------------------------------------------------------------------------------------------- marks, update_ofs


def test_a_checkpoint_comes_back_as_it_was_taken_in(state: StateStore) -> None:
    full = checkpoint("a", base=2**40, end=2**41, check="ffff", next_ordinal=2**42, open_calls=("one", "zwei🧵"))
    state.commit(Change(threads=(thread("a"), thread("b"))))
    assert state.checkpoints(["a"]) == {}
    assert state.update([update_of("a", checkpoint=full)]) == [True]
    assert state.checkpoints(["a", "b", "missing"]) == {"a": full}
    assert state.checkpoints([]) == {}


def test_an_update_goes_on_only_from_the_checkpoint_that_is_there(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    on = update_of("a", (span(3),), checkpoint=checkpoint("a", 2_000, turns=4), after=1_000, keep=3)
    assert state.update([on]) == [False]  # there is none yet
    assert state.checkpoints(["a"]) == {}
    assert state.update([update_of("a", THREE)]) == [True]
    assert state.update([on]) == [True]
    assert state.update([on]) == [False]  # somebody has gone on to 2_000
    assert state.checkpoints(["a"]) == {"a": on.checkpoint}
    assert state.spans("a", 0, 9) == [*THREE, span(3)]


def test_an_update_keeps_the_spans_below_its_first_turn_and_replaces_the_others(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a", THREE)])
    longer = span(1, items=9, end=777)
    state.update([update_of("a", (longer,), after=1_000, keep=1)])
    assert state.spans("a", 0, 9) == [span(0), longer]
    state.update([update_of("a", after=1_000, keep=0)])
    assert state.spans("a", 0, 9) == []


def test_an_update_from_nothing_begins_anew_whatever_was_there(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a", THREE, TextChunk(50, 60, 70, "the old words"))])
    new = TextChunk(50, 80, 90, "the new words")
    assert state.update([update_of("a", (span(0),), new, checkpoint=checkpoint("a", 500))]) == [True]
    assert state.spans("a", 0, 9) == [span(0)]
    places = state.places(TextQuery(("words",), ThreadQuery()))
    assert [(place.span, place.start, place.end) for place in places] == [(span(0), 80, 90)]


def test_a_batch_takes_in_the_updates_whose_checkpoints_match(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"), thread("c"))))
    state.update([update_of("b", THREE)])
    batch = [update_of("a", (span(0),)), update_of("b", (span(0),), after=5), update_of("c", THREE)]
    assert state.update(batch) == [True, False, True]
    assert [len(state.spans(key, 0, 9)) for key in "abc"] == [1, 3, 3]
    assert state.update([]) == []


# ---------------------------------------------------------------------------------------------- spans


def test_spans_are_found_by_number_by_item_and_by_id(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"))))
    again = span(3, items=0, turn_id="t1")
    state.update([update_of("a", (*THREE, again)), update_of("b", (span(0, items=9),))])
    assert state.spans("a", 1, 3) == [span(1), span(2)]
    assert state.spans("a", -5, 2**70) == [*THREE, again]
    assert state.spans("a", 2, 2) == state.spans("missing", 0, 9) == []
    assert state.spans_of_items("a", 1, 3) == [span(0), span(1)]
    assert state.spans_of_items("a", 2, 4) == [span(1)]
    assert state.spans_of_items("a", 5, 2**70) == [span(2)]
    assert state.spans_of_items("a", 6, 9) == []
    assert state.span_of("a", "t1") == span(1)
    assert state.span_of("a", "T1") is state.span_of("missing", "t1") is None


def test_a_text_comes_with_its_turn_while_the_turn_is_there(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"))))
    state.update([update_of("b", THREE)])
    state.update(
        [update_of("a", THREE, TextChunk(50, 60, 70, "some words"), TextChunk(49, 60, 70, "words of no turn"))]
    )
    places = state.places(TextQuery(("words",), ThreadQuery()))
    assert [place.span for place in places] == [None, span(0)]
    state.update([update_of("a", after=1_000, keep=0)])
    assert [place.span for place in state.places(TextQuery(("words",), ThreadQuery()))] == [None, None]


def test_the_facts_of_a_turn_come_back_as_they_were_stored(state: StateStore) -> None:
    facts = TurnFacts(
        status="failed",
        started_at=1,
        completed_at=2,
        duration_ms=3,
        request=ItemSpan(2**40 + 7, 2**40 + 9, "item-1"),
        answer=ItemSpan(2**40 + 10, 2**40 + 20, "größer"),
        root_turn_id="r",
        error={"message": "quota", "codex_error_info": {"a": [1, None]}},
        foreign_ids=("x", "y"),
    )
    far = span(0, begin=ParserState(2**40, 5, 6, 7), end=2**41, facts=facts)
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a", (far,))])
    assert state.spans("a", 0, 1) == [far]


# ---------------------------------------------------------------------------------------------- what rows tell of it

DONE = LastTurn("completed", answer="All is done")


def told_by(state: StateStore, key: str) -> tuple[LastTurn | None, int | None]:
    row = state.get_many([key])[key]
    return row.last_turn, row.turn_count


def test_a_row_tells_of_its_turns_what_is_indexed_of_its_file(state: StateStore) -> None:
    begun = LastTurn("inProgress")
    state.commit(Change(threads=(thread("a", last_turn=begun), thread("b"), thread("c"))))
    later = FileStamp(999, 2_000_000_000)
    marks = [checkpoint(key, turns=3, last_turn=DONE) for key in "ab"]
    ahead = structs.replace(marks[1], version=later)
    state.update([update_of("a", checkpoint=marks[0]), update_of("b", checkpoint=ahead)])
    assert [told_by(state, key) for key in "abc"] == [(DONE, 3), (None, None), (None, None)]
    state.commit(Change(threads=(thread("a", name="n"), thread("b", stamp=later))))
    assert [told_by(state, key) for key in "ab"] == [(DONE, 3), (DONE, 3)]
    assert state.checkpoints(["b"]) == {"b": ahead}


def test_a_file_that_has_changed_is_told_by_its_own_look_until_it_is_indexed(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a", checkpoint=checkpoint("a", turns=3, last_turn=DONE))])
    grown, failed = FileStamp(1_001, 3_000_000_000), LastTurn("failed", "no quota")
    state.commit(Change(observed=(thread("a", stamp=grown, last_turn=failed),)))
    assert told_by(state, "a") == (failed, None)
    state.update([update_of("a", checkpoint=checkpoint("a", version=grown, turns=4, last_turn=failed), after=1_000)])
    assert told_by(state, "a") == (failed, 4)
    state.commit(Change(moved=(Moved("a", "archived_sessions/a", True, FileStamp(1_001, 9)),)))
    assert told_by(state, "a") == (failed, 4)


# ---------------------------------------------------------------------------------------------- what is left to read


def left(state: StateStore) -> tuple[list[str], int, int]:
    return state.unread(99), state.progress().unread, state.progress().indexed


def test_a_row_is_unread_until_its_file_is_indexed_in_the_rows_version(state: StateStore) -> None:
    assert left(state) == ([], 0, 0)
    rows = (thread("old", updated_at_ms=1), thread("new", updated_at_ms=9), thread("tie", updated_at_ms=9))
    state.commit(Change(threads=rows[:2], observed=rows[2:]))
    assert left(state) == (["tie", "new", "old"], 3, 0)
    assert state.unread(1) == ["tie"]
    state.update(
        [update_of("new"), update_of("tie", checkpoint=checkpoint("tie", version=FileStamp(999, 2_000_000_000)))]
    )
    assert left(state) == (["tie", "old"], 2, 2)
    state.update([update_of("tie", after=1_000)])
    assert left(state) == (["old"], 1, 2)


def test_the_index_of_a_moved_file_stays_valid_if_it_covered_the_whole_file(state: StateStore) -> None:
    names = ("whole", "grown", "behind", "unread")
    state.commit(Change(threads=tuple(thread(name) for name in names)))
    state.update(
        [
            update_of("whole"),
            update_of("grown"),
            update_of("behind", checkpoint=checkpoint("behind", version=FileStamp(1_000, 1))),
        ]
    )
    later = [FileStamp(1_001 if name == "grown" else 1_000, 3_000_000_000) for name in names]
    state.commit(Change(moved=tuple(map(Moved, names, names, (False,) * 4, later))))
    marks = state.checkpoints(names)
    rows = state.get_many(names)
    assert marks["whole"].version == rows["whole"].stamp == FileStamp(1_000, 3_000_000_000)
    assert marks["grown"].version == rows["grown"].stamp != later[1], "so it is read again at the next look"
    assert sorted(state.unread(9)) == ["behind", "unread"]


def test_a_changed_stamp_makes_a_thread_unread_and_any_other_change_does_not(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a")])
    state.commit(Change(threads=(thread("a", archived=True, name="n", updated_at_ms=7),)))
    assert state.unread(9) == []
    grown = FileStamp(1_001, 2_000_000_001)
    state.commit(Change(observed=(thread("a", stamp=grown),)))
    assert left(state) == (["a"], 1, 1)
    state.update([update_of("a", checkpoint=checkpoint("a", version=grown), after=1_000)])
    assert left(state) == ([], 0, 1)


@pytest.mark.parametrize("how", ["forgotten", "vanished"])
def test_a_thread_that_goes_takes_its_index_along_and_no_other(state: StateStore, how: str) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"), thread("c"))))
    words = TextChunk(50, 60, 70, "some words")
    state.update([update_of("a", THREE, words), update_of("b", THREE, words)])
    gone: dict[str, Any] = {how: ("a", "c")}
    state.commit(Change(**gone))
    assert state.checkpoints(["a", "b", "c"]) == {"b": checkpoint("b")}
    assert (state.spans("a", 0, 9), state.spans("b", 0, 9)) == ([], list(THREE))
    assert left(state) == ([], 0, 1)
    places = state.places(TextQuery(("words",), ThreadQuery()))
    assert [place.thread.id for place in places] == ["b"]
    state.commit(Change(threads=(thread("a"),)))  # and if it comes back, all is to be read again
    assert left(state) == (["a"], 1, 1)


def test_a_thread_that_was_deleted_while_it_was_read_leaves_no_index(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"))))
    state.commit(Change(forgotten=("a",), tombstones=("a",)))
    words = TextChunk(50, 60, 70, "some words")
    state.update([update_of("a", THREE, words), update_of("b", THREE, words)])
    assert state.checkpoints(["a", "b"]) == {"b": checkpoint("b")}
    assert state.spans("a", 0, 9) == []
    assert left(state) == ([], 0, 1)
