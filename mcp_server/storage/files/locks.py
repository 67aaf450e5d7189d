"""One writer per thread: Codex's own lock files, `thread-writer-locks/<id>.lock`, held with flock(2).

Codex takes and releases a thread's lock only while it holds `.coordination.lock`, and waits for that one. So do we,
each time for a moment. That is why the file of a lock can be removed on release without a race.

It also means that nobody can take a free thread while we hold the coordination lock. So a short piece of work on many
threads holds the coordination lock alone: it *guards* the threads, for a bounded time. To create 1,000 lock files takes
half a second, longer than to move the threads.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from mcp_server.codex.paths import checked_id, parse_id
from mcp_server.errors import ActiveWriter, StoreFailure, WriteFailed
from mcp_server.models.quoting import beginning, plain_or_quoted
from mcp_server.models.times import rfc3339
from mcp_server.storage.contracts import Holder, Leases
from mcp_server.storage.files.atomic import check_writable, make_folders

LOCK_FOLDER = "thread-writer-locks"
# Each holds it for moments only, but it is not fair: with sixty servers one of them may wait for long.
COORDINATION_SECONDS = 15.0
# Lists wait for a look at who holds locks, so it waits no longer than this.
LOOK_SECONDS = 0.2
# How many lock files are created at a time, and how many threads are guarded and how long: others wait meanwhile.
_AT_A_TIME = 100
GUARDED = 2_000
GUARD_SECONDS = 2.0

logger = logging.getLogger(__name__)

T = TypeVar("T")

Inode = tuple[int, int]


class CodexWriterLocks(Leases):
    """The writer locks of one home. Two objects exclude each other, in one process or in two.

    `wait_seconds` bounds the wait for the coordination lock, `guard_seconds` how long it guards threads.
    `flock_pids` returns the holders that the system lists.
    """

    def __init__(
        self,
        home: Path,
        *,
        wait_seconds: float = COORDINATION_SECONDS,
        guard_seconds: float = GUARD_SECONDS,
        flock_pids: Callable[[], Mapping[Inode, int]] | None = None,
    ) -> None:
        self._folder = home / LOCK_FOLDER
        self._wait_seconds, self._flock_pids = wait_seconds, flock_pids or _flock_pids
        self._inside = threading.RLock()  # held by the OS thread that uses the coordination lock; protects:
        self._locks: dict[str, FileLock] = {}
        self._guarded: frozenset[str] = frozenset()
        self._guard_seconds = guard_seconds
        self._guard: threading.Timer | None = None
        """Runs while the coordination lock is held for `_guarded`, the threads that have no lock file."""

    def acquire(self, thread_ids: Sequence[str], *, for_moments: bool = False) -> None:
        wanted = [checked_id(thread_id) for thread_id in thread_ids]
        taken: list[str] = []
        try:
            if for_moments and 0 < len(wanted) <= GUARDED:
                self._guard_free(wanted, taken)
            else:
                for some in _some_at_a_time(wanted):
                    with self._refusals(some[0]), self._coordinated():
                        self._check_unheld(some)
                        self._take(some, taken)
        except BaseException:
            self.release(taken)
            raise

    def check_free(self, thread_ids: Sequence[str]) -> None:
        if not thread_ids:
            return
        files = [self._file(checked_id(thread_id)) for thread_id in thread_ids]
        with self._written(thread_ids[0]):
            check_writable(self._folder)
        holders = self._holders(files)
        if held := [file.stem for file in files if file.stem in holders]:
            raise ActiveWriter(held[0], holder_sentence(holders[held[0]]))

    def release(self, thread_ids: Collection[str]) -> None:
        # A lock file that nobody holds may stay behind, which is harmless: Windows keeps an open one, a disk may fail.
        for some in _some_at_a_time(sorted(self.held().intersection(map(checked_id, thread_ids)))):
            locks = [self._locks[thread_id] for thread_id in some if thread_id in self._locks]
            try:
                with suppress(OSError), self._coordinated():  # a Timeout is one
                    for lock in locks:
                        with suppress(OSError):
                            Path(lock.lock_file).unlink(missing_ok=True)
                        lock.release()
                    self._end_guard(some)
            finally:
                for lock in locks:
                    lock.release()
                for thread_id in some:
                    self._locks.pop(thread_id, None)

    def held(self) -> frozenset[str]:
        return self._guarded.union(self._locks.copy())

    def _file(self, thread_id: str) -> Path:
        return self._folder / f"{thread_id}.lock"

    @contextmanager
    def _coordinated(self, at_most: float | None = None) -> Generator[None]:
        """Hold the coordination lock, as the only OS thread of this process. Raises Timeout."""
        wait_seconds = self._wait_seconds if at_most is None else min(at_most, self._wait_seconds)
        if not self._inside.acquire(timeout=wait_seconds):
            raise Timeout(self._coordination.lock_file)
        try:
            with self._coordination.acquire(wait_seconds):  # at once while threads are guarded
                yield
        finally:
            self._inside.release()

    @cached_property
    def _coordination(self) -> FileLock:
        # Made by the process that uses it: a lock is not inherited by a fork.
        return _file_lock(self._folder / ".coordination.lock")

    # ------------------------------------------------------------------------------------------ taking

    def _guard_free(self, thread_ids: Sequence[str], taken: list[str]) -> None:
        """Take the locks whose files are there, and guard the other threads."""
        with self._refusals(thread_ids[0]), self._coordinated():
            self._check_unheld(thread_ids)
            there = {file.stem for file in self._folder.iterdir()}
            self._take([thread_id for thread_id in thread_ids if thread_id in there], taken)
            self._begin_guard([thread_id for thread_id in thread_ids if thread_id not in there])

    def _check_unheld(self, thread_ids: Sequence[str]) -> None:
        for thread_id in thread_ids:
            if thread_id in self._locks or thread_id in self._guarded:
                raise RuntimeError(f"the writer lock of {thread_id} is held already")

    def _take(self, thread_ids: Collection[str], taken: list[str]) -> None:
        for thread_id in thread_ids:
            lock = _file_lock(self._file(thread_id))
            with self._refusals(thread_id):
                lock.acquire(blocking=False)
                self._locks[thread_id] = lock
                taken.append(thread_id)
                os.utime(lock.lock_file)  # shows others since when it is held

    @contextmanager
    def _refusals(self, thread_id: str) -> Generator[None]:
        """Turn a refusal by the system into an error that names the thread."""
        with self._written(thread_id):
            make_folders(self._folder)
            try:
                yield
            except Timeout as error:
                holder = self._holders([self._file(thread_id)]).get(thread_id) or Holder()
                raise ActiveWriter(thread_id, holder_sentence(holder)) from error

    @contextmanager
    def _written(self, thread_id: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise WriteFailed(f"the writer lock of thread {thread_id}", error.strerror or str(error)) from error

    # ------------------------------------------------------------------------------------------ guarding

    def _begin_guard(self, thread_ids: Sequence[str]) -> None:
        """Hold these threads by keeping the coordination lock."""
        if thread_ids and self._guard is None:
            self._coordination.acquire()  # it is held already; this counts it once more
            self._set_alarm()
        self._guarded = self._guarded.union(thread_ids)

    def _end_guard(self, thread_ids: Collection[str]) -> None:
        self._guarded = self._guarded.difference(thread_ids)
        if self._guard is not None and not self._guarded:
            self._guard.cancel()
            self._guard = None
            self._coordination.release()

    def _set_alarm(self) -> None:
        self._guard = threading.Timer(self._guard_seconds, self._make_files)
        self._guard.daemon = True
        self._guard.start()

    def _make_files(self) -> None:
        """The work takes too long: take the locks of the guarded threads after all, so that others need not wait."""
        with self._inside:
            if self._guard is None:
                return
            made: list[str] = []
            try:
                self._take(self._guarded, made)
            except StoreFailure as error:  # others wait until files can be created
                logger.warning(
                    "the lock files of %d threads can't be created, so every other writer waits: %s",
                    len(self._guarded),
                    error,
                )
                self._set_alarm()
            self._end_guard(made)

    # ------------------------------------------------------------------------------------------ holders

    def foreign(self, thread_ids: Collection[str] | None = None) -> dict[str, Holder]:
        try:
            files = [file for file in self._folder.iterdir() if file.suffix == ".lock" and parse_id(file.stem)]
        except FileNotFoundError:
            return {}
        others = [file for file in files if file.stem not in self._locks]
        asked = others if thread_ids is None else [file for file in others if file.stem in thread_ids]
        return self._holders(asked, LOOK_SECONDS)

    def _holders(self, files: list[Path], at_most: float | None = None) -> dict[str, Holder]:
        """Those of the lock files that somebody holds. Where they must be probed, and others keep the folder for
        longer than `at_most` seconds, all of these count as held."""
        if not files:
            return {}
        pids = self._flock_pids()
        found: dict[str, Holder] = {}
        unknown = list[Path]()
        for file in files:
            with suppress(FileNotFoundError):
                stat = file.stat()
                pid = pids.get((stat.st_dev, stat.st_ino))
                if pid is None:
                    unknown.append(file)
                else:
                    found[file.stem] = Holder(pid, _program(pid), stat.st_mtime_ns // 1_000_000)
        found.update(self._probe(unknown, at_most))
        return found

    def _probe(self, files: list[Path], at_most: float | None) -> dict[str, Holder]:
        """Ask the locks themselves: /proc/locks is Linux's alone, and shows no process outside of a container."""
        if not files:
            return {}
        try:
            with self._coordinated(at_most):  # nobody is refused because of the look
                return {file.stem: Holder(since_ms=_mtime_ms(file)) for file in files if _is_locked(file)}
        except Timeout:
            return {} if at_most is None else {file.stem: Holder(since_ms=_mtime_ms(file)) for file in files}


