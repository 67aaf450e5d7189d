"""The watch over a home: what changed is taken in, and nobody waits for its end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from homes import A, B, ids, path_of, rollout
from watchfiles import Change

from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync import watcher as watch
from mcp_server.sync.watch_turn import WatchTurn

pytestmark = pytest.mark.anyio

_SECONDS = 15


def watching(home: Path, state: MemoryState, wake: Callable[[], None]) -> Callable[[], Coroutine[Any, Any, None]]:
    """The watch of one server; all on a home share the turn."""
    turn = WatchTurn(home / "watch")
    return lambda: watch.watch_home(RolloutFiles(home), state, home, turn, own=lambda: (), more_names=None, wake=wake)


@asynccontextmanager
async def watched(home: Path) -> AsyncGenerator[tuple[MemoryState, TaskGroup]]:
    """A home whose file of A was seen by the watch."""
    state, woken = MemoryState(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching(home, state, woken.set))
        with anyio.fail_after(_SECONDS):
            while not woken.is_set():  # the watch can't say that it has begun: the file is changed until it is seen
                _write(home / path_of(A))
                with anyio.move_on_after(0.2):
                    await woken.wait()
        yield state, tasks


async def test_a_file_that_another_program_writes_gets_a_row(tmp_path: Path) -> None:
    async with watched(tmp_path) as (state, tasks):
        assert await ids(state) == {A}
        tasks.cancel_scope.cancel()


async def test_what_is_in_a_folder_before_the_system_watches_it_gets_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the first thread of a day, or of a home: the system tells of the new folder, and not of what is in it."""

    async def of_the_folder_alone(*_: Any, **__: Any) -> AsyncGenerator[set[tuple[Change, str]]]:
        yield set()
        _write(tmp_path / path_of(A))
        yield {(Change.added, str(tmp_path / "sessions"))}
        await anyio.sleep_forever()

    monkeypatch.setattr(watch, "awatch", of_the_folder_alone)
    state, woken = MemoryState(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching(tmp_path, state, woken.set))
        with anyio.fail_after(_SECONDS):
            await woken.wait()
        assert await ids(state) == {A}
        tasks.cancel_scope.cancel()


async def test_what_comes_with_the_folder_of_all_threads_gets_a_row(tmp_path: Path) -> None:
    state = MemoryState()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching(tmp_path, state, lambda: None))
        with anyio.fail_after(_SECONDS):
            while await state.names_stamp() is None:  # the watch can't say that it has begun
                with (tmp_path / "session_index.jsonl").open("a") as file:
                    file.write("\n")
                await anyio.sleep(0.1)
            _write(tmp_path / path_of(A))
            while await ids(state) != {A}:  # noqa: ASYNC110 -- it is woken more than once
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()


async def test_of_two_servers_one_takes_changes_in_and_at_its_end_the_other_catches_up(tmp_path: Path) -> None:
    async with watched(tmp_path) as (first, first_tasks), anyio.create_task_group() as tasks:
        second, woken = MemoryState(), anyio.Event()
        tasks.start_soon(watching(tmp_path, second, woken.set))
        _write(tmp_path / path_of(B), B)
        with anyio.fail_after(_SECONDS):
            while await ids(first) != {A, B}:  # noqa: ASYNC110 -- it was woken for A already
                await anyio.sleep(0.02)
        assert await ids(second) == set()
        first_tasks.cancel_scope.cancel()
        with anyio.fail_after(_SECONDS):
            await woken.wait()
        assert await ids(second) == {A, B}
        tasks.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
async def test_a_name_that_cant_be_told_is_looked_past(tmp_path: Path) -> None:
    async with watched(tmp_path) as (state, tasks):
        odd = Path(os.fsdecode(os.fsencode((tmp_path / path_of(A)).parent) + b"/rollout-\xff.jsonl"))
        odd.write_bytes(rollout(B))
        with anyio.fail_after(_SECONDS):
            while await ids(state) != {A, B}:
                (tmp_path / path_of(B)).write_bytes(rollout(B))
                await anyio.sleep(0.2)
        tasks.cancel_scope.cancel()


async def test_its_end_is_not_waited_for(tmp_path: Path) -> None:
    """A server that is slow to end is killed by its client after two seconds. One end of three that is in time tells as
    much, on a busy machine: to wait for the thread of the watch takes longer each time."""
    took: list[float] = []
    while not took or (took[-1] >= 1.5 and len(took) < 3):
        home = tmp_path / f"home{len(took)}"
        home.mkdir()
        async with watched(home) as (_, tasks):
            began = time.monotonic()
            tasks.cancel_scope.cancel()
        took.append(time.monotonic() - began)
    assert min(took) < 1.5


async def test_where_the_system_gives_no_notice_the_folders_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_notice(*_: object, **__: object) -> None:
        raise OSError("inotify watch limit reached")

    monkeypatch.setattr(watch, "awatch", no_notice)
    monkeypatch.setattr(watch, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_POLL_SECONDS", 0.01)
    async with watched(tmp_path) as (state, tasks):
        assert await ids(state) == {A}
        tasks.cancel_scope.cancel()


async def test_a_watch_that_ends_because_a_file_went_is_set_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codex makes and removes files of its own all the time, also while the folders are walked for the watch."""
    awatch: Any = vars(watch)["awatch"]
    failures = iter([FileNotFoundError("No such file or directory (os error 2)")])

    def once_gone(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        for error in failures:
            raise error
        return awatch(*args, **kwargs)

    monkeypatch.setattr(watch, "awatch", once_gone)
    async with watched(tmp_path) as (state, tasks):
        _write(tmp_path / path_of(B), B)
        with anyio.fail_after(_SECONDS):
            while await ids(state) != {A, B}:  # noqa: ASYNC110 -- it was woken for A already
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()


def _write(path: Path, thread_id: str = A) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rollout(thread_id))
