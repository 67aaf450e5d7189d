"""One writer per thread: Codex's own lock files, `thread-writer-locks/<id>.lock`, held with flock(2).

Codex takes and gives back a thread's lock while it holds `.coordination.lock`, and waits for that one. So do we, and
only for moments: the file of a lock can be removed on release without a race.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope, to_thread
from filelock import FileLock, Timeout

from mcp_server.errors import ActiveWriter, WriteFailed
from mcp_server.models.page import rfc3339
from mcp_server.stores.base import Holder, WriterLocks
from mcp_server.stores.durable import make_folders
from mcp_server.stores.naming import checked_id, parse_id

LOCK_FOLDER = "thread-writer-locks"
# Held for moments, but by whoever comes first of all who try: with sixty servers one may try for long.
COORDINATION_SECONDS = 15.0
_AT_A_TIME = 100  # others wait for the coordination lock meanwhile

T = TypeVar("T")

_Inode = tuple[int, int]


class CodexWriterLocks(WriterLocks):
    """The writer locks of one home. Two objects exclude each other, in one process or in two."""

    def __init__(self, home: Path) -> None:
        self._folder = home / LOCK_FOLDER
        self._locks: dict[str, FileLock] = {}

    async def acquire(self, thread_id: str) -> None:
        thread_id = checked_id(thread_id)
        if thread_id in self._locks:
            raise RuntimeError(f"the writer lock of {thread_id} is held already")
        lock = self._locks[thread_id] = _file_lock(self._file(thread_id))
        try:
            await to_thread.run_sync(self._acquire, thread_id, lock)
        except BaseException:
            self._locks.pop(thread_id, None)
            raise

    async def release(self, thread_id: str) -> None:
        lock = self._locks.pop(checked_id(thread_id), None)
        if lock is not None and lock.is_locked:
            with CancelScope(shield=True):
                await to_thread.run_sync(self._release_many, [lock])

    async def acquire_many(self, thread_ids: Sequence[str]) -> None:
        wanted = [checked_id(thread_id) for thread_id in thread_ids]
        for thread_id in wanted:
            if thread_id in self._locks:
                raise RuntimeError(f"the writer lock of {thread_id} is held already")
        locks = {thread_id: _file_lock(self._file(thread_id)) for thread_id in wanted}
        self._locks |= locks
        try:
            await to_thread.run_sync(self._acquire_many, locks)
        except BaseException:
            for thread_id in locks:
                self._locks.pop(thread_id, None)
            raise

    async def release_many(self, thread_ids: Collection[str]) -> None:
        locks = [self._locks.pop(checked_id(thread_id), None) for thread_id in thread_ids]
        held = [lock for lock in locks if lock is not None and lock.is_locked]
        if held:
            with CancelScope(shield=True):
                await to_thread.run_sync(self._release_many, held)

    def held(self) -> frozenset[str]:
        return frozenset(thread_id for thread_id, lock in self._locks.items() if lock.is_locked)

    async def holder(self, thread_id: str) -> Holder | None:
        thread_id = checked_id(thread_id)
        if thread_id in self._locks:
            return None
        return (await to_thread.run_sync(self._holders, [self._file(thread_id)])).get(thread_id)

    async def foreign(self) -> dict[str, Holder]:
        return await to_thread.run_sync(self._foreign)

    def _file(self, thread_id: str) -> Path:
        return self._folder / f"{thread_id}.lock"

    @contextmanager
    def _coordinated(self) -> Generator[None]:
        """Hold Codex's lock on the folder. Raises Timeout."""
        lock = _file_lock(self._folder / ".coordination.lock")
        lock.acquire(COORDINATION_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, thread_id: str, lock: FileLock) -> None:
        try:
            make_folders(self._folder)
            with self._coordinated():
                lock.acquire(blocking=False)
                os.utime(lock.lock_file)  # since when, for whoever asks
        except Timeout as error:
            holder = self._holders([self._file(thread_id)]).get(thread_id) or Holder()
            raise ActiveWriter(thread_id, holder_sentence(holder)) from error
        except OSError as error:
            lock.release()
            raise WriteFailed(f"the writer lock of thread {thread_id}", error.strerror or str(error)) from error

    def _acquire_many(self, locks: dict[str, FileLock]) -> None:
        taken: list[FileLock] = []
        thread_id = ""
        try:
            make_folders(self._folder)
            for some in _some_at_a_time(list(locks)):
                with self._coordinated():
                    for thread_id in some:
                        locks[thread_id].acquire(blocking=False)
                        taken.append(locks[thread_id])
                        os.utime(locks[thread_id].lock_file)
        except Timeout as error:
            self._release_many(taken)
            holder = self._holders([self._file(thread_id)]).get(thread_id) or Holder()
            raise ActiveWriter(thread_id, holder_sentence(holder)) from error
        except OSError as error:
            for lock in locks.values():
                lock.release()
            raise WriteFailed(f"the writer lock of thread {thread_id}", error.strerror or str(error)) from error

    def _release_many(self, locks: list[FileLock]) -> None:
        # A lock file that nobody holds may stay behind, which harms nobody: Windows keeps an open one, a disk may fail.
        for some in _some_at_a_time(locks):
            try:
                with suppress(OSError), self._coordinated():  # a Timeout is one
                    for lock in some:
                        with suppress(OSError):
                            Path(lock.lock_file).unlink(missing_ok=True)
                        lock.release()
            finally:
                for lock in some:
                    lock.release()

    # ------------------------------------------------------------------------------------------ holders

    def _foreign(self) -> dict[str, Holder]:
        try:
            files = [file for file in self._folder.iterdir() if file.suffix == ".lock" and parse_id(file.stem)]
        except FileNotFoundError:
            return {}
        return self._holders([file for file in files if file.stem not in self._locks])

    def _holders(self, files: list[Path]) -> dict[str, Holder]:
        """Those of the lock files that somebody holds."""
        pids = _flock_pids()
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
        found.update(self._probe(unknown))
        return found

    def _probe(self, files: list[Path]) -> dict[str, Holder]:
        """Ask the locks themselves: /proc/locks is Linux's alone, and shows no process outside of a container."""
        if not files:
            return {}
        try:
            with self._coordinated():  # nobody is refused because of the look
                return {file.stem: Holder(since_ms=_mtime_ms(file)) for file in files if _is_locked(file)}
        except Timeout:
            return {}


def _some_at_a_time(all_: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(all_), _AT_A_TIME):
        yield all_[start : start + _AT_A_TIME]


def holder_sentence(holder: Holder) -> str:
    """A holder in words, as far as known: `codex (pid 123) since 2026-11-22T23:04:50Z`."""
    who = "another process"
    if holder.pid is not None:
        who = f"{holder.program or 'a process'} (pid {holder.pid})"
    return who if holder.since_ms is None else f"{who} since {rfc3339(holder.since_ms // 1000 * 1000)[:19]}Z"


def _file_lock(file: Path) -> FileLock:
    # Acquired in one worker thread and released in another, hence thread_local=False.
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


def _flock_pids() -> dict[_Inode, int]:
    """Holders of all flocks that Linux shows: `1: FLOCK  ADVISORY  WRITE 8736 fe:00:2229972 0 EOF`."""
    found: dict[_Inode, int] = {}
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