def _some_at_a_time(all_: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(all_), _AT_A_TIME):
        yield all_[start : start + _AT_A_TIME]


def holder_sentence(holder: Holder) -> str:
    """A holder in words, as far as known: `codex (pid 123) since 2026-11-22T23:04:50Z`."""
    who = "another process"
    if holder.pid is not None:
        program = plain_or_quoted(beginning(holder.program, 30)) if holder.program else "a process"
        who = f"{program} (pid {holder.pid})"
    return who if holder.since_ms is None else f"{who} since {rfc3339(holder.since_ms // 1000 * 1000)[:19]}Z"


def _file_lock(file: Path) -> FileLock:
    # Acquired in one thread and released in another, hence thread_local=False.
    return FileLock(file, mode=0o600, thread_local=False, poll_interval=0.01)


def _is_locked(file: Path) -> bool:
    if not file.exists():
        return False
    lock = _file_lock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _mtime_ms(file: Path) -> int | None:
    with suppress(FileNotFoundError):
        return file.stat().st_mtime_ns // 1_000_000
    return None


def _flock_pids() -> dict[Inode, int]:
    """Holders of all flocks that Linux shows: `1: FLOCK  ADVISORY  WRITE 8736 fe:00:2229972 0 EOF`."""
    found: dict[Inode, int] = {}
    if sys.platform != "linux":
        return found
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            match line.split():
                case [_, "FLOCK", _, _, pid, place, *_] if int(pid) > 0:
                    major, minor, inode = place.split(":")
                    found[os.makedev(int(major, 16), int(minor, 16)), int(inode)] = int(pid)
                case _:
                    pass
    return found


def _program(pid: int) -> str | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or None
    return None
