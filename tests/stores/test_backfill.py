"""The first build of the index: complete, resumable, and done by one worker at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import homes
import pytest
from homes import HOUR_MS, NOW_MS, A, B, BadLog, C, D, Home, archived_path, build, ids, path_of, rollout, row, spawned
from msgspec.structs import replace

from mcp_server.models.records import BackfillState, Change, SpawnEdge
from mcp_server.models.thread import spawn_parent
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.query import Count, ThreadQuery
from mcp_server.sync import upsert as adopt
from mcp_server.sync.reconciler import BackfillResult, backfill, sync

pytestmark = pytest.mark.anyio
home, golden_home = homes.home, homes.golden_home


class TestBackfill:
    async def test_the_index_is_complete_before_it_returns(self, home: Home, state: StateStore) -> None:
        # peer case 198
        home.write(path_of(A), rollout(A))
        result = await build(home, state)
        assert (result.status, result.worked, result.done, result.found) == ("complete", True, 1, 1)
        assert (await row(state, A)).path == path_of(A)
        assert (await state.backfill()).status == "complete"
        assert (await state.backfill()).completed_at_ms == NOW_MS

    async def test_an_empty_home_is_complete_at_once(self, home: Home, state: StateStore) -> None:
        assert await build(home, state) == BackfillResult("complete", worked=True)
        assert (await state.backfill()).watermark is None

    async def test_rows_tell_active_from_archived(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(archived_path(B), rollout(B))
        await build(home, state)
        assert [(await row(state, key)).archived for key in (A, B)] == [False, True]
        archived = await row(state, B)
        assert archived.archived_at_ms == archived.updated_at_ms

    async def test_it_makes_no_events(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(archived_path(B), rollout(B))
        home.name(A, "Named")
        await build(home, state)
        assert await state.last_seq() == 0

    async def test_names_are_applied(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.name(A, "First")
        home.name(A, "Second")
        await build(home, state)
        assert (await row(state, A)).name == "Second"
        assert await state.names_stamp() == await home.rollouts.names_stamp()

    async def test_a_second_source_of_names_counts_more_than_the_index_file(
        self, home: Home, state: StateStore
    ) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), rollout(B))
        home.name(A, "ours")

        async def more(_: object = None) -> dict[str, str]:
            return {A: "theirs", B: "only theirs"}

        await build(home, state, more_names=more)
        assert [(await row(state, key)).name for key in (A, B)] == ["theirs", "only theirs"]

    async def test_edges_follow_from_the_sources(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), rollout(B, source=spawned(A)))
        await build(home, state)
        assert await state.edges_above(B) == [SpawnEdge(A, B, "open")]
        assert await state.edges_above(A) == []

    async def test_an_edge_known_as_closed_stays_closed(self, home: Home, state: StateStore) -> None:
        home.write(path_of(B), rollout(B, source=spawned(A)))

        async def closed() -> list[SpawnEdge]:
            return [SpawnEdge(A, B, "closed")]

        await build(home, state, closed_edges=closed)
        assert await state.edges_above(B) == [SpawnEdge(A, B, "closed")]

    async def test_damaged_files_are_reported_and_do_not_keep_it_from_completing(
        self, home: Home, state: StateStore
    ) -> None:
        home.write(path_of(A), rollout(A))
        home.write(path_of(B), b"")
        good = rollout(C)
        home.write(path_of(C), good + b"no json\n")
        bad = BadLog()
        result = await build(home, state, sink=bad)
        assert result.status == "complete"
        assert [line.path for line in result.damaged] == [path_of(B)]
        assert result.bad_lines == 1
        assert await ids(state) == {A, C}
        assert {(line.path, line.offset) for line in bad.lines} == {(path_of(B), 0), (path_of(C), len(good))}
        assert home.described.count(path_of(B)) == 1

    async def test_progress_counts_up_to_what_was_found(
        self, home: Home, state: StateStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adopt, "BATCH_ROWS", 2)
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        seen: list[tuple[int, int]] = []

        def progress(done: int, found: int) -> None:
            seen.append((done, found))

        await build(home, state, progress=progress)
        assert seen == [(0, 3), (2, 3), (3, 3)]

    async def test_the_newest_threads_come_first_and_archived_ones_last(self, home: Home, state: StateStore) -> None:
        for path, key in ((path_of(A), A), (path_of(B), B), (archived_path(C), C)):
            home.write(path, rollout(key))
        await build(home, state)
        assert home.described == [path_of(B), path_of(A), archived_path(C)]

    async def test_it_resumes_behind_the_watermark(self, home: Home, state: StateStore) -> None:
        # peer case 239
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        await half_built(home, state, done=B)
        await build(home, state)
        assert home.described == [path_of(A)]
        assert await ids(state) == {A, B, C}
        after = await state.backfill()
        assert (after.status, after.watermark, after.done) == ("complete", path_of(A), 3)

    async def test_what_changed_on_the_done_side_of_the_watermark_is_caught_up(
        self, home: Home, state: StateStore
    ) -> None:
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        await half_built(home, state, done=B)
        home.write(path_of(D), rollout(D))
        home.move(path_of(C), archived_path(C))
        home.erase(path_of(B))
        await build(home, state)
        assert await ids(state) == {A, C, D}
        assert (await row(state, C)).archived

    async def test_a_complete_index_is_not_built_again(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        await build(home, state)
        home.described.clear()
        again = await build(home, state)
        assert (again.status, again.worked, again.done, again.found) == ("complete", False, 1, 1)
        assert home.described == []

    async def test_of_two_workers_at_once_one_does_the_work(self, home: Home, state: StateStore) -> None:
        # peer case 233
        for key in (A, B, C):
            home.write(path_of(key), rollout(key))
        results: list[BackfillResult] = []

        async def work(owner: str) -> None:
            results.append(await backfill(home.rollouts, state, owner=owner, now_ms=lambda: NOW_MS))

        async with anyio.create_task_group() as group:
            group.start_soon(work, "one")
            group.start_soon(work, "two")
        assert [result.status for result in results] == ["complete", "complete"]
        assert sorted(result.worked for result in results) == [False, True]
        assert sorted(home.described) == sorted(path_of(key) for key in (A, B, C))

    async def test_waiting_for_a_stuck_worker_is_bounded_and_says_so(self, home: Home, state: StateStore) -> None:
        # peer case 234
        home.write(path_of(A), rollout(A))
        await state.claim_backfill("stuck", NOW_MS, HOUR_MS)
        result = await build(home, state, wait_s=0, lease_ms=HOUR_MS)
        assert (result.status, result.worked) == ("waiting", False)
        assert await ids(state) == set()
        assert (await state.backfill()).owner == "stuck"

    async def test_a_worker_that_died_is_taken_over_when_its_lease_has_run_out(
        self, home: Home, state: StateStore
    ) -> None:
        home.write(path_of(A), rollout(A))
        await state.claim_backfill("dead", NOW_MS - 1000, 1000)
        assert (await build(home, state, lease_ms=1001, wait_s=0)).status == "waiting"
        assert (await build(home, state, lease_ms=1000, wait_s=0)).worked
        assert await ids(state) == {A}

    async def test_a_worker_whose_process_is_gone_is_taken_over_at_once(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        gone = await anyio.run_process([sys.executable, "-c", "import os; print(os.getpid())"])
        await state.claim_backfill(f"{int(gone.stdout)}:worker", NOW_MS, HOUR_MS)
        assert (await build(home, state, wait_s=0, lease_ms=HOUR_MS)).worked

    async def test_a_worker_whose_process_lives_keeps_its_lease(self, home: Home, state: StateStore) -> None:
        await state.claim_backfill(f"{os.getpid()}:worker", NOW_MS, HOUR_MS)
        assert (await build(home, state, wait_s=0, lease_ms=HOUR_MS)).status == "waiting"

    async def test_a_waiting_worker_takes_over_as_soon_as_the_lease_runs_out(
        self, home: Home, state: StateStore
    ) -> None:
        home.write(path_of(A), rollout(A))
        await state.claim_backfill("dead", NOW_MS, 1000)
        clock = iter(range(NOW_MS, NOW_MS + HOUR_MS, 600))
        result = await backfill(home.rollouts, state, owner="here", now_ms=lambda: next(clock), lease_ms=1000)
        assert result.worked

    async def test_a_cancelled_worker_gives_the_lease_back(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        with anyio.CancelScope() as scope:

            async def cancel() -> None:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

            home.before_describe = cancel
            await build(home, state)
        home.before_describe = None
        assert (await state.backfill()).status == "pending"
        assert (await build(home, state, wait_s=0)).worked

    async def test_a_worker_that_lost_its_lease_stops(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))

        async def lose() -> None:
            await state.claim_backfill("rival", NOW_MS + HOUR_MS, 1)

        home.before_describe = lose
        assert (await build(home, state, wait_s=0, lease_ms=2 * HOUR_MS)).status == "waiting"
        now = await state.backfill()
        assert (now.status, now.owner, now.done) == ("running", "rival", 0)

    async def test_of_two_files_with_one_id_the_active_one_has_the_row(self, home: Home, state: StateStore) -> None:
        home.write(archived_path(A), rollout(A, "archived copy"), mtime_ms=NOW_MS + HOUR_MS)
        home.write(path_of(A), rollout(A))
        await build(home, state)
        assert (await row(state, A)).path == path_of(A)

    async def test_a_deleted_thread_does_not_come_back_with_its_file(self, home: Home, state: StateStore) -> None:
        home.write(path_of(A), rollout(A))
        await state.commit(Change(tombstones=(A,)))
        await build(home, state)
        assert await ids(state) == set()


async def half_built(home: Home, state: StateStore, done: str) -> None:
    """A build that stopped after the batch that ended with a thread's file."""
    await state.claim_backfill("before", NOW_MS - HOUR_MS, 1)
    for file in await home.rollouts.files():
        if file.path >= path_of(done):
            await state.commit(Change(threads=((await home.rollouts.describe(file)).thread,)))
    found = BackfillState("running", path_of(done), "before", NOW_MS - HOUR_MS, done=2, found=3)
    await state.checkpoint_backfill(found)
    home.described.clear()


async def test_of_a_real_home_every_row_equals_its_file_and_the_edges_equal_the_tree(
    golden_home: Path, state: StateStore
) -> None:
    rollouts = RolloutFiles(golden_home)
    result = await backfill(rollouts, state, owner="here", now_ms=lambda: NOW_MS)
    files, names = await rollouts.files(), await rollouts.names()
    assert (result.status, result.found, result.damaged, result.bad_lines) == ("complete", len(files), (), 0)
    threads = [(await rollouts.describe(file)).thread for file in files]
    assert await state.get_many([one.id for one in threads]) == {
        one.id: replace(one, name=names.get(one.id)) for one in threads
    }
    tree = {one.id: parent for one in threads if (parent := spawn_parent(one.source))}
    edges = (await state.trees_with_files(tree.values(), lambda _: {})).edges
    assert {edge.child_id: edge.parent_id for edge in edges} == tree
    assert len(tree) == 8
    assert await state.counts([ThreadQuery(archived=True, with_preview=None)]) == [Count(5)]
    assert sorted(names.values()) == ["Golden Name L", "Golden Name P"]
    assert (await sync(rollouts, state)).events == ()
