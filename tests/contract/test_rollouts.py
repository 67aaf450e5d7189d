"""What every home does with the bytes of threads, and with their names."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.codex.files import RolloutFile
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
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.rollout_text import LineLimits
from tests.contract.homes import Home
from tests.stores.rollout_text import ARCHIVED_A, FOLDER, META, PATH_A, PATH_B, A, B, C, all_lines, content

# ---------------------------------------------------------------------------------------------- paths


def test_path_of_is_the_date_folder_and_name_in_local_time(store: RolloutStore) -> None:
    at_ms = 1_795_388_688_314
    local = time.localtime(at_ms // 1000)
    expected = time.strftime("sessions/%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S-", local) + f"{A}.jsonl"
    assert store.path_of(A.upper(), at_ms) == expected
    assert list(store.walk()) == []


def test_path_of_refuses_an_id_that_is_no_uuid(store: RolloutStore) -> None:
    with pytest.raises(InvalidThreadId):
        store.path_of("../../etc/passwd", 0)


def test_absolute_ends_with_the_relative_path(store: RolloutStore) -> None:
    assert store.absolute(PATH_A).endswith(f"/{PATH_A}")


# ---------------------------------------------------------------------------------------------- finding


def test_files_lists_active_and_archived_rollouts_with_their_stamps(store: RolloutStore) -> None:
    assert list(store.walk()) == []
    stamp = store.create(PATH_A, META)
    store.create(PATH_B, META)
    store.archive(PATH_B)
    found = {file.path: file for file in store.walk()}
    assert set(found) == {PATH_A, PATH_B.replace(FOLDER, "archived_sessions")}
    assert found[PATH_A].stamp == stamp
    assert found[PATH_A].thread_id == A
    assert [file.archived for file in found.values() if file.thread_id == B] == [True]


def test_files_leaves_out_what_is_not_called_a_rollout(store: RolloutStore) -> None:
    store.create(f"{FOLDER}/notes.jsonl", META)
    store.create(f"{FOLDER}/rollout-2026-11-22T23-04-48-{A}.jsonl.bak", META)
    assert list(store.walk()) == []


def test_stat_tells_the_file_at_a_path_or_none(store: RolloutStore) -> None:
    assert store.stat(PATH_A) is None
    stamp = store.create(PATH_A, META)
    file = store.stat(PATH_A)
    assert file is not None
    assert (file.stamp, file.thread_id, file.archived) == (stamp, A, False)
    assert store.stat("../outside") is None


# ---------------------------------------------------------------------------------------------- reading


def test_lines_come_with_offsets_and_without_blank_ones(store: RolloutStore) -> None:
    store.create(PATH_A, b"one\n\n  \ntwo\nto")
    assert all_lines(store, PATH_A) == [RawLine(0, b"one"), RawLine(8, b"two"), RawLine(12, b"to", whole=False)]


def test_lines_can_begin_and_end_inside(store: RolloutStore) -> None:
    store.create(PATH_A, b"one\ntwo\nthree\n")
    assert all_lines(store, PATH_A, 4) == [RawLine(4, b"two"), RawLine(8, b"three")]
    assert all_lines(store, PATH_A, 4, 8) == [RawLine(4, b"two")]
    assert all_lines(store, PATH_A, 14) == []


def test_lines_longer_than_a_batch_stay_whole(store: RolloutStore) -> None:
    long = b"x" * (2 * LineLimits().batch + 7)
    store.create(PATH_A, b"first\n" + long + b"\nlast\n")
    assert content(store, PATH_A) == [b"first", long, b"last"]


def test_lines_of_a_missing_file_are_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        all_lines(store, PATH_A)


def test_describe_reads_the_thread_from_its_file(store: RolloutStore) -> None:
    store.create(PATH_A, META)
    file = store.stat(PATH_A)
    assert file is not None
    thread = (store.describe(file)).thread
    assert (thread.id, thread.cwd, thread.path, thread.stamp) == (A, "/w", PATH_A, file.stamp)


def test_describe_of_a_file_that_went_away_is_an_error(store: RolloutStore) -> None:
    store.create(PATH_A, META)
    [file] = list(store.walk())
    store.remove(PATH_A)
    with pytest.raises(DamagedRollout, match="is gone"):
        store.describe(file)


# ---------------------------------------------------------------------------------------------- writing


def test_create_writes_a_new_rollout(store: RolloutStore) -> None:
    stamp = store.create(PATH_A, META)
    assert stamp.size == len(META)
    assert content(store, PATH_A) == [META.rstrip(b"\n")]


def test_create_does_not_overwrite(store: RolloutStore) -> None:
    stamp = store.create(PATH_A, META)
    with pytest.raises(RolloutNameTaken):
        store.create(PATH_A, b"other\n")
    assert content(store, PATH_A) == [META.rstrip(b"\n")]
    assert [file.stamp for file in store.walk()] == [stamp]


def test_append_adds_lines_and_returns_the_new_stamp(store: RolloutStore) -> None:
    store.create(PATH_A, b"one\n")
    other = store.create(PATH_B, b"other\n")
    stamp = store.append(PATH_A, b"two\nthree\n", at=4)
    file = store.stat(PATH_A)
    assert file is not None
    assert file.stamp == stamp
    assert stamp.size == len(b"one\ntwo\nthree\n")
    assert content(store, PATH_A) == [b"one", b"two", b"three"]
    assert [file.stamp for file in store.walk() if file.thread_id == B] == [other]


def test_append_by_a_writer_that_another_has_overtaken_is_refused_and_writes_nothing(store: RolloutStore) -> None:
    store.create(PATH_A, b"one\n")
    store.append(PATH_A, b"of the other\n", at=4)
    for late in (b"late\n", b""):
        with pytest.raises(RolloutChanged, match="has 17 bytes where 4 were expected"):
            store.append(PATH_A, late, at=4)
    assert content(store, PATH_A) == [b"one", b"of the other"]


def test_append_of_nothing_touches_nothing(store: RolloutStore) -> None:
    stamp = store.create(PATH_A, b"torn")
    assert store.append(PATH_A, b"", at=4) == stamp


def test_append_closes_a_torn_tail_first(store: RolloutStore) -> None:
    store.create(PATH_A, b'one\n{"half')
    store.append(PATH_A, b"two\n", at=10)
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
    store.create(PATH_A, tail)
    store.append(PATH_A, b"".join(b"#" + line + b"\n" for line in lines), at=len(tail))
    got = all_lines(store, PATH_A)
    assert [line.data for line in got[-len(lines) :]] == [b"#" + line for line in lines]
    assert all(line.whole for line in got)


def test_pieces_of_many_files_are_read_and_what_can_not_be_is_told(store: RolloutStore) -> None:
    store.create(PATH_A, b"one\ntwo\n")
    one, gone, two = store.read_many([(PATH_A, 0, 4), (PATH_B, 0, 4), (PATH_A, 4, 100)])
    assert (one, two) == (b"one\n", b"two\n")
    assert isinstance(gone, DamagedRollout)


def test_append_to_a_missing_file_is_an_error_and_creates_none(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        store.append(PATH_A, b"one\n", at=0)
    assert list(store.walk()) == []


def test_append_to_a_compressed_rollout_is_refused(store: RolloutStore) -> None:
    stamp = store.create(f"{PATH_A}.zst", b"")
    with pytest.raises(CompressedRollout, match=A):
        store.append(f"{PATH_A}.zst", b"one\n", at=0)
    assert [file.stamp for file in store.walk()] == [stamp]


@pytest.mark.parametrize("path", ["/etc/passwd", "sessions/../x", "other/x", "sessions", "sessions//x", "sessions/./x"])
def test_writes_outside_of_the_two_folders_are_refused(store: RolloutStore, path: str) -> None:
    with pytest.raises(PathOutsideHome):
        store.create(path, b"")
    with pytest.raises(PathOutsideHome):
        store.append(path, b"one\n", at=0)
    with pytest.raises(PathOutsideHome):
        store.remove(path)


def test_remove_deletes_one_rollout_and_no_other(store: RolloutStore) -> None:
    store.create(PATH_A, META)
    store.create(PATH_B, META)
    store.remove(PATH_A)
    assert [file.path for file in store.walk()] == [PATH_B]


def test_remove_of_what_is_gone_counts_as_done(store: RolloutStore) -> None:
    store.remove(PATH_A)
    store.create(PATH_A, META)
    store.remove(PATH_A)
    store.remove(PATH_A)
    assert list(store.walk()) == []


# ---------------------------------------------------------------------------------------------- archive


def test_archive_moves_the_rollout_and_keeps_mtime_and_bytes(store: RolloutStore) -> None:
    """archive_thread_moves_rollout_to_archived_collection"""
    stamp = store.create(PATH_A, META)
    other = store.create(PATH_B, META)
    moved = store.archive(PATH_A)
    assert (moved.path, moved.archived, moved.stamp) == (ARCHIVED_A, True, stamp)
    assert store.stat(PATH_A) is None
    assert content(store, ARCHIVED_A) == [META.rstrip(b"\n")]
    assert [file.stamp for file in store.walk() if file.path == PATH_B] == [other]


def test_archive_already_moved_counts_as_done(store: RolloutStore) -> None:
    store.create(PATH_A, META)
    moved = store.archive(PATH_A)
    assert store.archive(PATH_A) == moved


def test_archive_does_not_overwrite_an_archived_file(store: RolloutStore) -> None:
    store.create(ARCHIVED_A, b"old\n")
    store.create(PATH_A, b"new\n")
    with pytest.raises(RolloutNameTaken, match="archived_sessions"):
        store.archive(PATH_A)
    assert content(store, ARCHIVED_A) == [b"old"]
    assert content(store, PATH_A) == [b"new"]


def test_archive_of_a_missing_file_is_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        store.archive(PATH_A)


def test_archive_takes_only_what_lies_under_sessions(store: RolloutStore) -> None:
    store.create(ARCHIVED_A, META)
    with pytest.raises(PathOutsideHome, match="sessions directory"):
        store.archive(ARCHIVED_A)


def test_unarchive_restores_the_date_folder_and_sets_mtime_to_now(store: RolloutStore) -> None:
    """unarchive_thread_restores_rollout_and_returns_updated_thread"""
    store.create(f"sessions/{Path(PATH_A).name}", META)
    archived = store.archive(f"sessions/{Path(PATH_A).name}")
    before = time.time_ns()
    restored = store.unarchive(ARCHIVED_A)
    assert (restored.path, restored.archived) == (PATH_A, False)
    assert archived.stamp.mtime_ns < before <= restored.stamp.mtime_ns <= time.time_ns()
    assert content(store, PATH_A) == [META.rstrip(b"\n")]
    assert store.stat(ARCHIVED_A) is None


def test_unarchive_already_moved_counts_as_done_and_leaves_mtime(store: RolloutStore) -> None:
    store.create(ARCHIVED_A, META)
    restored = store.unarchive(ARCHIVED_A)
    assert store.unarchive(ARCHIVED_A) == restored


def test_unarchive_does_not_overwrite_and_leaves_mtimes(store: RolloutStore) -> None:
    stamps = [store.create(ARCHIVED_A, b"old\n"), store.create(PATH_A, b"new\n")]
    with pytest.raises(RolloutNameTaken, match=FOLDER):
        store.unarchive(ARCHIVED_A)
    assert [content(store, path) for path in (ARCHIVED_A, PATH_A)] == [[b"old"], [b"new"]]
    files = [store.stat(ARCHIVED_A), store.stat(PATH_A)]
    assert [file.stamp for file in files if file] == stamps


def test_unarchive_of_a_missing_file_is_an_error(store: RolloutStore) -> None:
    with pytest.raises(DamagedRollout, match="is gone"):
        store.unarchive(ARCHIVED_A)


def test_unarchive_of_a_name_without_a_date_is_an_error(store: RolloutStore) -> None:
    path = f"archived_sessions/rollout-{A}.jsonl"
    store.create(path, META)
    with pytest.raises(DamagedRollout, match="no date"):
        store.unarchive(path)
    assert store.stat(path) is not None


def test_unarchive_takes_only_what_is_archived(store: RolloutStore) -> None:
    store.create(PATH_A, META)
    with pytest.raises(PathOutsideHome, match="archived_sessions"):
        store.unarchive(PATH_A)


# ---------------------------------------------------------------------------------------------- many at once


GONE = PATH_A.replace(A, C)


def test_files_are_looked_up_together(store: RolloutStore) -> None:
    store.create(PATH_A, b"a\n")
    assert store.stat_many([PATH_A, GONE, "elsewhere/x", "sessions/../x"]) == {PATH_A: store.stat(PATH_A)}
    assert store.stat_many([]) == {}


def test_many_moves_are_single_moves_and_what_fails_stays_alone(store: RolloutStore) -> None:
    for path in (PATH_A, PATH_B):
        store.create(path, b"text\n")
    store.create(archived_path(PATH_B), b"in the way\n")
    moved, taken, gone = store.archive_many([PATH_A, PATH_B, GONE])
    assert isinstance(moved, RolloutFile)
    assert moved == store.stat(archived_path(PATH_A))
    assert isinstance(taken, RolloutNameTaken)
    assert isinstance(gone, DamagedRollout)
    assert store.stat_many([PATH_A, PATH_B, archived_path(PATH_A)]).keys() == {PATH_B, archived_path(PATH_A)}
    again, _ = store.archive_many([PATH_A, PATH_B])  # already moved counts as done
    assert again == moved
    before = moved.stamp.mtime_ns
    (back,) = store.unarchive_many([archived_path(PATH_A)])
    assert isinstance(back, RolloutFile)
    assert (back.path, back.archived) == (PATH_A, False)
    assert back.stamp.mtime_ns > before
    assert store.archive_many([]) == []


# ---------------------------------------------------------------------------------------------- names


def test_names_are_empty_in_a_fresh_home(store: RolloutStore) -> None:
    assert store.names() == {}
    assert store.names_stamp() is None


def test_the_newest_name_wins_and_the_stamp_tells_the_change(store: RolloutStore) -> None:
    """find_thread_name_by_id_prefers_latest_entry"""
    store.append_name(A, "first", 1_795_388_689_608)
    stamp = store.names_stamp()
    store.append_name(B, "other", 1_795_388_689_608)
    store.append_name(A, "ünïcode\nname", 1)
    assert store.names() == {A: "ünïcode\nname", B: "other"}
    assert stamp is not None
    assert store.names_stamp() != stamp


def test_forget_name_drops_all_lines_of_one_thread(store: RolloutStore) -> None:
    store.append_name(A, "one", 1)
    store.append_name(B, "other", 2)
    store.append_name(A, "two", 3)
    store.forget_name(A)
    assert store.names() == {B: "other"}
    store.append_name(A, "three", 4)
    assert store.names() == {B: "other", A: "three"}


def test_forget_name_with_nothing_to_forget_changes_nothing(store: RolloutStore) -> None:
    store.forget_name(A)
    assert store.names_stamp() is None
    store.append_name(B, "other", 2)
    stamp = store.names_stamp()
    store.forget_name(A)
    assert store.names_stamp() == stamp


def test_append_name_refuses_an_id_that_is_no_uuid(store: RolloutStore) -> None:
    with pytest.raises(InvalidThreadId):
        store.append_name("x", "name", 1)
    assert store.names() == {}
