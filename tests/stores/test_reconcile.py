"""The index follows the files: what a sync makes of what others did to them."""

from __future__ import annotations

import homes
import pytest
from homes import (
    HOUR_MS,
    NOW_MS,
    A,
    B,
    BadLog,
    C,
    D,
    Home,
    archived_path,
    ids,
    path_of,
    rollout,
    row,
    spawned,
    thread_id,
    told,
)
from msgspec.structs import replace

from mcp_server.models.records import Change, SpawnEdge
from mcp_server.storage.contracts import StateStore
from mcp_server.sync.reconciler import sync, sync_paths
from tests.together import together

home, built = homes.home, homes.built


class TestSync:
    def test_without_changes_nothing_is_read_and_nothing_said(self, built: Home, state: StateStore) -> None:
        report = sync(built.rollouts, state)
        assert report == type(report)()
        assert built.described == []

    def test_a_new_file_gets_a_row_a_name_and_an_event(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D, "hello", source=spawned(A)))
        built.name(D, "Fresh")
        report = sync(built.rollouts, state)
        assert report.added == (D,)
        assert told(report.events) == [("thread/started", D)]
        assert ((row(state, D)).preview, (row(state, D)).name) == ("hello", "Fresh")
        assert state.edges_above(D) == [SpawnEdge(A, D)]
        assert built.described == [path_of(D)]

    def test_a_changed_file_is_read_again(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(B, "something else"))
        report = sync(built.rollouts, state)
        assert report.changed == (B,)
        assert (row(state, B)).preview == "something else"
        assert built.described == [path_of(B)]

    def test_a_changed_file_keeps_the_explicit_name_of_its_thread(self, built: Home, state: StateStore) -> None:
        # peer case 235
        built.write(path_of(A), rollout(A, "the first message"))
        sync(built.rollouts, state)
        assert ((row(state, A)).name, (row(state, A)).preview) == ("Named", "the first message")

    def test_only_a_change_of_the_name_index_changes_the_name_of_a_row(self, built: Home, state: StateStore) -> None:
        state.apply_names({A: "Newer"}, built.rollouts.names_stamp())
        built.write(path_of(A), rollout(A, "changed"))
        sync(built.rollouts, state)
        assert (row(state, A)).name == "Newer"

    def test_files_archived_and_unarchived_by_others_are_announced(self, built: Home, state: StateStore) -> None:
        built.rename(path_of(A), archived_path(A))
        built.rename(archived_path(C), path_of(C))
        report = sync(built.rollouts, state)
        assert sorted(report.moved) == [A, C]
        assert sorted(told(report.events)) == [("thread/archived", A), ("thread/unarchived", C)]
        assert [(row(state, key)).path for key in (A, C)] == [archived_path(A), path_of(C)]
        assert (row(state, C)).archived_at_ms is None

    def test_a_change_is_announced_once_however_many_sync(self, built: Home, state: StateStore) -> None:
        built.rename(path_of(A), archived_path(A))

        def work() -> None:
            sync(built.rollouts, state)

        together(work, work, work)
        events = state.events_after(0, limit=10)
        assert told(tuple(events)) == [("thread/archived", A)]

    def test_a_row_whose_file_is_gone_is_dropped(self, built: Home, state: StateStore) -> None:
        # peer case 206
        built.erase(path_of(B))
        report = sync(built.rollouts, state)
        assert report.vanished == (B,)
        assert ids(state) == {A, C}

    def test_a_row_with_a_stale_path_is_pointed_to_the_real_one(self, built: Home, state: StateStore) -> None:
        # peer case 207
        elsewhere = path_of(B).replace("/2026/01/02/", "/2025/12/31/")
        built.rename(path_of(B), elsewhere)
        report = sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((B,), ())
        assert (row(state, B)).path == elsewhere

    def test_a_quiet_sync_updates_rows_and_announces_nothing(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))
        built.rename(path_of(A), archived_path(A))
        report = sync(built.rollouts, state, quiet=True)
        assert (report.added, report.moved, report.events) == ((D,), (A,), ())
        assert state.last_seq() == 0

    def test_names_given_behind_our_back_are_taken_over(self, built: Home, state: StateStore) -> None:
        built.name(B, "By Codex")
        report = sync(built.rollouts, state)
        assert told(report.events) == [("thread/name/updated", B)]
        assert [(row(state, key)).name for key in (A, B)] == ["Named", "By Codex"]
        assert built.described == []

    def test_names_are_not_read_again_while_their_file_is_unchanged(self, built: Home, state: StateStore) -> None:
        state.apply_names({}, built.rollouts.names_stamp())
        assert not (sync(built.rollouts, state)).names_applied
        assert (row(state, A)).name is None

    def test_a_row_goes_by_the_id_inside_the_file_not_by_its_name(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(B, "B's under another name"))
        built.erase(path_of(B))
        report = sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((B,), ())
        assert (row(state, B)).path == path_of(D)
        assert state.get(D) is None
        assert sync(built.rollouts, state) == type(report)()

    def test_a_row_whose_file_now_carries_another_id_is_dropped(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(D))
        report = sync(built.rollouts, state)
        assert (report.added, report.vanished) == ((D,), (B,))

    def test_a_copy_takes_the_row_when_the_first_file_is_gone(self, built: Home, state: StateStore) -> None:
        copy = path_of(A).replace("/2026/01/02/", "/2026/05/05/")
        built.write(copy, rollout(A))
        sync(built.rollouts, state)
        built.erase(path_of(A))
        assert (sync(built.rollouts, state)).moved == (A,)
        assert (row(state, A)).path == copy

    def test_the_rollout_of_the_last_revert_has_the_row(self, built: Home, state: StateStore) -> None:
        """However old its file is, and wherever the others lie; these are not read again while it is there."""
        first, last = path_of(f"{A}_{B}"), path_of(f"{A}_{C}")
        built.write(last, rollout(A, "reverted twice"), mtime_ms=NOW_MS - HOUR_MS)
        built.write(first, rollout(A, "reverted once"))
        report = sync(built.rollouts, state)
        assert (report.moved, told(report.events)) == ((A,), [("thread/reverted", A)])
        built.rename(last, archived_path(f"{A}_{C}"))
        assert told((sync(built.rollouts, state)).events) == [("thread/archived", A)]
        assert ((row(state, A)).preview, (row(state, A)).archived) == ("reverted twice", True)
        built.described.clear()
        sync(built.rollouts, state)
        assert built.described == []
        built.erase(archived_path(f"{A}_{C}"))
        sync(built.rollouts, state)
        assert (row(state, A)).path == first

    def test_a_damaged_file_is_reported_and_its_row_stays(self, built: Home, state: StateStore) -> None:
        before = row(state, A)
        built.write(path_of(A), b"torn")
        bad = BadLog()
        report = sync(built.rollouts, state, sink=bad)
        assert [line.path for line in report.damaged] == [path_of(A)] == [line.path for line in bad.lines]
        assert row(state, A) == before

    def test_threads_that_this_process_writes_are_left_to_their_owner(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))
        built.erase(path_of(A))
        report = sync(built.rollouts, state, written_here=lambda: {A, D})
        assert (report.added, report.vanished) == ((), ())
        assert ids(state) == {A, B, C}

    def test_a_deleted_thread_that_was_written_again_stays_deleted(self, built: Home, state: StateStore) -> None:
        state.commit(Change(forgotten=(A,), tombstones=(A,)))
        report = sync(built.rollouts, state)
        assert report.added == ()
        assert ids(state) == {B, C}

    def test_when_a_file_was_archived_the_row_keeps_the_time_it_has(self, built: Home, state: StateStore) -> None:
        state.commit(Change(threads=(replace(row(state, C), archived_at_ms=NOW_MS + 5),)))
        built.write(archived_path(C), rollout(C, "with git metadata"))
        sync(built.rollouts, state)
        assert (row(state, C)).archived_at_ms == NOW_MS + 5

    def test_many_new_files_all_get_their_rows_batch_by_batch(self, home: Home, state: StateStore) -> None:
        keys = [thread_id(n) for n in range(11)]
        for key in keys:
            home.write(path_of(key), rollout(key))
        assert sorted((sync(home.rollouts, state, batch_rows=4)).added) == keys
        assert ids(state) == set(keys)


