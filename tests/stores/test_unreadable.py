"""What can't be read is remembered: told without a second reading, and tried again when that may help."""

from __future__ import annotations

from typing import Any

import homes
import pytest
from homes import A, B, D, E, Home, build, ids, path_of, rollout
from msgspec.structs import replace

from mcp_server.codex.files import BadLine, RolloutRef
from mcp_server.errors import NotStorable, StoreFailure
from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change, Unreadable
from mcp_server.models.thread import FileStamp
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.doctor import examine, repair
from mcp_server.sync.reconciler import sync
from tests.stores.databases import run_sql

home, built = homes.home, homes.built

STAMP = FileStamp(1, 2)


def test_notes_of_unreadable_files_come_by_path_and_replace_older_ones(state: StateStore) -> None:
    first, second = Unreadable("sessions/b", STAMP, 5, "is odd"), Unreadable("sessions/a", None, 0, "can't be read")
    state.note_unreadable([first, second])
    assert state.unreadable() == [second, first]
    state.note_unreadable([replace(first, reason="is odder")], ["sessions/a", "sessions/none"])
    assert state.unreadable() == [replace(first, reason="is odder")]


def test_a_first_build_remembers_what_it_could_not_read(home: Home, state: StateStore) -> None:
    home.write(path_of(A), rollout(A))
    home.write(path_of(E), b"{nope\n")
    build(home, state)
    (told,) = state.unreadable()
    assert (told.path, told.byte, told.reason) == (path_of(E), 0, "holds no readable line")
    assert told.stamp is not None


def test_an_unreadable_file_is_not_read_again_until_it_changes(built: Home, state: StateStore) -> None:
    built.write(path_of(E), b"{nope\n")
    assert [bad.path for bad in (sync(built.rollouts, state)).damaged] == [path_of(E)]
    built.described.clear()
    sync(built.rollouts, state)
    assert built.described == []
    built.write(path_of(E), rollout(E))
    assert (sync(built.rollouts, state)).added == (E,)
    assert state.unreadable() == []


def test_an_unreadable_file_that_is_gone_is_forgotten(built: Home, state: StateStore) -> None:
    built.write(path_of(E), b"{nope\n")
    sync(built.rollouts, state)
    built.erase(path_of(E))
    sync(built.rollouts, state)
    assert state.unreadable() == []


def test_a_row_whose_file_became_unreadable_stays_and_is_reported_as_stale(built: Home, state: StateStore) -> None:
    built.write(path_of(A), b"{nope\n")
    sync(built.rollouts, state)
    assert A in ids(state)
    report = examine(built.rollouts, state, MemoryLocks())
    assert [(row.thread_id, row.reason) for row in report.stale] == [(A, "changed")]
    assert [bad.path for bad in report.malformed] == [path_of(A)]


