"""What every home tells of its rows beside the files in some folders."""

from __future__ import annotations

from msgspec.structs import replace

from mcp_server.models.records import Change
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import Difference

DAY, NEXT = "sessions/2026/11/22", "sessions/2026/11/23"
STAMP, OTHER = FileStamp(10, 20), FileStamp(11, 20)


def row(key: str, folder: str = DAY, stamp: FileStamp = STAMP) -> StoredThread:
    return StoredThread(
        id=key,
        path=f"{folder}/rollout-{key}.jsonl",
        stamp=stamp,
        archived=False,
        created_at_ms=1,
        updated_at_ms=1,
        recency_at_ms=1,
        preview="hello",
    )


def fill(state: StateStore, *rows: StoredThread) -> None:
    state.commit(Change(threads=rows))


def test_files_without_a_row_and_rows_without_a_file_are_differences(state: StateStore) -> None:
    fill(state, row("same"), row("gone"), row("elsewhere", NEXT))
    listed = {row("same").path: STAMP, row("new").path: STAMP}
    assert state.compare_folders({DAY: listed}) == Difference(frozenset([row("new").path]), {"gone": row("gone").path})


def test_a_file_with_another_stamp_than_its_row_is_a_difference_and_one_without_a_stamp_is_none(
    state: StateStore,
) -> None:
    fill(state, row("a"), row("b"), row("c"))
    listed = {row("a").path: OTHER, row("b").path: None, row("c").path: STAMP}
    assert state.compare_folders({DAY: listed}) == Difference(frozenset([row("a").path]), {})


def test_rows_of_folders_further_down_and_of_folders_called_alike_do_not_count(state: StateStore) -> None:
    fill(state, row("below", f"{DAY}/more"), row("alike", f"{DAY}0"), row("after", f"{DAY}-copy"))
    assert state.compare_folders({DAY: {}}) == Difference()


def test_an_empty_folder_loses_all_its_rows(state: StateStore) -> None:
    fill(state, row("a"), row("b", NEXT))
    assert state.compare_folders({DAY: {}, NEXT: {row("b", NEXT).path: None}}) == Difference(rows={"a": row("a").path})


def test_the_rollouts_written_last_come_with_their_stamps(state: StateStore) -> None:
    fill(state, *(row(str(n), stamp=FileStamp(n, n)) for n in range(1, 6)))
    fill(state, replace(row("1"), stamp=FileStamp(1, 9)))
    assert state.written_last(3) == {row(str(n)).path: FileStamp(n, at) for n, at in ((1, 9), (5, 5), (4, 4))}


def test_names_come_from_the_rows_that_have_one(state: StateStore) -> None:
    fill(state, replace(row("a"), name="one"), row("b"))
    assert state.names() == {"a": "one"}
