"""The watch over a home: what changed is taken in, and nobody waits for its end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from homes import A, B, ids, path_of, rollout
from watchfiles import Change
from watchfiles import watch as real_notices  # pyright: ignore[reportUnknownVariableType]

from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync.watcher import Changes, Pauses, WatcherLease, watch_home
from tests.together import running, until

_SECONDS = 15

Notices = Callable[..., Generator[Changes]]


@contextmanager
def watching(
    home: Path, state: MemoryState, wake: Callable[[], None] = lambda: None, notices: Notices = real_notices
) -> Generator[threading.Event]:
    """The watch of one server; all on a home share the lease. Setting the event ends it."""
    lease, rollouts = WatcherLease(home / "watch"), RolloutFiles(home)

    def work(stop: threading.Event) -> None:
        watch_home(
            *(rollouts, state, home, lease, stop),
            written_here=lambda: (),
            more_names=None,
            wake=wake,
            notices=notices,
            pauses=Pauses(retry=0.01, poll=0.01, renew=0.1),
        )

    with running(work) as stop:
        yield stop


class Telling:
    """Notices of the system, whose event is set once it gives them."""

    def __init__(self, notices: Notices = real_notices) -> None:
        self.begun, self._notices = threading.Event(), notices

    def __call__(self, *args: Any, **kwargs: Any) -> Generator[Changes]:
        for changes in self._notices(*args, **kwargs):
            self.begun.set()
            yield changes


@contextmanager
def watched(home: Path, notices: Notices = real_notices) -> Generator[tuple[MemoryState, threading.Event]]:
    """A home whose file of A was seen by the watch."""
    state, woken, telling = MemoryState(), threading.Event(), Telling(notices)
    with watching(home, state, woken.set, telling) as stop:
        assert telling.begun.wait(_SECONDS)
        _write(home / path_of(A))
        assert woken.wait(_SECONDS)
        yield state, stop


def test_a_file_that_another_program_writes_gets_a_row(tmp_path: Path) -> None:
    with watched(tmp_path) as (state, _):
        assert ids(state) == {A}


def test_a_file_in_a_new_folder_that_is_not_watched_yet_gets_a_row(tmp_path: Path) -> None:
    """As on the first thread of a day, or of a home: the system tells of the new folder, and not of what is in it."""

    def of_the_folder_alone(*_: Any, stop_event: threading.Event, **__: Any) -> Generator[Changes]:
        yield set()
        _write(tmp_path / path_of(A))
        yield {(Change.added, str(tmp_path / "sessions"))}
        stop_event.wait()

    state, woken = MemoryState(), threading.Event()
    with watching(tmp_path, state, woken.set, of_the_folder_alone):
        assert woken.wait(_SECONDS)
        assert ids(state) == {A}


def test_a_file_that_comes_with_the_sessions_folder_gets_a_row(tmp_path: Path) -> None:
    state, telling = MemoryState(), Telling()
    with watching(tmp_path, state, notices=telling):
        assert telling.begun.wait(_SECONDS)
        _write(tmp_path / path_of(A))
        until(lambda: ids(state) == {A}, _SECONDS)


def test_of_two_servers_one_takes_changes_in_and_at_its_end_the_other_catches_up(tmp_path: Path) -> None:
    second, woken = MemoryState(), threading.Event()
    with watched(tmp_path) as (first, end_first), watching(tmp_path, second, woken.set):
        _write(tmp_path / path_of(B), B)
        until(lambda: ids(first) == {A, B}, _SECONDS)
        assert ids(second) == set()
        end_first.set()
        assert woken.wait(_SECONDS)
        assert ids(second) == {A, B}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_a_file_name_that_is_no_utf8_is_ignored(tmp_path: Path) -> None:
    with watched(tmp_path) as (state, _):
        odd = Path(os.fsdecode(os.fsencode((tmp_path / path_of(A)).parent) + b"/rollout-\xff.jsonl"))
        odd.write_bytes(rollout(B))
        (tmp_path / path_of(B)).write_bytes(rollout(B))
        until(lambda: ids(state) == {A, B}, _SECONDS)


def test_a_stop_ends_the_wait_for_changes(tmp_path: Path) -> None:
    """A server that is slow to end is killed by its client after two seconds, and no change comes meanwhile."""
    with watched(tmp_path) as (_, stop):
        stop.set()


def test_where_the_system_gives_no_notice_the_folders_are_compared(tmp_path: Path) -> None:
    def no_notice(*_: object, **__: object) -> Generator[Changes]:
        raise OSError("inotify watch limit reached")

    state, woken = MemoryState(), threading.Event()
    with watching(tmp_path, state, woken.set, no_notice):
        _write(tmp_path / path_of(A))
        assert woken.wait(_SECONDS)
        assert ids(state) == {A}


def test_a_watch_that_ends_because_a_file_went_is_set_up_again(tmp_path: Path) -> None:
    """Codex makes and removes files of its own all the time, also while the folders are walked for the watch."""
    failures = iter([FileNotFoundError("No such file or directory (os error 2)")])

    def once_gone(*args: Any, **kwargs: Any) -> Any:
        for error in failures:
            raise error
        return real_notices(*args, **kwargs)

    with watched(tmp_path, once_gone) as (state, _):
        _write(tmp_path / path_of(B), B)
        until(lambda: ids(state) == {A, B}, _SECONDS)


def _write(path: Path, thread_id: str = A) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rollout(thread_id))
