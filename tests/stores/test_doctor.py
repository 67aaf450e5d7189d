"""The doctor says how files and index stand to each other, in Codex's words, and mends it when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import homes
import pytest
from homes import HOUR_MS, NOW_MS, A, B, C, D, E, Home, archived_path, path_of, rollout
from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef
from mcp_server.models.records import Change, Move, Operation
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.status import is_small
from mcp_server.storage.contracts import Holder, StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.sync.doctor import Counts, StaleRow, examine, repair
from mcp_server.sync.reconciler import backfill, sync_paths

home, built, golden_home = homes.home, homes.built, homes.golden_home
MOVED_B = path_of(B).replace("/2026/01/02/", "/2025/12/31/")


@pytest.fixture
def locks() -> MemoryLocks:
    return MemoryLocks()


def disorder(home: Home) -> None:
    """One of everything that can be wrong."""
    home.write(path_of(A), rollout(A, "changed"))
    home.rename(path_of(B), MOVED_B)
    home.erase(archived_path(C))
    home.write(path_of(D), rollout(D))
    home.write(archived_path(D), rollout(D))
    home.write(path_of(E), b"")
    home.name(B, "Renamed")


def everything(state: StateStore) -> tuple[dict[str, StoredThread], int, object]:
    rows = state.get_many(list(state.known_rollouts()))
    return rows, state.last_seq(), state.names_stamp()


class TestExamine:
    def test_a_report_on_a_home_in_order_finds_nothing(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        report = examine(built.rollouts, state, locks)
        assert report.in_step
        assert (report.files, report.rows) == (Counts(2, 1), Counts(2, 1))
        assert (report.missing, report.stale, report.duplicates, report.malformed) == ((), (), {}, ())
        assert report.backfill is not None
        assert report.backfill.status == "complete"
        assert built.described == []

    def test_a_file_without_a_row_is_missing(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        built.write(path_of(D), rollout(D))
        report = examine(built.rollouts, state, locks)
        assert report.missing == (path_of(D),)
        assert (report.files, report.rows) == (Counts(3, 1), Counts(2, 1))
        assert not report.in_step

    def test_a_file_of_a_deleted_thread_is_not_missing(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        state.commit(Change(forgotten=(A,), tombstones=(A,)))
        assert (examine(built.rollouts, state, locks)).missing == ()

    def test_a_row_is_stale_when_its_file_is_gone_moved_or_changed(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        disorder(built)
        report = examine(built.rollouts, state, locks)
        assert set(report.stale) == {
            StaleRow(A, path_of(A), "changed"),
            StaleRow(B, path_of(B), "moved"),
            StaleRow(C, archived_path(C), "gone"),
        }

    def test_a_row_whose_file_carries_another_id_is_stale(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        built.write(path_of(A), rollout(D) + b"no json\n")
        report = examine(built.rollouts, state, locks)
        assert report.stale == (StaleRow(A, path_of(A), "gone"),)
        assert report.missing == (path_of(A),)

    def test_an_id_in_two_files_is_a_duplicate(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        built.write(archived_path(A), rollout(A))
        report = examine(built.rollouts, state, locks)
        assert report.duplicates == {A: (path_of(A), archived_path(A))}
        assert report.missing == ()

    def test_the_rollouts_that_reverts_replaced_are_counted_and_no_duplicates(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        built.write(path_of(f"{A}_{B}"), rollout(A))
        repair(built.rollouts, state, locks)
        report = examine(built.rollouts, state, locks)
        assert (report.duplicates, report.replaced, report.in_step) == ({}, 1, True)
        copy = path_of(f"{A}_{B}").replace("/2026/01/02/", "/2026/05/05/")
        built.write(copy, rollout(A))
        report = examine(built.rollouts, state, locks)
        assert report.duplicates == {A: (path_of(f"{A}_{B}"), copy)}
        assert report.replaced == 1

    def test_a_malformed_file_is_reported_with_path_offset_and_reason(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        built.write(path_of(E), b"")
        (bad,) = (examine(built.rollouts, state, locks)).malformed
        assert (bad.path, bad.offset, bad.reason) == (path_of(E), 0, "is empty")

    def test_malformed_lines_of_indexed_files_are_reported_by_a_deep_examination(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        good = rollout(D)
        built.write(path_of(D), good + b"no json\n")
        assert (repair(built.rollouts, state, locks)).done is not None
        assert (examine(built.rollouts, state, locks)).malformed == ()
        (bad,) = (examine(built.rollouts, state, locks, deep=True)).malformed
        assert (bad.path, bad.offset) == (path_of(D), len(good))

    def test_a_row_that_claims_the_file_of_another_thread_is_reported_by_a_deep_examination(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        row = state.get(A)
        assert row is not None
        state.commit(Change(threads=(replace(row, id=D),), vanished=(A,)))
        assert (examine(built.rollouts, state, locks)).in_step
        report = examine(built.rollouts, state, locks, deep=True)
        assert report.stale == (StaleRow(D, path_of(A), "gone"),)
        assert report.missing == (path_of(A),)

    @pytest.mark.parametrize("deep", [False, True])
    def test_a_row_that_comes_meanwhile_makes_no_duplicate_of_its_file(
        self, built: Home, state: StateStore, locks: MemoryLocks, *, deep: bool
    ) -> None:
        built.write(path_of(D), rollout(D))

        def adopt() -> None:
            built.after_describe = None
            sync_paths(built.rollouts, state, [path_of(D)])

        built.after_describe = adopt
        report = examine(built.rollouts, state, locks, deep=deep)
        assert state.get(D) is not None
        assert report.duplicates == {}
        assert report.largest[D] == len(rollout(D))

    def test_two_rows_that_claim_one_file_are_reported_by_a_deep_examination(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        row = state.get(A)
        assert row is not None
        state.commit(Change(threads=(replace(row, id=D),)))
        report = examine(built.rollouts, state, locks, deep=True)
        assert report.stale == (StaleRow(D, path_of(A), "gone"),)
        assert (report.missing, report.duplicates) == ((), {})

    @pytest.mark.parametrize("deep", [False, True])
    def test_damage_is_reported_once_and_the_row_of_a_file_that_became_unreadable_is_stale(
        self, built: Home, state: StateStore, locks: MemoryLocks, *, deep: bool
    ) -> None:
        built.write(path_of(A), b"no rollout\n")
        built.write(path_of(D), rollout(D) + b"no json\n")
        report = examine(built.rollouts, state, locks, deep=deep)
        assert sorted(bad.path for bad in report.malformed) == [path_of(A), path_of(D)]
        assert report.stale == (StaleRow(A, path_of(A), "changed"),)
        assert report.missing == (path_of(D),)

    def test_the_largest_threads_are_reported_beside_larger_rows_that_are_stale(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        built.write(path_of(B), rollout(B, "the largest that is left " * 10))
        built.write(path_of(A), rollout(A, "larger " * 100))
        repair(built.rollouts, state, locks)
        built.erase(path_of(A))
        report = examine(built.rollouts, state, locks, largest=1)
        assert report.largest == {B: len(rollout(B, "the largest that is left " * 10))}

    def test_a_report_counts_names_and_says_whether_the_rows_have_them(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        before = examine(built.rollouts, state, locks)
        built.name(B, "Renamed")
        after = examine(built.rollouts, state, locks)
        assert [(report.names, report.names_current) for report in (before, after)] == [(1, True), (2, False)]
        assert not after.in_step

    def test_a_report_lists_running_operations_and_locks_with_their_holders(
        self, built: Home, state: StateStore
    ) -> None:
        registry: dict[str, tuple[MemoryLocks, int]] = {}
        ours, theirs = MemoryLocks(registry), MemoryLocks(registry)
        ours.acquire([A])
        theirs.acquire([B])
        running = Operation("op", "archive", A, (Move(A, path_of(A)),), "running", NOW_MS)
        state.commit(Change(operation=running))
        report = examine(built.rollouts, state, ours)
        assert report.running == (running,)
        assert report.held == (A,)
        assert list(report.foreign) == [B]
        assert isinstance(report.foreign[B], Holder)

    def test_a_report_has_the_size_of_each_thread(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        built.write(path_of(A), rollout(A, "a long message " * 100))
        built.write(archived_path(A), rollout(A))
        report = examine(built.rollouts, state, locks)
        sizes = {path: len(data) for path, (data, _) in built.content().items() if "rollout-" in path}
        assert report.size == sum(sizes.values())
        assert next(iter(report.largest)) == A
        assert report.largest[A] == sum(size for path, size in sizes.items() if A in path)

    def test_a_report_without_a_state_db_covers_the_files_alone(self, built: Home, locks: MemoryLocks) -> None:
        built.write(path_of(E), b"")
        report = examine(built.rollouts, None, locks)
        assert (report.files, report.rows, report.missing, report.backfill) == (Counts(3, 1), None, (), None)
        assert [bad.path for bad in report.malformed] == [path_of(E)]


class TestRepair:
    def test_a_repair_mends_everything_that_can_be_mended_and_says_what_it_did(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        disorder(built)
        result = repair(built.rollouts, state, locks)
        assert not result.before.in_step
        assert result.done is not None
        assert (result.done.added, result.done.changed) == ((D,), (A,))
        assert (result.done.moved, result.done.vanished) == ((B,), (C,))
        assert result.after is not None
        assert result.after.in_step
        assert result.after.rows == Counts(active=3)
        assert [bad.path for bad in result.after.malformed] == [path_of(E)]

    def test_a_second_repair_finds_nothing_to_do(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        disorder(built)
        repair(built.rollouts, state, locks)
        again = (repair(built.rollouts, state, locks)).done
        assert again is not None
        assert (again.added, again.changed, again.moved, again.vanished, again.events) == ((), (), (), (), ())

    def test_files_are_never_changed(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        disorder(built)
        before = built.content()
        repair(built.rollouts, state, locks)
        assert built.content() == before

    def test_a_dry_run_changes_nothing(self, built: Home, state: StateStore, locks: MemoryLocks) -> None:
        disorder(built)
        before = everything(state), built.content()
        result = repair(built.rollouts, state, locks, dry_run=True, deep=True)
        assert (result.done, result.after) == (None, None)
        assert not result.before.in_step
        assert (everything(state), built.content()) == before

    def test_threads_that_this_process_writes_are_left_to_it(
        self, built: Home, state: StateStore, locks: MemoryLocks
    ) -> None:
        built.write(path_of(A), rollout(A, "being written"), mtime_ms=NOW_MS + HOUR_MS)
        locks.acquire([A])
        result = repair(built.rollouts, state, locks)
        assert result.done is not None
        assert result.done.changed == ()


@pytest.mark.parametrize(
    ("sizes", "small"),
    [([], True), ([1] * 2_000, True), ([1] * 2_001, False), ([64 << 20], True), ([64 << 20, 1], False)],
)
def test_a_home_is_small_by_the_number_of_its_rollouts_and_by_their_bytes(sizes: list[int], *, small: bool) -> None:
    assert is_small(RolloutRef(path_of(A), FileStamp(size, 1)) for size in sizes) == small


class TestAbandonedDrafts:
    """A process that is killed while it writes a large rollout leaves a hidden draft."""

    HALF_WRITTEN = """
