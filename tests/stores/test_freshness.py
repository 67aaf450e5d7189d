"""Looks of several calls, and what each costs."""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path

import pytest
from homes import A, B, HomeOnDisk, archived_path, path_of, rollout, thread_id

from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.reconciler import SyncReport
from tests.stores.test_change_detector import let_rest
from tests.together import together


@pytest.fixture
def home(tmp_path: Path) -> HomeOnDisk:
    return HomeOnDisk(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path, home: HomeOnDisk) -> Freshness:
    return Freshness(tmp_path, tmp_path, home.rollouts, None)


def nobody() -> Collection[str]:
    return ()


def refresh(fresh: Freshness, state: StateStore) -> list[SyncReport]:
    return fresh.refresh(state, written_here=nobody)


def test_a_file_without_a_thread_is_read_once(tmp_path: Path, home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    home.write(path_of(B), b"{}\n")
    refresh(fresh, state)
    assert sorted(home.described) == [path_of(A), path_of(B)]
    (tmp_path / "sessions/2026/01/02/another").touch()
    refresh(fresh, state)
    assert len(home.described) == 2
    home.write(path_of(B), rollout(B))
    refresh(fresh, state)
    assert (state.known_rollouts()).keys() == {A, B}


def test_a_look_at_a_home_where_nothing_happened_asks_the_index_for_nothing(
    tmp_path: Path, home: HomeOnDisk, fresh: Freshness
) -> None:
    home.write(path_of(A), rollout(A))
    state = MemoryState()
    refresh(fresh, state)
    let_rest(tmp_path)
    refresh(fresh, state)

    class Untouched(MemoryState):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"{name} is asked for")

    fresh._state = untouched = object.__new__(Untouched)  # pyright: ignore[reportPrivateUsage]
    assert refresh(fresh, untouched) == []


class LockForAll:
    """A lock that nobody gets before so many have asked for it."""

    def __init__(self, number: int) -> None:
        self._lock, self._asked = threading.Lock(), threading.Barrier(number)

    def __enter__(self) -> None:
        self._asked.wait(30)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_calls_that_come_together_share_a_look_that_begins_after_them(home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    fresh._lock = LockForAll(5)  # type: ignore[assignment] # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    reports = [report for reports in together(*[lambda: refresh(fresh, state)] * 5) for report in reports]
    assert [report.added for report in reports] == [(A,)]
    assert fresh._begun == 1  # pyright: ignore[reportPrivateUsage]


def test_a_rollout_that_is_moved_while_the_folders_are_looked_at_stays(
    home: HomeOnDisk, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    refresh(fresh, state)
    detector = fresh._detector  # pyright: ignore[reportPrivateUsage]
    first, looks = detector.detect, 0

    def moved_within(known: object) -> object:
        """The archive was looked at before the move, the folder of the day after it."""
        nonlocal looks
        looks += 1
        home.rename(path_of(A), archived_path(A)) if looks == 1 else None
        seen = first(known)  # type: ignore[arg-type]
        if looks == 1:
            seen.listings[:] = [one for one in seen.listings if one.folder != "archived_sessions"]
        return seen

    monkeypatch.setattr(detector, "detect", moved_within)
    reports = refresh(fresh, state)
    assert [(report.moved, report.vanished) for report in reports] == [((A,), ()), ((), ())]


def test_the_threads_of_this_process_are_left_alone(home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    fresh.refresh(state, written_here=lambda: [A])
    assert (state.known_rollouts(), home.described) == ({}, [])


def test_a_look_that_fails_is_made_good_by_the_next(home: HomeOnDisk, fresh: Freshness) -> None:
    class Failing(MemoryState):
        failing = True

        def commit(self, change: object) -> list[object]:  # type: ignore[override]
            if self.failing:
                raise StoreFailure("no room")
            return super().commit(change)  # type: ignore[arg-type]

    state = Failing()
    home.write(path_of(A), rollout(A))
    assert refresh(fresh, state) == []
    state.failing = False
    assert [report.added for report in refresh(fresh, state)] == [(A,)]


def test_a_refresh_that_runs_out_of_time_indexes_the_newest_files_first(tmp_path: Path, home: HomeOnDisk) -> None:
    fresh, state = Freshness(tmp_path, tmp_path, home.rollouts, None, batch_files=2, seconds=0.0), MemoryState()
    ids = [thread_id(n) for n in range(5)]
    for n, key in enumerate(ids):
        home.write(path_of(key).replace("/02/", f"/0{n + 1}/"), rollout(key))
    seen: list[set[str]] = []
    for _ in range(3):
        refresh(fresh, state)
        seen.append(set(state.known_rollouts()))
    assert seen == [set(ids[3:]), set(ids[1:]), set(ids)]
