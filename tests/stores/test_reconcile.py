"""The index follows the files: what a sync makes of what others did to them."""

from __future__ import annotations

import anyio
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
from mcp_server.sync import upsert as adopt
from mcp_server.sync.reconciler import sync, sync_paths

pytestmark = pytest.mark.anyio
home, built = homes.home, homes.built


class TestSync:
    async def test_without_changes_nothing_is_read_and_nothing_said(self, built: Home, state: StateStore) -> None:
        report = await sync(built.rollouts, state)
        assert report == type(report)()
        assert built.described == []

    async def test_a_new_file_gets_a_row_a_name_and_an_event(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D, "hello", source=spawned(A)))
        built.name(D, "Fresh")
        report = await sync(built.rollouts, state)
        assert report.added == (D,)
        assert told(report.events) == [("thread/started", D)]
        assert ((await row(state, D)).preview, (await row(state, D)).name) == ("hello", "Fresh")
        assert await state.edges_above(D) == [SpawnEdge(A, D)]
        assert built.described == [path_of(D)]

    async def test_a_changed_file_is_read_again(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(B, "something else"))
        report = await sync(built.rollouts, state)
        assert report.changed == (B,)
        assert (await row(state, B)).preview == "something else"
        assert built.described == [path_of(B)]

    async def test_a_changed_file_keeps_the_explicit_name_of_its_thread(self, built: Home, state: StateStore) -> None:
        # peer case 235
        built.write(path_of(A), rollout(A, "the first message"))
        await sync(built.rollouts, state)
        assert ((await row(state, A)).name, (await row(state, A)).preview) == ("Named", "the first message")

    async def test_only_a_change_of_the_name_index_changes_the_name_of_a_row(
        self, built: Home, state: StateStore
    ) -> None:
        await state.apply_names({A: "Newer"}, await built.rollouts.names_stamp())
        built.write(path_of(A), rollout(A, "changed"))
        await sync(built.rollouts, state)
        assert (await row(state, A)).name == "Newer"

    async def test_files_archived_and_unarchived_by_others_are_announced(self, built: Home, state: StateStore) -> None:
        built.move(path_of(A), archived_path(A))
        built.move(archived_path(C), path_of(C))
        report = await sync(built.rollouts, state)
        assert sorted(report.moved) == [A, C]
        assert sorted(told(report.events)) == [("thread/archived", A), ("thread/unarchived", C)]
        assert [(await row(state, key)).path for key in (A, C)] == [archived_path(A), path_of(C)]
        assert (await row(state, C)).archived_at_ms is None

    async def test_a_change_is_announced_once_however_many_sync(self, built: Home, state: StateStore) -> None:
        built.move(path_of(A), archived_path(A))

        async def work() -> None:
            await sync(built.rollouts, state)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(work)
        events = await state.events_after(0, limit=10)
        assert told(tuple(events)) == [("thread/archived", A)]

    async def test_a_row_whose_file_is_gone_is_dropped(self, built: Home, state: StateStore) -> None:
        # peer case 206
        built.erase(path_of(B))
        report = await sync(built.rollouts, state)
        assert report.vanished == (B,)
        assert await ids(state) == {A, C}

    async def test_a_row_with_a_stale_path_is_pointed_to_the_real_one(self, built: Home, state: StateStore) -> None:
        # peer case 207
        elsewhere = path_of(B).replace("/2026/01/02/", "/2025/12/31/")
        built.move(path_of(B), elsewhere)
        report = await sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((B,), ())
        assert (await row(state, B)).path == elsewhere

    async def test_a_quiet_sync_writes_rows_without_events(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))
        built.move(path_of(A), archived_path(A))
        report = await sync(built.rollouts, state, quiet=True)
        assert (report.added, report.moved, report.events) == ((D,), (A,), ())
        assert await state.last_seq() == 0

    async def test_names_given_behind_our_back_are_taken_over(self, built: Home, state: StateStore) -> None:
        built.name(B, "By Codex")
        report = await sync(built.rollouts, state)
        assert told(report.events) == [("thread/name/updated", B)]
        assert [(await row(state, key)).name for key in (A, B)] == ["Named", "By Codex"]
        assert built.described == []

    async def test_names_are_not_read_again_while_their_file_is_unchanged(self, built: Home, state: StateStore) -> None:
        await state.apply_names({}, await built.rollouts.names_stamp())
        assert not (await sync(built.rollouts, state)).names_applied
        assert (await row(state, A)).name is None

    async def test_a_row_goes_by_the_id_inside_the_file_not_by_its_name(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(B, "B's under another name"))
        built.erase(path_of(B))
        report = await sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((B,), ())
        assert (await row(state, B)).path == path_of(D)
        assert await state.get(D) is None
        assert await sync(built.rollouts, state) == type(report)()

    async def test_a_row_whose_file_now_carries_another_id_is_dropped(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(D))
        report = await sync(built.rollouts, state)
        assert (report.added, report.vanished) == ((D,), (B,))

    async def test_a_copy_takes_the_row_when_the_first_file_is_gone(self, built: Home, state: StateStore) -> None:
        copy = path_of(A).replace("/2026/01/02/", "/2026/05/05/")
        built.write(copy, rollout(A))
        await sync(built.rollouts, state)
        built.erase(path_of(A))
        assert (await sync(built.rollouts, state)).moved == (A,)
        assert (await row(state, A)).path == copy

    async def test_the_rollout_of_the_last_revert_has_the_row(self, built: Home, state: StateStore) -> None:
        """However old its file is, and wherever the others lie; these are not read again while it is there."""
        first, last = path_of(f"{A}_{B}"), path_of(f"{A}_{C}")
        built.write(last, rollout(A, "reverted twice"), mtime_ms=NOW_MS - HOUR_MS)
        built.write(first, rollout(A, "reverted once"))
        report = await sync(built.rollouts, state)
        assert (report.moved, told(report.events)) == ((A,), [("thread/reverted", A)])
        built.move(last, archived_path(f"{A}_{C}"))
        assert told((await sync(built.rollouts, state)).events) == [("thread/archived", A)]
        assert ((await row(state, A)).preview, (await row(state, A)).archived) == ("reverted twice", True)
        built.described.clear()
        await sync(built.rollouts, state)
        assert built.described == []
        built.erase(archived_path(f"{A}_{C}"))
        await sync(built.rollouts, state)
        assert (await row(state, A)).path == first

    async def test_a_damaged_file_is_reported_and_its_row_stays(self, built: Home, state: StateStore) -> None:
        before = await row(state, A)
        built.write(path_of(A), b"torn")
        bad = BadLog()
        report = await sync(built.rollouts, state, sink=bad)
        assert [line.path for line in report.damaged] == [path_of(A)] == [line.path for line in bad.lines]
        assert await row(state, A) == before

    async def test_threads_that_this_process_writes_are_left_to_their_owner(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(D), rollout(D))
        built.erase(path_of(A))
        report = await sync(built.rollouts, state, own=lambda: {A, D})
        assert (report.added, report.vanished) == ((), ())
        assert await ids(state) == {A, B, C}

    async def test_a_deleted_thread_that_was_written_again_stays_deleted(self, built: Home, state: StateStore) -> None:
        await state.commit(Change(forgotten=(A,), tombstones=(A,)))
        report = await sync(built.rollouts, state)
        assert report.added == ()
        assert await ids(state) == {B, C}

    async def test_when_a_file_was_archived_the_row_keeps_the_time_it_has(self, built: Home, state: StateStore) -> None:
        await state.commit(Change(threads=(replace(await row(state, C), archived_at_ms=NOW_MS + 5),)))
        built.write(archived_path(C), rollout(C, "with git metadata"))
        await sync(built.rollouts, state)
        assert (await row(state, C)).archived_at_ms == NOW_MS + 5

    async def test_many_new_files_all_get_their_rows_batch_by_batch(
        self, home: Home, state: StateStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adopt, "BATCH_ROWS", 4)
        keys = [thread_id(n) for n in range(11)]
        for key in keys:
            home.write(path_of(key), rollout(key))
        assert sorted((await sync(home.rollouts, state)).added) == keys
        assert await ids(state) == set(keys)