import os, signal, sys
from pathlib import Path
from mcp_server.storage.files.atomic import Draft
draft = Draft(Path(sys.argv[1]))
draft.add(b"half of a rollout")
os.kill(os.getpid(), signal.SIGKILL)
"""

    @pytest.fixture
    def left(self, tmp_path: Path) -> Path:
        """What such a process has left just now."""
        rollout_path = tmp_path / path_of(D)
        ended = subprocess.run([sys.executable, "-c", self.HALF_WRITTEN, str(rollout_path)], check=False)
        assert ended.returncode == -signal.SIGKILL
        (draft,) = rollout_path.parent.iterdir()
        return draft

    def test_a_draft_that_is_being_written_is_left_alone(
        self, left: Path, tmp_path: Path, state: StateStore, locks: MemoryLocks
    ) -> None:
        result = repair(RolloutFiles(tmp_path), state, locks)
        assert result.before.abandoned == ()
        assert left.exists()

    def test_a_draft_untouched_for_an_hour_is_reported_and_removed(
        self, left: Path, tmp_path: Path, state: StateStore, locks: MemoryLocks
    ) -> None:
        an_hour_ago = time.time() - 3_700
        os.utime(left, (an_hour_ago, an_hour_ago))
        mine = left.with_name("notes.tmp")
        mine.write_text("not a draft")
        os.utime(mine, (an_hour_ago, an_hour_ago))
        rollouts = RolloutFiles(tmp_path)
        told = (repair(rollouts, state, locks, dry_run=True)).before
        assert told.abandoned == (left.relative_to(tmp_path).as_posix(),)
        assert left.exists()
        result = repair(rollouts, state, locks)
        assert result.counts()["abandoned"] == 1
        assert result.after is not None
        assert result.after.abandoned == ()
        assert list(left.parent.iterdir()) == [mine]


def test_a_real_home_is_in_order_after_its_first_build(
    golden_home: Path, state: StateStore, locks: MemoryLocks
) -> None:
    rollouts = RolloutFiles(golden_home)
    before = examine(rollouts, state, locks)
    assert len(before.missing) == 21
    backfill(rollouts, state, owner="here", now_ms=lambda: NOW_MS)
    report = examine(rollouts, state, locks, deep=True)
    assert report.in_step
    assert (report.files, report.rows) == (Counts(16, 5), Counts(16, 5))
    assert (report.malformed, report.duplicates, report.names) == ((), {}, 2)
