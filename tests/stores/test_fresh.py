"""Looks of several calls, and what each costs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import anyio
import pytest
from homes import A, B, HomeOnDisk, archived_path, path_of, rollout, thread_id

from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync import freshness
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


async def look(fresh: Freshness, state: StateStore) -> list[SyncReport]:
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
    assert await look(fresh, untouched) == []


async def test_calls_that_come_together_share_a_look_that_begins_after_them(home: HomeOnDisk, fresh: Freshness) -> None:
    state = MemoryState()
    home.write(path_of(A), rollout(A))
    reports: list[SyncReport] = []

    async def one() -> None:
        reports.extend(await look(fresh, state))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert [report.added for report in reports] == [(A,)]
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
    reports = await look(fresh, state)
    assert [(report.moved, report.vanished) for report in reports] == [((A,), ()), ((), ())]


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
    assert await look(fresh, state) == []
    state.failing = False
    assert [report.added for report in await look(fresh, state)] == [(A,)]


async def test_where_very_much_has_come_the_newest_of_it_is_taken_in_first(
    home: HomeOnDisk, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_BATCH", 2), ("_SECONDS", 0.0)):
        monkeypatch.setattr(freshness, name, value)
    state = MemoryState()
    ids = [thread_id(n) for n in range(5)]
    for n, key in enumerate(ids):
        home.write(path_of(key).replace("/02/", f"/0{n + 1}/"), rollout(key))
    seen: list[set[str]] = []
    for _ in range(3):
        await look(fresh, state)
        seen.append(set(await state.stamps()))
    assert seen == [set(ids[3:]), set(ids[1:]), set(ids)]
