"""What every home does with the bytes of threads, and with their names."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.codex.bounds import BOUNDS
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.codex.paths import archived_path
from mcp_server.errors import (
    CompressedRollout,
    DamagedRollout,
    InvalidThreadId,
    PathOutsideHome,
    RolloutChanged,
    RolloutNameTaken,
)
from mcp_server.models.thread import FileStamp
from mcp_server.storage.contracts import RolloutStore
from tests.contract.homes import Home
from tests.rollouts import move_one
from tests.stores.rollout_text import ARCHIVED_A, FOLDER, META, PATH_A, PATH_B, A, B, C, all_lines, content

# ---------------------------------------------------------------------------------------------- paths


def test_path_of_is_the_date_folder_and_name_in_local_time(store: RolloutStore) -> None:
    at_ms = 1_795_388_688_314
    local = time.localtime(at_ms // 1000)
    expected = time.strftime("sessions/%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S-", local) + f"{A}.jsonl"
    assert store.new(A.upper(), at_ms).path == expected
    assert list(store.walk()) == []


def test_path_of_refuses_an_id_that_is_no_uuid(store: RolloutStore) -> None:
    with pytest.raises(InvalidThreadId):
        store.new("../../etc/passwd", 0)


def test_absolute_ends_with_the_relative_path(store: RolloutStore) -> None:
    assert store.absolute(RolloutRef(PATH_A)).endswith(f"/{PATH_A}")


# ---------------------------------------------------------------------------------------------- finding


def test_files_lists_active_and_archived_rollouts_with_their_stamps(store: RolloutStore) -> None:
    assert list(store.walk()) == []
    stamp = store.create(RolloutRef(PATH_A), META).stamp
    store.create(RolloutRef(PATH_B), META)
    move_one(store, PATH_B, archived=True)
    found = {file.path: file for file in store.walk()}
    assert set(found) == {PATH_A, PATH_B.replace(FOLDER, "archived_sessions")}
    assert found[PATH_A].stamp == stamp
    assert found[PATH_A].thread_id == A
    assert [file.archived for file in found.values() if file.thread_id == B] == [True]


def test_files_leaves_out_what_is_not_called_a_rollout(store: RolloutStore) -> None:
    store.create(RolloutRef(f"{FOLDER}/notes.jsonl"), META)
    store.create(RolloutRef(f"{FOLDER}/rollout-2026-11-22T23-04-48-{A}.jsonl.bak"), META)
    assert list(store.walk()) == []


def test_stat_of_a_path_is_its_rollout_or_none(store: RolloutStore) -> None:
    assert store.stat(PATH_A) is None
    stamp = store.create(RolloutRef(PATH_A), META).stamp
    file = store.stat(PATH_A)
    assert file is not None
    assert (file.stamp, file.thread_id, file.archived) == (stamp, A, False)
    assert store.stat("../outside") is None


# ---------------------------------------------------------------------------------------------- reading


def test_lines_come_with_offsets_and_without_blank_ones(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"one\n\n  \ntwo\nto")
    assert all_lines(store, PATH_A) == [RawLine(0, b"one"), RawLine(8, b"two"), RawLine(12, b"to", whole=False)]


def test_lines_can_begin_and_end_inside(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"one\ntwo\nthree\n")
    assert all_lines(store, PATH_A, 4) == [RawLine(4, b"two"), RawLine(8, b"three")]
    assert all_lines(store, PATH_A, 4, 8) == [RawLine(4, b"two")]
    assert all_lines(store, PATH_A, 14) == []


def test_lines_longer_than_a_batch_stay_whole(store: RolloutStore) -> None:
    long = b"x" * (2 * BOUNDS.batch_bytes + 7)
    store.create(RolloutRef(PATH_A), b"first\n" + long + b"\nlast\n")
    assert content(store, PATH_A) == [b"first", long, b"last"]


def test_lines_of_a_missing_file_are_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        all_lines(store, PATH_A)


def test_describe_reads_the_thread_from_its_file(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), META)
    file = store.stat(PATH_A)
    assert file is not None
    thread = (store.describe(file)).thread
    assert (thread.id, thread.cwd, thread.path, thread.stamp) == (A, "/w", PATH_A, file.stamp)


def test_describe_of_a_file_that_went_away_is_an_error(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), META)
    [file] = list(store.walk())
    store.remove(RolloutRef(PATH_A))
    with pytest.raises(DamagedRollout, match="is gone"):
        store.describe(file)


# ---------------------------------------------------------------------------------------------- writing


def test_create_writes_a_new_rollout(store: RolloutStore) -> None:
    stamp = store.create(RolloutRef(PATH_A), META).stamp
    assert stamp.size == len(META)
    assert content(store, PATH_A) == [META.rstrip(b"\n")]


def test_create_does_not_overwrite(store: RolloutStore) -> None:
    stamp = store.create(RolloutRef(PATH_A), META).stamp
    with pytest.raises(RolloutNameTaken):
        store.create(RolloutRef(PATH_A), b"other\n")
    assert content(store, PATH_A) == [META.rstrip(b"\n")]
    assert [file.stamp for file in store.walk()] == [stamp]


def test_append_adds_lines_and_returns_the_new_stamp(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"one\n")
    other = store.create(RolloutRef(PATH_B), b"other\n").stamp
    stamp = store.append(RolloutRef(PATH_A, FileStamp(4, 0)), b"two\nthree\n").stamp
    file = store.stat(PATH_A)
    assert file is not None
    assert file.stamp == stamp
    assert stamp.size == len(b"one\ntwo\nthree\n")
    assert content(store, PATH_A) == [b"one", b"two", b"three"]
    assert [file.stamp for file in store.walk() if file.thread_id == B] == [other]


def test_append_by_a_writer_that_another_has_overtaken_is_refused_and_writes_nothing(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"one\n")
    store.append(RolloutRef(PATH_A, FileStamp(4, 0)), b"of the other\n")
    for late in (b"late\n", b""):
        with pytest.raises(RolloutChanged, match="has 17 bytes, not 4"):
            store.append(RolloutRef(PATH_A, FileStamp(4, 0)), late)
    assert content(store, PATH_A) == [b"one", b"of the other"]


def test_append_of_nothing_touches_nothing(store: RolloutStore) -> None:
    stamp = store.create(RolloutRef(PATH_A), b"torn").stamp
    assert store.append(RolloutRef(PATH_A, FileStamp(4, 0)), b"").stamp == stamp


def test_append_closes_a_torn_tail_first(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b'one\n{"half')
    store.append(RolloutRef(PATH_A, FileStamp(10, 0)), b"two\n")
    assert content(store, PATH_A) == [b"one", b'{"half', b"two"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tail=st.binary(max_size=40),
    lines=st.lists(st.binary(min_size=1, max_size=20).map(lambda b: b.replace(b"\n", b"n")), min_size=1, max_size=4),
)
def test_append_after_any_tail_gives_back_each_whole_line(
    new_home: Callable[[], Home], tail: bytes, lines: list[bytes]
) -> None:
    store = new_home().rollouts
    store.create(RolloutRef(PATH_A), tail)
    store.append(RolloutRef(PATH_A, FileStamp(len(tail), 0)), b"".join(b"#" + line + b"\n" for line in lines))
    got = all_lines(store, PATH_A)
    assert [line.data for line in got[-len(lines) :]] == [b"#" + line for line in lines]
    assert all(line.whole for line in got)


def test_pieces_of_many_files_are_read_and_errors_stand_in_the_place_of_the_others(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"one\ntwo\n")
    one, gone, two = store.read_many(
        [(RolloutRef(PATH_A), 0, 4), (RolloutRef(PATH_B), 0, 4), (RolloutRef(PATH_A), 4, 100)]
    )
    assert (one, two) == (b"one\n", b"two\n")
    assert isinstance(gone, DamagedRollout)


def test_append_to_a_missing_file_is_an_error_and_creates_none(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        store.append(RolloutRef(PATH_A, FileStamp(0, 0)), b"one\n")
    assert list(store.walk()) == []


def test_append_to_a_compressed_rollout_is_refused(store: RolloutStore) -> None:
    stamp = store.create(RolloutRef(f"{PATH_A}.zst"), b"").stamp
    with pytest.raises(CompressedRollout, match=A):
        store.append(RolloutRef(f"{PATH_A}.zst", FileStamp(0, 0)), b"one\n")
    assert [file.stamp for file in store.walk()] == [stamp]


@pytest.mark.parametrize("path", ["/etc/passwd", "sessions/../x", "other/x", "sessions", "sessions//x", "sessions/./x"])
def test_writes_outside_of_the_two_folders_are_refused(store: RolloutStore, path: str) -> None:
    with pytest.raises(PathOutsideHome):
        store.create(RolloutRef(path), b"")
    with pytest.raises(PathOutsideHome):
        store.append(RolloutRef(path, FileStamp(0, 0)), b"one\n")
    with pytest.raises(PathOutsideHome):
        store.remove(RolloutRef(path))


def test_remove_deletes_one_rollout_and_no_other(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), META)
    store.create(RolloutRef(PATH_B), META)
    store.remove(RolloutRef(PATH_A))
    assert [file.path for file in store.walk()] == [PATH_B]


def test_remove_of_what_is_gone_counts_as_done(store: RolloutStore) -> None:
    store.remove(RolloutRef(PATH_A))
    store.create(RolloutRef(PATH_A), META)
    store.remove(RolloutRef(PATH_A))
    store.remove(RolloutRef(PATH_A))
    assert list(store.walk()) == []


# ---------------------------------------------------------------------------------------------- archive


def test_archive_moves_the_rollout_and_keeps_mtime_and_bytes(store: RolloutStore) -> None:
    """archive_thread_moves_rollout_to_archived_collection"""
    stamp = store.create(RolloutRef(PATH_A), META).stamp
    other = store.create(RolloutRef(PATH_B), META).stamp
    moved = move_one(store, PATH_A, archived=True)
    assert (moved.path, moved.archived, moved.stamp) == (ARCHIVED_A, True, stamp)
    assert store.stat(PATH_A) is None
    assert content(store, ARCHIVED_A) == [META.rstrip(b"\n")]
    assert [file.stamp for file in store.walk() if file.path == PATH_B] == [other]


def test_archive_already_moved_counts_as_done(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), META)
    moved = move_one(store, PATH_A, archived=True)
    assert move_one(store, PATH_A, archived=True) == moved


def test_archive_does_not_overwrite_an_archived_file(store: RolloutStore) -> None:
    store.create(RolloutRef(ARCHIVED_A), b"old\n")
    store.create(RolloutRef(PATH_A), b"new\n")
    with pytest.raises(RolloutNameTaken, match="archived_sessions"):
        move_one(store, PATH_A, archived=True)
    assert content(store, ARCHIVED_A) == [b"old"]
    assert content(store, PATH_A) == [b"new"]


def test_archive_of_a_missing_file_is_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        move_one(store, PATH_A, archived=True)


def test_archive_takes_only_what_lies_under_sessions(store: RolloutStore) -> None:
    store.create(RolloutRef(ARCHIVED_A), META)
    with pytest.raises(PathOutsideHome, match="sessions directory"):
        move_one(store, ARCHIVED_A, archived=True)


def test_unarchive_restores_the_date_folder_and_sets_mtime_to_now(store: RolloutStore) -> None:
    """unarchive_thread_restores_rollout_and_returns_updated_thread"""
    store.create(RolloutRef(f"sessions/{Path(PATH_A).name}"), META)
    archived = move_one(store, f"sessions/{Path(PATH_A).name}", archived=True)
    before = time.time_ns()
    restored = move_one(store, ARCHIVED_A, archived=False)
    assert (restored.path, restored.archived) == (PATH_A, False)
    assert archived.stamp.mtime_ns < before <= restored.stamp.mtime_ns <= time.time_ns()
    assert content(store, PATH_A) == [META.rstrip(b"\n")]
    assert store.stat(ARCHIVED_A) is None


def test_unarchive_already_moved_counts_as_done_and_leaves_mtime(store: RolloutStore) -> None:
    store.create(RolloutRef(ARCHIVED_A), META)
    restored = move_one(store, ARCHIVED_A, archived=False)
    assert move_one(store, ARCHIVED_A, archived=False) == restored


def test_unarchive_does_not_overwrite_and_leaves_mtimes(store: RolloutStore) -> None:
    written = [store.create(RolloutRef(ARCHIVED_A), b"old\n"), store.create(RolloutRef(PATH_A), b"new\n")]
    with pytest.raises(RolloutNameTaken, match=FOLDER):
        move_one(store, ARCHIVED_A, archived=False)
    assert [content(store, path) for path in (ARCHIVED_A, PATH_A)] == [[b"old"], [b"new"]]
    files = [store.stat(ARCHIVED_A), store.stat(PATH_A)]
    assert files == written


def test_unarchive_of_a_missing_file_is_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        move_one(store, ARCHIVED_A, archived=False)


def test_unarchive_of_a_name_without_a_date_is_an_error(store: RolloutStore) -> None:
    path = f"archived_sessions/rollout-{A}.jsonl"
    store.create(RolloutRef(path), META)
    with pytest.raises(DamagedRollout, match="no date"):
        move_one(store, path, archived=False)
    assert store.stat(path) is not None


def test_unarchive_takes_only_what_is_archived(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), META)
    with pytest.raises(PathOutsideHome, match="archived_sessions"):
        move_one(store, PATH_A, archived=False)


# ---------------------------------------------------------------------------------------------- many at once


GONE = PATH_A.replace(A, C)


def test_files_are_looked_up_together(store: RolloutStore) -> None:
    store.create(RolloutRef(PATH_A), b"a\n")
    assert store.stat_many([PATH_A, GONE, "elsewhere/x", "sessions/../x"]) == {PATH_A: store.stat(PATH_A)}
    assert store.stat_many([]) == {}


def test_many_moves_are_single_moves_and_what_fails_stays_alone(store: RolloutStore) -> None:
    for path in (PATH_A, PATH_B):
        store.create(RolloutRef(path), b"text\n")
    store.create(RolloutRef(archived_path(PATH_B)), b"in the way\n")
    moved, taken, gone = store.move([RolloutRef(path) for path in (PATH_A, PATH_B, GONE)], archived=True)
    assert isinstance(moved, RolloutRef)
    assert moved == store.stat(archived_path(PATH_A))
    assert isinstance(taken, RolloutNameTaken)
    assert isinstance(gone, DamagedRollout)
    assert store.stat_many([PATH_A, PATH_B, archived_path(PATH_A)]).keys() == {PATH_B, archived_path(PATH_A)}
    again, _ = store.move([RolloutRef(PATH_A), RolloutRef(PATH_B)], archived=True)  # already moved counts as done
    assert again == moved
    before = moved.stamp.mtime_ns
    (back,) = store.move([moved], archived=False)
    assert isinstance(back, RolloutRef)
    assert (back.path, back.archived) == (PATH_A, False)
    assert back.stamp.mtime_ns > before
    assert store.move([], archived=True) == []


# ---------------------------------------------------------------------------------------------- names


def test_names_are_empty_in_a_fresh_home(store: RolloutStore) -> None:
    assert store.names() == {}
    assert store.names_stamp() is None


def test_the_newest_name_wins_and_the_stamp_tells_the_change(store: RolloutStore) -> None:
    """find_thread_name_by_id_prefers_latest_entry"""
    store.set_name(A, "first", 1_795_388_689_608)
    stamp = store.names_stamp()
    store.set_name(B, "other", 1_795_388_689_608)
    store.set_name(A, "ünïcode\nname", 1)
    assert store.names() == {A: "ünïcode\nname", B: "other"}
    assert stamp is not None
    assert store.names_stamp() != stamp


def test_forget_name_drops_all_lines_of_one_thread(store: RolloutStore) -> None:
    store.set_name(A, "one", 1)
    store.set_name(B, "other", 2)
    store.set_name(A, "two", 3)
    store.set_name(A, None, 0)
    assert store.names() == {B: "other"}
    store.set_name(A, "three", 4)
    assert store.names() == {B: "other", A: "three"}


def test_forget_name_with_nothing_to_forget_changes_nothing(store: RolloutStore) -> None:
    store.set_name(A, None, 0)
    assert store.names_stamp() is None
    store.set_name(B, "other", 2)
    stamp = store.names_stamp()
    store.set_name(A, None, 0)
    assert store.names_stamp() == stamp


def test_append_name_refuses_an_id_that_is_no_uuid(store: RolloutStore) -> None:
    with pytest.raises(InvalidThreadId):
        store.set_name("x", "name", 1)
    assert store.names() == {}
