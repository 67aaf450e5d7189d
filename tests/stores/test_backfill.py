"""The first build of the index: complete, resumable, and done by one worker at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import homes
from homes import HOUR_MS, NOW_MS, A, B, BadLog, C, D, Home, archived_path, build, ids, path_of, rollout, row, spawned
from msgspec.structs import replace

from mcp_server.models.records import BackfillState, Change, SpawnEdge
from mcp_server.models.thread import spawn_parent
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.query import Count, ThreadQuery
from mcp_server.sync.reconciler import BackfillResult, backfill, sync
from tests.together import together

home, golden_home = homes.home, homes.golden_home


class TestBackfill:
    def test_the_index_is_complete_before_it_returns(self, home: Home, state: StateStore) -> None:
        # peer case 198
        home.write(path_of(A), rollout(A))
        result = build(home, state)
        assert (result.status, result.worked, result.done, result.found) == ("complete", True, 1, 1)
        assert (row(state, A)).path == path_of(A)
        assert (state.backfill()).status == "complete"
        assert (state.backfill()).completed_at_ms == NOW_MS

    def test_an_empty_home_is_complete_at_once(self, home: Home, state: StateStore) -> None:
        assert build(home, state) == BackfillResult("complete", worked=True)
        assert (state.backfill()).watermark is None

    def test_rows_tell_active_from_archived(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(archived_path(B), rollout(B))
        build(home, state)
        assert [(row(state, key)).archived for key in (A, B)] == [False, True]
        archived = row(state, B)
        assert archived.archived_at_ms == archived.updated_at_ms

    def test_a_backfill_makes_no_events(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(archived_path(B), rollout(B))
        home.name(A, "Named")
        build(home, state)
        assert state.last_seq() == 0

    def test_names_are_applied(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.name(A, "First")
        home.name(A, "Second")
        build(home, state)
        assert (row(state, A)).name == "Second"
        assert state.names_stamp() == home.rollouts.names_stamp()

    def test_a_second_source_of_names_counts_more_than_the_index_file(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), rollout(B))
        home.name(A, "ours")

        def more(_: object = None) -> dict[str, str]:
            return {A: "theirs", B: "only theirs"}

        build(home, state, more_names=more)
        assert [(row(state, key)).name for key in (A, B)] == ["theirs", "only theirs"]

    def test_edges_follow_from_the_sources(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), rollout(B, source=spawned(A)))
        build(home, state)
        assert state.edges_above(B) == [SpawnEdge(A, B, "open")]
        assert state.edges_above(A) == []

    def test_an_edge_known_as_closed_stays_closed(self, home: Home, state: StateStore) -> None:
        home.write(path_of(B), rollout(B, source=spawned(A)))

        def closed() -> list[SpawnEdge]:
            return [SpawnEdge(A, B, "closed")]

        build(home, state, closed_edges=closed)
        assert state.edges_above(B) == [SpawnEdge(A, B, "closed")]

    def test_damaged_files_are_reported_and_do_not_keep_it_from_completing(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), b"")
        good = rollout(C)
        home.write(path_of(C), good + b"no json\n")
        bad = BadLog()
        result = build(home, state, sink=bad)
        assert result.status == "complete"
        assert [line.path for line in result.damaged] == [path_of(B)]
        assert result.bad_lines == 1
        assert ids(state) == {A, C}
        assert {(line.path, line.offset) for line in bad.lines} == {(path_of(B), 0), (path_of(C), len(good))}
        assert home.described.count(path_of(B)) == 1

    def test_progress_counts_up_to_what_was_found(self, home: Home, state: StateStore) -> None:
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        seen: list[tuple[int, int]] = []

        def progress(done: int, found: int) -> None:
            seen.append((done, found))

        build(home, state, progress=progress, batch_rows=2)
        assert seen == [(0, 3), (2, 3), (3, 3)]

    def test_the_newest_threads_come_first_and_archived_ones_last(self, home: Home, state: StateStore) -> None:
        for path, key in ((path_of(A), A), (path_of(B), B), (archived_path(C), C)):
            home.write(path, rollout(key))
        build(home, state)
        assert home.described == [path_of(B), path_of(A), archived_path(C)]

    def test_a_backfill_resumes_behind_the_watermark(self, home: Home, state: StateStore) -> None:
        # peer case 239
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        half_built(home, state, done=B)
        build(home, state)
        assert home.described == [path_of(A)]
        assert ids(state) == {A, B, C}
        after = state.backfill()
        assert (after.status, after.watermark, after.done) == ("complete", path_of(A), 3)

    def test_what_changed_on_the_done_side_of_the_watermark_is_caught_up(self, home: Home, state: StateStore) -> None:
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        half_built(home, state, done=B)
        home.write(path_of(D), rollout(D))
        home.rename(path_of(C), archived_path(C))
        home.erase(path_of(B))
        build(home, state)
        assert ids(state) == {A, C, D}
        assert (row(state, C)).archived

    def test_a_complete_index_is_not_built_again(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        build(home, state)
        home.described.clear()
        again = build(home, state)
        assert (again.status, again.worked, again.done, again.found) == ("complete", False, 1, 1)
        assert home.described == []

    def test_of_two_workers_at_once_one_does_the_work(self, home: Home, state: StateStore) -> None:
        # peer case 233
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        results: list[BackfillResult] = []

        def work(owner: str) -> None:
            results.append(backfill(home.rollouts, state, owner=owner, now_ms=lambda: NOW_MS))

        together(lambda: work("one"), lambda: work("two"))
        assert [result.status for result in results] == ["complete", "complete"]
        assert sorted(result.worked for result in results) == [False, True]
        assert sorted(home.described) == sorted(path_of(key) for key in (A, B, C))

    def test_waiting_for_a_stuck_worker_is_bounded_and_says_so(self, home: Home, state: StateStore) -> None:
        # peer case 234
        home.write(path_of(A), rollout(A))
        state.claim_backfill("stuck", NOW_MS, HOUR_MS)
        result = build(home, state, wait_s=0, lease_ms=HOUR_MS)
        assert (result.status, result.worked) == ("waiting", False)
        assert ids(state) == set()
        assert (state.backfill()).owner == "stuck"

    def test_a_worker_that_died_is_taken_over_when_its_lease_has_run_out(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        state.claim_backfill("dead", NOW_MS - 1000, 1000)
        assert (build(home, state, lease_ms=1001, wait_s=0)).status == "waiting"
        assert (build(home, state, lease_ms=1000, wait_s=0)).worked
        assert ids(state) == {A}

    def test_a_worker_whose_process_is_gone_is_taken_over_at_once(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        gone = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], check=True, stdout=subprocess.PIPE
        )
        state.claim_backfill(f"{int(gone.stdout)}:worker", NOW_MS, HOUR_MS)
        assert (build(home, state, wait_s=0, lease_ms=HOUR_MS)).worked

    def test_a_worker_whose_process_lives_keeps_its_lease(self, home: Home, state: StateStore) -> None:
        state.claim_backfill(f"{os.getpid()}:worker", NOW_MS, HOUR_MS)
        assert (build(home, state, wait_s=0, lease_ms=HOUR_MS)).status == "waiting"

    def test_a_waiting_worker_takes_over_as_soon_as_the_lease_runs_out(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        state.claim_backfill("dead", NOW_MS, 1000)
        clock = iter(range(NOW_MS, NOW_MS + HOUR_MS, 600))
        result = backfill(home.rollouts, state, owner="here", now_ms=lambda: next(clock), lease_ms=1000)
        assert result.worked

    def test_a_worker_that_is_told_to_stop_gives_the_lease_back(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        stop = threading.Event()
        home.before_describe = stop.set
        result = backfill(home.rollouts, state, owner="here", now_ms=lambda: NOW_MS, stop=stop)
        assert (result.status, result.done) == ("waiting", 1)
        home.before_describe = None
        assert (state.backfill()).status == "pending"
        assert (build(home, state, wait_s=0)).worked

    def test_a_worker_that_lost_its_lease_stops(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))

        def lose() -> None:
            state.claim_backfill("rival", NOW_MS + HOUR_MS, 1)

        home.before_describe = lose
        assert (build(home, state, wait_s=0, lease_ms=2 * HOUR_MS)).status == "waiting"
        now = state.backfill()
        assert (now.status, now.owner, now.done) == ("running", "rival", 0)

    def test_of_two_files_with_one_id_the_active_one_has_the_row(self, home: Home, state: StateStore) -> None:
        home.write(archived_path(A), rollout(A, "archived copy"), mtime_ms=NOW_MS + HOUR_MS)
        home.write(path_of(A), rollout(A))
        build(home, state)
        assert (row(state, A)).path == path_of(A)

    def test_a_deleted_thread_does_not_come_back_with_its_file(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        state.commit(Change(tombstones=(A,)))
        build(home, state)
        assert ids(state) == set()


def half_built(home: Home, state: StateStore, done: str) -> None:
    """A build that stopped after the batch that ended with a thread's file."""
    state.claim_backfill("before", NOW_MS - HOUR_MS, 1)
    for file in home.rollouts.walk():
        if file.path >= path_of(done):
            state.commit(Change(threads=((home.rollouts.describe(file)).thread,)))
    found = BackfillState("running", path_of(done), "before", NOW_MS - HOUR_MS, done=2, found=3)
    state.checkpoint_backfill(found)
    home.described.clear()


def test_of_a_real_home_every_row_equals_its_file_and_the_edges_equal_the_tree(
    golden_home: Path, state: StateStore
) -> None:
    rollouts = RolloutFiles(golden_home)
    result = backfill(rollouts, state, owner="here", now_ms=lambda: NOW_MS)
    files, names = list(rollouts.walk()), rollouts.names()
    assert (result.status, result.found, result.damaged, result.bad_lines) == ("complete", len(files), (), 0)
    threads = [(rollouts.describe(file)).thread for file in files]
    assert state.get_many([one.id for one in threads]) == {
        one.id: replace(one, name=names.get(one.id)) for one in threads
    }
    tree = {one.id: parent for one in threads if (parent := spawn_parent(one.source))}
    edges = state.edges_below(tree.values())
    assert {edge.child_id: edge.parent_id for edge in edges} == tree
    assert len(tree) == 8
    assert state.counts([ThreadQuery(archived=True, with_preview=None)]) == [Count(5)]
    assert sorted(names.values()) == ["Golden Name L", "Golden Name P"]
    assert (sync(rollouts, state)).events == ()
