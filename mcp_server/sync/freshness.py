"""Syncs the index with what others have just changed in a home, before a call is answered from it.

A refresh compares a few stamps (`change_detector`), and reads more only if one has changed. It detects every rollout
that was created, removed, moved or replaced, every new name, and writes to rollouts that are among the last written,
have a writer lock, or have changed in Codex's state DB. Writes of a program without a lock to an old rollout are found
by the watcher, or when the thread is read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mcp_server.codex.paths import thread_id_of
from mcp_server.errors import StoreFailure
from mcp_server.models.thread import FileStamp
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.files import codex_db as codex_state
from mcp_server.storage.query import Difference
from mcp_server.sync.change_detector import ChangeDetector, HomeChanges, keep_newest
from mcp_server.sync.reconciler import sync_paths
from mcp_server.sync.upsert import NameSource, SyncReport

logger = logging.getLogger(__name__)

_WRITTEN_LAST = 256
BATCH_FILES = 256
REFRESH_SECONDS = 2.0
_MAX_NOT_THREADS = 10_000
# Up to this size, all names in Codex's state DB are read when it has changed: in less than 0.1 s.
_SMALL_DATABASE = 16 << 20


class Freshness:
    """Refreshes the index of one home for the calls of one process. One refresh begins no further batch of files after
    `seconds`; later ones continue it."""

    def __init__(
        self,
        home: Path,
        sqlite_home: Path,
        rollouts: RolloutStore,
        more_names: NameSource | None,
        *,
        batch_files: int = BATCH_FILES,
        seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._home, self._sqlite_home = home, sqlite_home
        self._batch_files, self._seconds = batch_files, seconds
        self._rollouts, self._more_names = rollouts, more_names
        self._lock = threading.Lock()
        self._begun = 0
        self._state: StateStore | None = None
        self._detector = ChangeDetector(home, sqlite_home)
        self._known: dict[str, FileStamp] = {}
        """Rollouts that somebody may write to, with the stamps in their rows."""
        self._writers: frozenset[str] = frozenset()
        self._not_threads: dict[str, FileStamp] = {}
        """Rollouts that belong to no row: copies, rollouts that reverts have replaced, unreadable files."""
        self._codex_ms: int | None = None
        self._names_due = False
        """Whether Codex's state DB has changed since all its names were read."""

    def refresh(
        self, state: StateStore, *, written_here: Callable[[], Collection[str]], names: bool = False
    ) -> list[SyncReport]:
        """Detect changes, sync their rows, and return a report for each batch.

        Threads `written_here` are skipped: this process keeps their rows itself. `names` says that the caller depends
        on names. If a lot has changed, one call syncs the newest of it and the next calls sync the rest. On
        failure the rows stay as they are."""
        asked = self._begun
        with self._lock:
            if self._begun > asked and not names:
                return []  # another refresh began and ended while this one waited
            self._begun += 1
            try:
                return self._refresh(state, written_here, names)
            except (StoreFailure, OSError) as error:
                logger.warning("Could not refresh the index of %s: %s", self._home, error)
                return []

    def _refresh(self, state: StateStore, written_here: Callable[[], Collection[str]], names: bool) -> list[SyncReport]:
        if state is not self._state:
            self._state, self._detector = state, ChangeDetector(self._home, self._sqlite_home)
            self._known = state.written_last(_WRITTEN_LAST)
            self._writers, self._not_threads, self._codex_ms = frozenset(), {}, None
        seen, there, gone = self._seen(state)
        there |= self._written_by_others(state, seen, written_here)
        mine = written_here()
        there, gone = ({path for path in some if _named_after(path) not in mine} for some in (there, gone))
        self._names_due = self._names_due or seen.codex
        whole = names and self._names_due and self._is_small()
        reports: list[SyncReport] = []
        until = time.monotonic() + self._seconds
        # The newest first. Paths that are gone come last: by then the rows of moved rollouts have their new paths.
        for some in (*_batches(there, self._batch_files), *([gone] if gone else [])):
            if reports and time.monotonic() > until:
                return reports
            reports.append(self._sync(state, some, written_here))
            self._remember(state, some)
        if whole or (seen.names and not reports):
            reports.append(self._sync(state, set(), written_here, all_names=whole))
        self._detector.acknowledge()
        self._names_due = self._names_due and not whole
        return reports

    def _sync(
        self,
        state: StateStore,
        paths: set[str],
        written_here: Callable[[], Collection[str]],
        *,
        all_names: bool = False,
    ) -> SyncReport:
        names = self._more_names
        return sync_paths(
            *(self._rollouts, state, paths),
            written_here=written_here,
            more_names=names,
            all_names=all_names,
            moves_seen=True,
        )

    def _seen(self, state: StateStore) -> tuple[HomeChanges, set[str], set[str]]:
        """The detected changes; the paths of files that differ from their rows, without known copies and the like; and
        the paths of rows whose file is gone."""
        differs, seen = Difference(), None
        for _ in range(2):
            seen = self._detector.detect(self._known)
            listed = {listing.folder: listing.rollouts for listing in seen.listings}
            differs = state.compare_folders(listed) if listed else Difference()
            if not differs.rows and None not in seen.written.values():
                break
            # A missing file may have been moved into a folder that was listed before: list the folders once more.
        assert seen is not None
        stamps = {path: stamp for listing in seen.listings for path, stamp in listing.rollouts.items()}
        new = {p for p in differs.files if p not in self._not_threads or stamps[p] not in (None, self._not_threads[p])}
        written = {path for path, stamp in seen.written.items() if stamp is not None}
        return seen, written | new, {*(seen.written.keys() - written), *differs.rows.values()}

    def _written_by_others(
        self, state: StateStore, seen: HomeChanges, written_here: Callable[[], Collection[str]]
    ) -> set[str]:
        """The changed rollouts of threads that have a new writer lock or have changed in Codex's state DB. From now on,
        each refresh checks the stamps of these rollouts."""
        threads = seen.writers - self._writers - set(written_here())
        self._writers = seen.writers
        if seen.codex:
            changed = codex_state.changed_since(self._sqlite_home, self._codex_ms)
            self._codex_ms = max([self._codex_ms or 0, *changed.values()])
            threads |= changed.keys()
        if not threads:
            return set()
        rows = {one.path: one.stamp for one in state.known_rollouts(threads).values()}
        there = self._rollouts.stat_many(rows.keys())
        self._known |= rows
        return {path for path, stamp in rows.items() if path not in there or there[path].stamp != stamp}

    def _remember(self, state: StateStore, paths: set[str]) -> None:
        """Remember the stamps that the rows of these paths have now, and which paths have no row."""
        rows = {one.path: one.stamp for one in state.rollouts_at(paths).values()}
        if len(self._not_threads) > _MAX_NOT_THREADS:
            self._not_threads.clear()
        left = paths - rows.keys()
        for path in left:
            self._known.pop(path, None)
        self._not_threads |= {path: file.stamp for path, file in self._rollouts.stat_many(left).items()}
        self._known |= rows
        if len(self._known) > 2 * _WRITTEN_LAST:
            writers = {path for path in self._known if _named_after(path) in self._writers}
            self._known = keep_newest(self._known, _WRITTEN_LAST, writers)

    def _is_small(self) -> bool:
        path = codex_state.newest(self._sqlite_home)
        return path is not None and path.stat().st_size <= _SMALL_DATABASE


def _named_after(path: str) -> str | None:
    return thread_id_of(path.rpartition("/")[2])


def _batches(paths: set[str], size: int) -> Iterator[set[str]]:
    """The paths in batches, those of the newest date folders first."""
    newest_first = sorted(paths, reverse=True)
    for start in range(0, len(newest_first), size):
        yield set(newest_first[start : start + size])