class TestWhatOthersDoMeanwhile:
    async def test_a_file_moved_after_it_was_read_keeps_the_row_that_its_mover_wrote(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(A), rollout(A, "changed"))

        async def archive() -> None:
            built.after_describe = None
            built.move(path_of(A), archived_path(A))
            file = await built.rollouts.stat(archived_path(A))
            assert file is not None
            moved = replace(await row(state, A), path=file.path, stamp=file.stamp, archived=True)
            await state.commit(Change(threads=(moved,)))

        built.after_describe = archive
        report = await sync(built.rollouts, state)
        assert (report.moved, report.vanished, report.events) == ((), (), ())
        assert (await row(state, A)).path == archived_path(A)

    async def test_a_file_removed_before_it_was_read_is_not_damaged(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))

        async def remove() -> None:
            built.before_describe = None
            built.erase(path_of(D))

        built.before_describe = remove
        report = await sync(built.rollouts, state)
        assert report == type(report)()

    async def test_a_file_moved_while_the_folders_were_walked_is_not_lost(self, built: Home, state: StateStore) -> None:
        built.move(path_of(A), archived_path(A))
        built.overlooked = {archived_path(A)}
        report = await sync(built.rollouts, state)
        assert (report.moved, report.vanished) == ((A,), ())

    async def test_a_file_that_a_listing_overlooked_is_not_dropped(self, built: Home, state: StateStore) -> None:
        built.overlooked = {path_of(A)}
        assert (await sync(built.rollouts, state)).vanished == ()
        assert await ids(state) == {A, B, C}