class TestWhatOthersDoMeanwhile:
    def test_a_file_moved_after_it_was_read_keeps_the_row_that_its_mover_wrote(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(A), rollout(A, "changed"))

        def archive() -> None:
            built.after_describe = None
            built.rename(path_of(A), archived_path(A))
            file = built.rollouts.stat(archived_path(A))
            assert file is not None
            moved = replace(row(state, A), path=file.path, stamp=file.stamp, archived=True)
            state.commit(Change(threads=(moved,)))

        built.after_describe = archive
        report = sync(built.rollouts, state)
        assert (report.moved, report.vanished, report.events) == ((), (), ())
        assert (row(state, A)).path == archived_path(A)

    def test_a_file_removed_before_it_was_read_is_not_damaged(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))

        def remove() -> None:
            built.before_describe = None
            built.erase(path_of(D))

        built.before_describe = remove
        report = sync(built.rollouts, state)
        assert report == type(report)()

    def test_a_file_moved_while_the_folders_were_walked_is_not_lost(self, built: Home, state: StateStore) -> None:
        built.rename(path_of(A), archived_path(A))
        built.overlooked = {archived_path(A)}
        report = sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((A,), ())

    def test_a_file_that_a_listing_overlooked_is_not_dropped(self, built: Home, state: StateStore) -> None:
        built.overlooked = {path_of(A)}
        assert (sync(built.rollouts, state)).vanished == ()
        assert ids(state) == {A, B, C}


