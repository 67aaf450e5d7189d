"""A read by id trusts a row that its file bears out, and repairs one that it doesn't."""

from __future__ import annotations

import homes
import pytest
from homes import A, B, C, D, Home, archived_path, ids, path_of, rollout, row, told
from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import DamagedRollout
from mcp_server.models.records import Change
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync.lookup import HomeFiles, IndexedFiles, UnindexedFiles
from mcp_server.sync.reconciler import sync

home, built = homes.home, homes.built


def lookup(home: Home, state: StateStore) -> IndexedFiles:
    return IndexedFiles(HomeFiles(home.rollouts), state)


class TestFind:
    def test_a_row_with_an_unchanged_file_is_trusted_without_reading(self, built: Home, state: StateStore) -> None:
        # peer case 255
        built.write(path_of(A).replace("/2026/01/02/", "/2026/05/05/"), rollout(A, "another with the id"))
        assert lookup(built, state).find(A) == row(state, A)
        assert built.described == []

    def test_a_changed_file_is_read_again_and_the_row_repaired(self, built: Home, state: StateStore) -> None:
        built.write(path_of(A), rollout(A, "grown"))
        found = lookup(built, state).find(A)
        assert found is not None
        assert (found.preview, found.name) == ("grown", "Named")
        assert row(state, A) == found

    def test_a_stale_path_falls_back_to_the_files_and_repairs_the_row(self, built: Home, state: StateStore) -> None:
        # peer case 214
        built.rename(path_of(A), archived_path(A))
        found = lookup(built, state).find(A)
        assert found is not None
        assert (found.path, found.archived, found.name) == (archived_path(A), True, "Named")
        assert row(state, A) == found
        assert told(tuple(state.events_after(0, limit=9))) == [("thread/archived", A)]

    def test_a_path_that_is_another_threads_falls_back_to_the_files_and_repairs_the_row(
        self, built: Home, state: StateStore
    ) -> None:
        # peer case 215
        state.commit(Change(threads=(replace(row(state, A), path=path_of(B)),)))
        built.write(path_of(B), rollout(B, "touched"))
        found = lookup(built, state).find(A)
        assert found is not None
        assert found.path == path_of(A)
        assert (row(state, A)).path == path_of(A)

    def test_a_missing_row_is_made_from_the_file(self, built: Home, state: StateStore) -> None:
        # peer cases 216, 256
        built.write(path_of(D), rollout(D))
        found = lookup(built, state).find(D)
        assert found is not None
        assert row(state, D) == found

    def test_a_row_may_name_a_file_with_an_unusual_name(self, built: Home, state: StateStore) -> None:
        # peer case 217
        unusual = "sessions/custom.jsonl"
        built.write(unusual, b"")
        file = built.rollouts.stat(unusual)
        assert file is not None
        moved = replace(row(state, A), path=unusual, stamp=file.stamp)
        built.erase(path_of(A))
        state.commit(Change(threads=(moved,)))
        assert lookup(built, state).find(A) == moved

    def test_a_row_whose_file_cannot_be_read_now_is_the_last_resort(self, built: Home, state: StateStore) -> None:
        before = row(state, A)
        built.write(path_of(A), b"")
        assert lookup(built, state).find(A) == before

    def test_a_readable_copy_is_better_than_a_row_whose_file_cannot_be_read(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(A), b"")
        built.write(archived_path(A), rollout(A))
        found = lookup(built, state).find(A)
        assert found is not None
        assert found.path == archived_path(A)

    def test_a_file_without_a_row_that_cannot_be_read_is_an_error(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), b"")
        with pytest.raises(DamagedRollout, match="failed to read thread: its file"):
            lookup(built, state).find(D)

    def test_a_row_without_any_file_is_removed(self, built: Home, state: StateStore) -> None:
        built.erase(path_of(A))
        assert lookup(built, state).find(A) is None
        assert ids(state) == {B, C}

    def test_a_file_named_for_another_thread_is_found_again_where_it_was_moved(
        self, built: Home, state: StateStore
    ) -> None:
        built.write(path_of(D), rollout(B, "B's under another name"))
        built.erase(path_of(B))
        sync(built.rollouts, state)
        built.rename(path_of(D), archived_path(D))
        found = lookup(built, state).find(B)
        assert found is not None
        assert found.path == archived_path(D)

    def test_a_file_that_only_is_named_for_the_thread_is_not_it(self, built: Home, state: StateStore) -> None:
        built.write(path_of(D), rollout(B))
        assert lookup(built, state).find(D) is None

    def test_an_unknown_thread_is_none(self, built: Home, state: StateStore) -> None:
        assert lookup(built, state).find(D) is None
        assert ids(state) == {A, B, C}

    def test_a_deleted_thread_is_none_whatever_lies_there(self, built: Home, state: StateStore) -> None:
        state.commit(Change(forgotten=(A,), tombstones=(A,)))
        assert lookup(built, state).find(A) is None
        assert built.described == []

    def test_a_thread_that_this_process_writes_is_told_but_its_row_left_alone(
        self, built: Home, state: StateStore
    ) -> None:
        before = row(state, A)
        built.write(path_of(A), rollout(A, "being written"))
        found = IndexedFiles(HomeFiles(built.rollouts, lambda: {A}), state).find(A)
        assert found is not None
        assert found.preview == "being written"
        assert row(state, A) == before

    def test_without_a_state_db_the_files_answer(self, built: Home) -> None:
        files = UnindexedFiles(HomeFiles(built.rollouts), MemoryState())
        found = files.find(A)
        assert found is not None
        assert (found.path, found.name) == (path_of(A), "Named")
        archived = files.find(C)
        assert archived is not None
        assert archived.archived
        assert files.find(D) is None


def paths_of(home: Home, state: StateStore, thread_ids: list[str]) -> dict[str, str | DamagedRollout | None]:
    found = lookup(home, state).find_rollouts(thread_ids)
    return {key: one.path if isinstance(one, RolloutRef) else one for key, one in found.items()}


class TestManyAtOnce:
    def test_rows_that_their_files_bear_out_are_taken_as_they_are(self, built: Home, state: StateStore) -> None:
        rows = {key: state.get(key) for key in (A, B, C)}
        assert lookup(built, state).find_many([A, B, C, D]) == ({**rows, D: None}, {})
        paths = {A: path_of(A), B: path_of(B), C: archived_path(C), D: None}
        assert paths_of(built, state, [A, B, C, D]) == paths
        assert built.described == []

    def test_a_row_whose_file_is_there_and_has_changed_is_not(self, built: Home, state: StateStore) -> None:
        built.write(path_of(A), rollout(D))  # another thread's, at the same path
        built.write(path_of(B), rollout(B, "changed"))
        assert paths_of(built, state, [A, B]) == {A: None, B: path_of(B)}
        built.write(path_of(B), rollout(B, "changed again"))
        found, _ = lookup(built, state).find_many([B])
        assert isinstance(changed := found[B], StoredThread)
        assert changed.preview == "changed again"

    def test_a_deleted_thread_is_not_found_though_its_file_is_there(self, built: Home, state: StateStore) -> None:
        state.commit(Change(forgotten=(A,), tombstones=(A,)))
        assert paths_of(built, state, [A, B]) == {A: None, B: path_of(B)}