def test_a_file_that_the_system_refused_is_tried_again_at_each_sync(
    built: Home, state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(files: list[RolloutRef]) -> list[BadLine]:
        return [BadLine(file.path, 0, "can't be read: Permission denied", transient=True) for file in files]

    built.write(path_of(D), rollout(D))
    with monkeypatch.context() as patched:
        patched.setattr(built, "describe_many", refused)
        sync(built.rollouts, state)
    assert [(one.path, one.stamp) for one in state.unreadable()] == [(path_of(D), None)]
    assert (sync(built.rollouts, state)).added == (D,)
    assert state.unreadable() == []


@pytest.mark.parametrize("again", ["a repair", "a new build"])
def test_unreadable_files_are_tried_again_by_a_repair_and_a_rebuild(again: str, built: Home, state: StateStore) -> None:
    built.write(path_of(E), b"{nope\n")
    sync(built.rollouts, state)
    built.described.clear()
    if again == "a repair":
        repair(built.rollouts, state, MemoryLocks())
    else:
        state.reopen_backfill()
        build(built, state)
    assert path_of(E) in built.described
    assert [one.path for one in state.unreadable()] == [path_of(E)]


def test_an_examination_reports_remembered_files_without_reading_them(built: Home, state: StateStore) -> None:
    built.write(path_of(E), b"{nope\n")
    sync(built.rollouts, state)
    built.described.clear()
    report = examine(built.rollouts, state, MemoryLocks())
    assert [(bad.path, bad.reason) for bad in report.malformed] == [(path_of(E), "holds no readable line")]
    assert report.in_step
    assert built.described == []


def test_a_reader_that_reads_more_tries_again_what_an_older_one_could_not(built: Home, state: StateStore) -> None:
    if not isinstance(state, StateDb):
        pytest.skip("memory outlives no version")
    built.write(path_of(E), b"{nope\n")
    sync(built.rollouts, state)
    run_sql(state.path, "UPDATE unreadable SET reader = reader - 1")
    built.described.clear()
    sync(built.rollouts, state)
    assert built.described == [path_of(E)]


# ---------------------------------------------------------------------------------------------- rows that don't fit


class Choosy(MemoryState):
    """Refuses every change that holds one thread, as a database does that has no room for one of its values."""

    def __init__(self, refused: str, failure: StoreFailure) -> None:
        super().__init__()
        self.refused, self.failure = refused, failure
        self.commits = 0

    def commit(self, change: Change) -> list[ThreadEvent]:
        self.commits += 1
        if self.refused in {thread.id for thread in (*change.threads, *change.observed)}:
            raise self.failure
        return super().commit(change)


def test_of_a_batch_that_does_not_fit_each_row_is_tried_and_the_bad_one_remembered(home: Home) -> None:
    for key in (A, B, D):
        home.write(path_of(key), rollout(key))
    state = Choosy(B, NotStorable("a number is too large"))
    report = sync(home.rollouts, state)
    assert set(report.added) == {A, D}
    assert [bad.path for bad in report.damaged] == [path_of(B)]
    (told,) = state.unreadable()
    assert (told.path, "a number is too large" in told.reason) == (path_of(B), True)
    assert (sync(home.rollouts, state)).damaged == ()


def test_a_database_that_fails_is_asked_once_for_the_whole_batch(home: Home) -> None:
    for key in (A, B, D):
        home.write(path_of(key), rollout(key))
    state = Choosy(B, StoreFailure("the disk is full"))
    with pytest.raises(StoreFailure, match="full"):
        sync(home.rollouts, state)
    assert state.commits == 1


class TestStateDb:
    @pytest.fixture
    def db(self, state: StateStore) -> StateDb:
        if not isinstance(state, StateDb):
            pytest.skip("a store in memory has room for any value")
        return state

    @pytest.mark.parametrize(
        "odd",
        [
            {"created_at_ms": 2**63},
            {"preview": "\ud800"},
            {"cwd": None},
            {"cwd": ["/"]},
            {"stamp": FileStamp(2**64, 0)},
        ],
        ids=str,
    )
    def test_a_value_without_room_in_its_column_is_reported_and_nothing_of_its_change_is_kept(
        self, built: Home, db: StateDb, odd: dict[str, Any]
    ) -> None:
        good, bad = [homes.row(db, key) for key in (A, B)]
        with pytest.raises(NotStorable):
            db.commit(Change(threads=(replace(good, preview="changed"), replace(bad, **odd))))
        assert not db.damaged
        assert (homes.row(db, A)).preview == good.preview
        db.commit(Change(threads=(replace(good, preview="changed"),)))
        assert (homes.row(db, A)).preview == "changed"


def test_a_file_that_makes_the_reader_fail_is_reported_and_costs_no_other(
    home: Home, state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_server.codex import metadata

    real = metadata.recorded_time_ms

    def failing(text: str) -> int | None:
        if text == "make it fail":
            raise ZeroDivisionError("a mistake of ours")
        return real(text)

    monkeypatch.setattr(metadata, "recorded_time_ms", failing)
    home.write(path_of(A), rollout(A))
    home.write(path_of(E), rollout(E).replace(b"2026-01-02T03:04:05.000Z", b"make it fail"))
    build(home, state)
    assert ids(state) == {A}
    (told,) = state.unreadable()
    assert "a mistake of ours" in told.reason