class TestSyncPaths:
    async def test_only_the_given_paths_are_looked_at(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(D))
        built.write(path_of(B), rollout(B, "also changed"))
        report = await sync_paths(built.rollouts, state, [path_of(D)])
        assert (report.added, report.changed) == ((D,), ())
        assert built.described == [path_of(D)]

    async def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(B), rollout(B, "changed"))
        report = await sync_paths(built.rollouts, state, [path_of(A), path_of(B)])
        assert report.changed == (B,)
        assert built.described == [path_of(B)]

    @pytest.mark.parametrize("seen", [[path_of(A)], [archived_path(A)], [path_of(A), archived_path(A)]])
    async def test_a_move_is_understood_from_either_end(self, built: Home, state: StateStore, seen: list[str]) -> None:
        built.move(path_of(A), archived_path(A))
        report = await sync_paths(built.rollouts, state, seen)
        assert (report.moved, report.vanished) == ((A,), ())
        assert told(report.events) == [("thread/archived", A)]

    async def test_a_revert_is_seen_by_its_path_alone(self, built: Home, state: StateStore) -> None:
        built.write(path_of(f"{A}_{B}"), rollout(A, "reverted"))
        report = await sync_paths(built.rollouts, state, [path_of(f"{A}_{B}")])
        assert told(report.events) == [("thread/reverted", A)]
        assert (await row(state, A)).path == path_of(f"{A}_{B}")

    async def test_a_file_that_is_gone_takes_its_row_with_it(self, built: Home, state: StateStore) -> None:
        built.erase(path_of(A))
        assert (await sync_paths(built.rollouts, state, [path_of(A)])).vanished == (A,)
        assert await ids(state) == {B, C}

    async def test_a_file_that_carries_another_id_now_loses_its_old_row(self, built: Home, state: StateStore) -> None:
        built.write(path_of(B), rollout(D))
        report = await sync_paths(built.rollouts, state, [path_of(B)])
        assert (report.added, report.vanished) == ((D,), (B,))

    async def test_names_are_taken_over_when_their_file_changes(self, built: Home, state: StateStore) -> None:
        built.name(B, "By Codex")
        report = await sync_paths(built.rollouts, state, ["session_index.jsonl"])
        assert told(report.events) == [("thread/name/updated", B)]
        assert report.damaged == ()

    async def test_paths_that_are_no_rollouts_are_ignored(self, built: Home, state: StateStore) -> None:
        strange = ["", "../outside.jsonl", "sessions", "config.toml", "sessions/2026/01/02/.rollout.tmp"]
        report = await sync_paths(built.rollouts, state, strange)
        assert report == type(report)()

    async def test_a_whole_cascade_is_understood_from_its_paths(self, built: Home, state: StateStore) -> None:
        many = await self.moved_away(built, state)
        paths = [path for key in many for path in (path_of(key), archived_path(key))]
        report = await sync_paths(built.rollouts, state, paths)
        assert set(report.moved) == set(many)
        assert set(built.described) == {archived_path(key) for key in many}

    async def test_where_very_many_threads_went_is_found_by_a_sync_of_everything(
        self, built: Home, state: StateStore
    ) -> None:
        many = await self.moved_away(built, state)
        built.write(path_of(D), rollout(D))
        report = await sync_paths(built.rollouts, state, [path_of(key) for key in many])
        assert (set(report.moved), report.added) == (set(many), (D,))

    async def test_what_the_rows_tell_already_is_not_read_again(self, built: Home, state: StateStore) -> None:
        many = await self.moved_away(built, state)
        await sync(built.rollouts, state)
        built.described.clear()
        paths = [path for key in many for path in (path_of(key), archived_path(key))]
        report = await sync_paths(built.rollouts, state, paths)
        assert (report, built.described) == (type(report)(), [])

    async def moved_away(self, built: Home, state: StateStore) -> list[str]:
        """More threads than are searched for one by one, archived behind the back of the index."""
        many = [thread_id(number) for number in range(100, 200)]
        for key in many:
            built.write(path_of(key), rollout(key))
        await sync(built.rollouts, state)
        for key in many:
            built.move(path_of(key), archived_path(key))
        built.described.clear()
        return many