class TestSyncPaths:
    def test_only_the_given_paths_are_looked_at(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))
        built.write(path_of(B), rollout(B, "also changed"))
        report = sync_paths(built.rollouts, state, [path_of(D)])
        assert (report.added, report.changed) == ((D,), ())
        assert built.described == [path_of(D)]

    def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(B, "changed"))
        report = sync_paths(built.rollouts, state, [path_of(A), path_of(B)])
        assert report.changed == (B,)
        assert built.described == [path_of(B)]

    @pytest.mark.parametrize("seen", [[path_of(A)], [archived_path(A)], [path_of(A), archived_path(A)]])
    def test_a_move_is_understood_from_either_end(self, built: Home, state: StateStore, seen: list[str]) -> None:
        built.rename(path_of(A), archived_path(A))
        report = sync_paths(built.rollouts, state, seen)
        assert (report.moved, report.vanished) == ((A,), ())
        assert told(report.events) == [("thread/archived", A)]

    def test_a_revert_is_seen_by_its_path_alone(self, built: Home, state: StateStore) -> None:
        built.write(path_of(f"{A}_{B}"), rollout(A, "reverted"))
        report = sync_paths(built.rollouts, state, [path_of(f"{A}_{B}")])
        assert told(report.events) == [("thread/reverted", A)]
        assert (row(state, A)).path == path_of(f"{A}_{B}")

    def test_a_file_that_is_gone_takes_its_row_with_it(self, built: Home, state: StateStore) -> None:
        built.erase(path_of(A))
        assert (sync_paths(built.rollouts, state, [path_of(A)])).vanished == (A,)
        assert ids(state) == {B, C}

    def test_a_file_that_carries_another_id_now_loses_its_old_row(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(D))
        report = sync_paths(built.rollouts, state, [path_of(B)])
        assert (report.added, report.vanished) == ((D,), (B,))

    def test_names_are_taken_over_when_their_file_changes(self, built: Home, state: StateStore) -> None:
        built.name(B, "By Codex")
        report = sync_paths(built.rollouts, state, ["session_index.jsonl"])
        assert told(report.events) == [("thread/name/updated", B)]
        assert report.damaged == ()

    def test_paths_that_are_no_rollouts_are_ignored(self, built: Home, state: StateStore) -> None:
        strange = ["", "../outside.jsonl", "sessions", "config.toml", "sessions/2026/01/02/.rollout.tmp"]
        report = sync_paths(built.rollouts, state, strange)
        assert report == type(report)()

    def test_a_whole_cascade_is_understood_from_its_paths(self, built: Home, state: StateStore) -> None:
        many = self.moved_away(built, state)
        paths = [path for key in many for path in (path_of(key), archived_path(key))]
        report = sync_paths(built.rollouts, state, paths)
        assert set(report.moved) == set(many)
        assert set(built.described) == {archived_path(key) for key in many}

    def test_very_many_lost_threads_are_found_by_a_full_sync(self, built: Home, state: StateStore) -> None:
        many = self.moved_away(built, state)
        built.write(path_of(D), rollout(D))
        report = sync_paths(built.rollouts, state, [path_of(key) for key in many])
        assert (set(report.moved), report.added) == (set(many), (D,))

    def test_a_file_with_the_stamp_of_its_row_is_not_read_again(self, built: Home, state: StateStore) -> None:
        many = self.moved_away(built, state)
        sync(built.rollouts, state)
        built.described.clear()
        paths = [path for key in many for path in (path_of(key), archived_path(key))]
        report = sync_paths(built.rollouts, state, paths)
        assert (report, built.described) == (type(report)(), [])

    def moved_away(self, built: Home, state: StateStore) -> list[str]:
        """More threads than are searched for one by one, archived behind the back of the index."""
        many = [thread_id(number) for number in range(100, 200)]
        for key in many:
            built.write(path_of(key), rollout(key))
        sync(built.rollouts, state)
        for key in many:
            built.rename(path_of(key), archived_path(key))
        built.described.clear()
        return many
