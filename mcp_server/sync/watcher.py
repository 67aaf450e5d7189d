"""Watches the files of a home and keeps its index in step. Of all servers on a home, one at a time watches."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from watchfiles import Change, watch  # pyright: ignore[reportUnknownVariableType]

from mcp_server.codex.paths import SUFFIXES
from mcp_server.errors import StoreFailure
from mcp_server.storage import regular
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.reconciler import sync, sync_paths
from mcp_server.sync.supervision import FailureLog
from mcp_server.sync.upsert import NameSource

logger = logging.getLogger(__name__)

# A lease that is not renewed for this long expires: its holder may be suspended, and only its death frees the lock.
EXPIRY_SECONDS = 10.0
_HEARTBEAT_BYTES = 1 << 10


class WatcherLease:
    """The lease of the one process that watches the home. It is free again when its holder dies or stops renewing it.

    It consists of a lock and, at `path`, a heartbeat file with the holder's id. No method blocks.
    """

    def __init__(self, path: Path) -> None:
        self._heartbeat = path
        self._me = uuid.uuid4().hex.encode()
        self._lock = _lock(path)

    def acquire(self) -> bool:
        """Take the lease if it is free or has expired. Returns whether this process has it now."""
        try:
            if self._is_expired():
                # Two processes that do this at once may both have the lease, until the first one renews it and loses.
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.acquire(blocking=False)
            with os.fdopen(regular.opened_fd(self._heartbeat, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(self._me)
        except (Timeout, OSError):
            self.release()
            return False
        return True

    def renew(self) -> bool:
        """Renew the lease; False if another process has taken it over, so that this one must stop."""
        try:
            if regular.content(self._heartbeat, _HEARTBEAT_BYTES) != self._me:
                return False
            os.utime(self._heartbeat)
        except OSError:
            return False
        return True

    def release(self) -> None:
        with suppress(OSError):
            self._lock.release()

    def is_renewed(self) -> bool:
        """Whether a process that watches the home was seen lately."""
        return self._heartbeat.exists() and not self._is_expired()

    def _is_expired(self) -> bool:
        try:
            return time.time() - self._heartbeat.stat().st_mtime > EXPIRY_SECONDS
        except OSError:
            return False


def _lock(path: Path) -> FileLock:
    return FileLock(f"{path}.lock", mode=0o600, thread_local=False)


_FOLDERS = ("sessions/", "archived_sessions/")
_INDEX = "session_index.jsonl"
_FILES = (*SUFFIXES, ".tmp")
# Changes within this time are handled together. A writer that never pauses is seen at this interval, too.
_DEBOUNCE_MS = 400
# How often the watching thread checks `stop`.
_STEP_MS = 100
# After this many failures in a row, the pauses before the watch is set up again become long. Each time all is synced.
_RETRIES = 5
_MAX_REASON_CHARS = 300

Changes = set[tuple[Change, str]]


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a watcher waits, in seconds."""

    retry: float = 1.0
    """After each of the first failures."""
    poll: float = 30.0
    """After each further failure."""
    renew: float = 1.0
    """How often the watching server renews its lease, and the others try to take it."""


def watch_home(
    rollouts: RolloutStore,
    state: StateStore,
    home: Path,
    lease: WatcherLease,
    stop: threading.Event,
    *,
    written_here: Callable[[], Collection[str]],
    more_names: NameSource | None,
    wake: Callable[[], None],
    notices: Callable[..., Generator[Changes]] = watch,
    pauses: Pauses = Pauses(),
) -> None:
    """Watch the home until `stop` is set, while this process has the lease. The other servers learn of changes from the
    event log: if all of sixty servers on a home synced each change, they would do little else.

    `written_here` returns the threads whose files only this process writes. `notices` is `watchfiles.watch`.
    """
    watcher = _Watcher(rollouts, state, home, lease, stop, written_here, more_names, wake, notices, pauses)
    while not stop.is_set():
        if lease.acquire():
            try:
                watcher.run()
            finally:
                lease.release()
        else:
            stop.wait(pauses.renew)


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Syncs the index with changes of the files, while it has the lease."""

    rollouts: RolloutStore
    state: StateStore
    home: Path
    lease: WatcherLease
    stop: threading.Event
    written_here: Callable[[], Collection[str]]
    more_names: NameSource | None
    wake: Callable[[], None]
    notices: Callable[..., Generator[Changes]]
    pauses: Pauses
    failures: FailureLog = field(default_factory=FailureLog)

    def run(self) -> None:
        failures = 0
        while self._may_continue():
            caught_up = False
            try:
                for changes in self._changes():
                    failures = 0
                    if not caught_up:
                        # For what changed before the watch was set up. Begun at once, it would take the interpreter
                        # from the first list, which compares the folders itself: with 100,000 threads for seconds.
                        caught_up = True
                        self._sync(None)
                    elif changes:
                        self._sync(self._changed_paths(changes))
                    if not self._may_continue():
                        return
            except Exception as error:
                # A file vanished while the watch was set up (a draft of Codex's); or the system allows no more watches;
                # or a changed file has a name that watchfiles can't decode.
                failures += 1
                pause = self.pauses.retry if failures <= _RETRIES else self.pauses.poll
                if failures in (1, _RETRIES + 1):
                    why = str(error)[:_MAX_REASON_CHARS]  # it may contain a path of any length
                    logger.warning("Could not watch %s; syncing it every %d s: %s", self.home, pause, why)
                if not self._pause(pause):
                    return
                self._sync(None)

    def _may_continue(self) -> bool:
        return not self.stop.is_set() and self.lease.renew()

    def _pause(self, seconds: float) -> bool:
        """Wait, and keep the lease. False if the watcher must stop."""
        until = time.monotonic() + seconds
        while self._may_continue() and (left := until - time.monotonic()) > 0:
            self.stop.wait(min(left, self.pauses.renew))
        return self._may_continue()

    def _changes(self) -> Generator[Changes]:
        """Sets of changes as they come, and from time to time an empty set."""
        return self.notices(
            self.home,
            watch_filter=self._is_relevant,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self.stop,
            rust_timeout=int(self.pauses.renew * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        )

    def _sync(self, paths: Collection[str] | None) -> None:
        try:
            if paths is None:
                report = sync(self.rollouts, self.state, written_here=self.written_here, more_names=self.more_names)
            else:
                report = sync_paths(
                    self.rollouts, self.state, paths, written_here=self.written_here, more_names=self.more_names
                )
            if report.events:
                self.wake()
        except StoreFailure as error:
            logger.warning("Could not index a change in the files: %s", error)
        except Exception as error:
            some = ", ".join(sorted(paths or ())[:5]) or "the home"
            self.failures.log(f"Could not index a change in the files ({some})", error)

    def _changed_paths(self, changes: Changes) -> set[str]:
        """The changed paths, and for a changed folder all paths in it: the system does not report files that were put
        into a new folder before it was watched."""
        paths = {_relative(self.home, path) for _, path in changes}
        for path in [path for path in paths if not path.endswith(_FILES)]:
            for folder, _, names in os.walk(self.home / path):
                paths.update(_relative(self.home, f"{folder}{os.sep}{name}") for name in names)
        return paths

    def _is_relevant(self, _: Change, path: str) -> bool:
        relative = _relative(self.home, path)
        return relative == _INDEX or f"{relative}/".startswith(_FOLDERS)


def _relative(home: Path, path: str) -> str:
    # Text, not Path: a cascade of 1,000 threads causes 6,000 notices, whose filter took 0.1 s with Path.
    return path.removeprefix(f"{home}{os.sep}").replace(os.sep, "/")
