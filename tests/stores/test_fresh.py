"""Looks of several calls, and what each costs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import pytest
from homes import A, B, HomeOnDisk, archived_path, path_of, rollout

from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.reconciler import SyncReport
from tests.stores.test_glance import let_rest

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path) -> HomeOnDisk:
    return HomeOnDisk(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path, home: HomeOnDisk) -> Freshness:
    return Freshness(tmp_path, tmp_path, home.rollouts, None)


def nobody() -> Collection[str]:
    return ()


async def look(fresh: Freshness, state: StateStore) -> SyncReport | None:
    return await fresh.look(state, own=nobody)


async def test_what_is_no_thread_is_read_once(tmp_path: Path, home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    home.write(path_of(B), b"{}\n")
    await look(fresh, state)
    assert sorted(home.described) == [path_of(A), path_of(B)]
    (tmp_path / "sessions/2026/01/02/another").touch()
    await look(fresh, state)
    assert len(home.described) == 2
    home.write(path_of(B), rollout(B))
    await look(fresh, state)
    assert (await state.stamps()).keys() == {A, B}


async def test_a_look_at_a_home_where_nothing_happened_asks_the_index_for_nothing(
    tmp_path: Path, home: HomeOnDisk, fresh: Freshness
) -> None:
    home.write(path_of(A), rollout(A))
    state = MemoryState()
    await look(fresh, state)
    let_rest(tmp_path)
    await look(fresh, state)

    class Untouched(MemoryState):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"{name} is asked for")

    fresh._state = untouched = object.__new__(Untouched)  # pyright: ignore[reportPrivateUsage]
    assert await look(fresh, untouched) is None


async def test_calls_that_come_together_share_a_look_that_begins_after_them(home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    reports: list[SyncReport | None] = []

    async def one() -> None:
        reports.append(await look(fresh, state))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert [report.added for report in reports if report is not None] == [(A,)]
    assert fresh._begun == 1  # pyright: ignore[reportPrivateUsage]


async def test_a_rollout_that_is_moved_while_the_folders_are_looked_at_stays(
    home: HomeOnDisk, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    await look(fresh, state)
    glance = fresh._glance  # pyright: ignore[reportPrivateUsage]
    first, looks = glance.look, 0

    def moved_within(known: object) -> object:
        """The archive was looked at before the move, the folder of the day after it."""
        nonlocal looks
        looks += 1
        home.move(path_of(A), archived_path(A)) if looks == 1 else None
        seen = first(known)  # type: ignore[arg-type]
        if looks == 1:
            seen.listings[:] = [one for one in seen.listings if one.folder != "archived_sessions"]
        return seen

    monkeypatch.setattr(glance, "look", moved_within)
    report = await look(fresh, state)
    assert report is not None
    assert (report.moved, report.vanished) == ((A,), ())


async def test_the_threads_of_this_process_are_left_alone(home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    await fresh.look(state, own=lambda: [A])
    assert (await state.stamps(), home.described) == ({}, [])


async def test_a_look_that_fails_is_made_good_by_the_next(home: HomeOnDisk, fresh: Freshness) -> None:
    class Failing(MemoryState):
        failing = True

        async def commit(self, change: object) -> list[object]:  # type: ignore[override]
            if self.failing:
                raise StoreFailure("no room")
            return await super().commit(change)  # type: ignore[arg-type]

    state = Failing()
    home.write(path_of(A), rollout(A))
    assert await look(fresh, state) is None
    state.failing = False
    report = await look(fresh, state)
    assert report is not None
    assert report.added == (A,)
