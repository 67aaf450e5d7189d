"""Keeps the index in step with the files, which are the truth: the backfill, the full sync, the sync of a few paths.

`upsert` decides which file a row belongs to. Two processes may sync at the same time: the store announces each
difference once.

Several functions take the same keywords:
    written_here: returns the threads whose writer lock this process holds (`Leases.held`). Their rows are skipped:
        whoever loaded such a thread keeps its row.
    more_names: a second source of names, which takes precedence over session_index.jsonl.
    sink: receives every line and every file that had to be skipped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from mcp_server.codex.files import BadLine, RolloutRef
from mcp_server.codex.paths import SUFFIXES, is_rollout, rollout_id_of, thread_id_of
from mcp_server.models.records import BackfillState, Change, SpawnEdge
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.process_liveness import has_died
from mcp_server.storage.rules import claimable
from mcp_server.sync.backfill import BackfillWatermark
from mcp_server.sync.upsert import BATCH_ROWS, BadLineSink, NameSource, SyncReport, Upserter, batches, newest_first

_LEASE_MS = 120_000
_POLL_S, _MAX_POLL_S = 0.05, 0.5
_MANY_LOST = 64  # beyond this a walk of the folders is cheaper than a search for each thread


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """How the backfill ended for this process: `complete`, or `waiting` if another worker still ran when `wait_s` was
    over, or if this one was stopped. `worked`: whether this process did the work. `done` and `found` count rollouts.
    """

    status: Literal["complete", "waiting"]
    worked: bool = False
    done: int = 0
    found: int = 0
    damaged: tuple[BadLine, ...] = ()
    bad_lines: int = 0


def backfill(
    rollouts: RolloutStore,
    state: StateStore,
    *,
    owner: str,
    now_ms: Callable[[], int],
    lease_ms: int = _LEASE_MS,
    wait_s: float = 30,
    progress: Callable[[int, int], None] | None = None,
    more_names: NameSource | None = None,
    closed_edges: Callable[[], Sequence[SpawnEdge]] | None = None,
    sink: BadLineSink | None = None,
    stop: threading.Event | None = None,
    batch_rows: int = BATCH_ROWS,
) -> BackfillResult:
    """Build the index, or wait until another worker has built it (CODEX_SEMANTICS 3.5, 3.6).

    One worker at a time, under a lease that each batch renews. A stopped worker releases the lease; that of a dead one
    is taken over at once, or, if its death can't be seen, when the lease expires. Files are read newest first, active
    before archived, so that the threads a user looks for come first. The watermark is the last path read in that order;
    the next worker continues after it. Before the end, a comparison by stamps catches up with what has changed
    meanwhile, so that a complete index matches the files. Rows are written without events. Damaged files are skipped.

    Args:
        wait_s: how long to wait for another worker, in seconds. Then the result is `waiting`, and the caller reads from
            the files.
        progress: called with the rollouts done and found, also while waiting.
        closed_edges: edges that are known as closed. They are stored before the open ones that follow from rollouts.
        stop: ends the work after the current batch; the result is `waiting`.
        batch_rows: how many files a batch has at most.
    """
    report = progress or _ignore_progress
    deadline = time.monotonic() + wait_s
    delay = _POLL_S
    stop = stop or threading.Event()
    while True:
        # Read first, since a claim takes the write lock, and sixty servers may wait here.
        before = state.backfill()
        lease = 0 if has_died(before.owner) else lease_ms
        if claimable(before, now_ms(), lease) and state.claim_backfill(owner, now_ms(), lease):
            upserter = Upserter(
                *(rollouts, state),
                quiet=True,
                first_build=True,
                more_names=more_names,
                sink=sink,
                batch_rows=batch_rows,
            )
            build = _Build(upserter, owner, now_ms, report, stop)
            if build.run(closed_edges):
                return build.result()
        current = state.backfill()
        if current.status == "complete":
            return BackfillResult("complete", done=current.done, found=current.found)
        report(current.done, current.found)
        if time.monotonic() >= deadline or stop.wait(delay):
            return BackfillResult("waiting", done=current.done, found=current.found)
        delay = min(2 * delay, _MAX_POLL_S)


def index_newest_batch(
    rollouts: RolloutStore,
    state: StateStore,
    *,
    more_names: NameSource | None = None,
    batch_rows: int = BATCH_ROWS,
) -> bool:
    """Index only the newest batch, into a store that the whole index soon replaces: enough for the first page of the
    newest threads. Returns False and does nothing if there is only one batch, which a backfill indexes as fast."""
    coverage = BackfillWatermark(rollouts.paths, batch_rows)
    if coverage.found <= batch_rows:
        return False
    batch = next(batches(rollouts.walk(), batch_rows))
    Upserter(rollouts, state, quiet=True, first_build=True, more_names=more_names).upsert_batch(batch, remember=False)
    last = batch[-1].path
    state.checkpoint_backfill(
        BackfillState("running", last, done=len(batch), found=coverage.found, horizon_ms=coverage.complete_since(last))
    )
    return True


def _ignore_progress(done: int, found: int) -> None:
    """The default of `progress`."""


def sync(
    rollouts: RolloutStore,
    state: StateStore,
    *,
    quiet: bool = False,
    written_here: Callable[[], Collection[str]] = frozenset[str],
    more_names: NameSource | None = None,
    all_names: bool = False,
    sink: BadLineSink | None = None,
    batch_rows: int = BATCH_ROWS,
) -> SyncReport:
    """Sync all rows: compare stamps, read the files that differ, remove rows whose file is gone, apply new names.

    `quiet` writes rows without events, except for threads that vanished and names that changed. `all_names` also
    applies names that have changed only in the second source.
    """
    upserter = Upserter(
        *(rollouts, state),
        quiet=quiet,
        written_here=written_here,
        more_names=more_names,
        sink=sink,
        batch_rows=batch_rows,
    )
    upserter.sync_all()
    upserter.apply_names(whole=all_names)
    return upserter.report()


def sync_paths(
    rollouts: RolloutStore,
    state: StateStore,
    paths: Collection[str],
    *,
    written_here: Callable[[], Collection[str]] = frozenset[str],
    more_names: NameSource | None = None,
    all_names: bool = False,
    moves_seen: bool = False,
    sink: BadLineSink | None = None,
) -> SyncReport:
    """Sync the rows of a few paths, relative to the home, that were created, changed or removed.

    Paths that are not rollouts are ignored. Changed names are applied whatever the paths are. A missing rollout is
    searched in the whole home, unless `moves_seen`: then the caller says that the paths include its new one.
    """
    present = rollouts.stat_many(paths)
    gone = {path for path in paths if path.endswith(SUFFIXES)} - present.keys()
    rows = _rows_at(state, present.values(), gone)
    known = {row.path: row for row in rows.values()}
    todo = {
        path: file
        for path, file in present.items()
        if (is_rollout(PurePosixPath(path).name) or path in known) and known.get(path) != file
    }
    seen = {file.thread_id for file in todo.values()}
    lost = {key: row.path for key, row in rows.items() if row.path in gone and key not in seen}
    if moves_seen:
        lost.clear()
    if len(lost) > _MANY_LOST:
        return sync(rollouts, state, written_here=written_here, more_names=more_names, sink=sink)
    for thread_id, path in lost.items():
        todo |= {file.path: file for file in moved_to(rollouts, thread_id, path)}
    upserter = Upserter(rollouts, state, written_here=written_here, more_names=more_names, sink=sink)
    upserter.forget_copies(gone)
    upserter.note_unusable(rollouts.unusable(gone) if gone else [], gone)
    upserter.upsert(newest_first(todo.values()))
    upserter.remove_missing({thread_id: row.path for thread_id, row in rows.items()})
    upserter.apply_names(whole=all_names)
    return upserter.report()


def moved_to(rollouts: RolloutStore, thread_id: str, path: str) -> list[RolloutRef]:
    """Where the rollout that was at a path may be now: the same rollout elsewhere, else others of the thread."""
    name = PurePosixPath(path).name
    rollout_id = rollout_id_of(name) if thread_id_of(name) == thread_id else None
    same = rollouts.locate_rollout(rollout_id) if rollout_id else []
    return same or rollouts.locate(thread_id)


def _rows_at(state: StateStore, present: Collection[RolloutRef], gone: Collection[str]) -> dict[str, RolloutRef]:
    """The rollouts, by id, that rows name at these paths. A query by path is needed only for files without an id in
    their name, and for missing ones."""
    paths = {*gone, *(file.path for file in present)}
    ids = [file.thread_id for file in present if file.thread_id]
    if gone or len(ids) < len(present):
        return state.rollouts_at(paths)
    return {thread_id: row for thread_id, row in state.known_rollouts(ids).items() if row.path in paths}


@dataclass(slots=True)
class _Build:
    """The work of the process that holds the lease of the backfill."""

    upserter: Upserter
    owner: str
    now_ms: Callable[[], int]
    progress: Callable[[int, int], None]
    stop: threading.Event
    watermark: str | None = None
    done: int = 0
    found: int = 0
    horizon_ms: int | None = None

    def run(self, closed_edges: Callable[[], Sequence[SpawnEdge]] | None) -> bool:
        """Build the index. False if it was stopped, or another worker has taken over the lease."""
        try:
            if closed_edges is not None:
                self.upserter.state.commit(Change(edges=tuple(closed_edges())))
            return self._build() and self._finish()
        except BaseException:
            # Release the lease, so that the next worker need not wait until it expires.
            with suppress(Exception):
                self._checkpoint("pending")
            raise

    def result(self) -> BackfillResult:
        report = self.upserter.report()
        return BackfillResult("complete", True, self.done, self.found, report.damaged, report.bad_lines)

    def _build(self) -> bool:
        self.watermark = self.upserter.state.backfill().watermark
        rollouts, watermark = self.upserter.rollouts, self.watermark
        rows = self.upserter.batch_rows
        coverage = BackfillWatermark(rollouts.paths, rows)
        self.found = coverage.found
        self.done = 0 if watermark is None else coverage.count_done(watermark)
        self.horizon_ms = coverage.complete_since(watermark)
        self.progress(self.done, self.found)
        remaining = batches((file for file in rollouts.walk() if watermark is None or file.path < watermark), rows)
        # One batch at a time: the paths and stamps of 100,000 files alone would take 40 MB.
        while (batch := next(remaining, None)) is not None:
            self.upserter.upsert_batch(batch, remember=False)
            self.done += len(batch)
            self.watermark = batch[-1].path
            self.horizon_ms = coverage.complete_since(self.watermark)
            if not self._checkpoint("running"):
                return False
            self.progress(self.done, self.found)
            if self.stop.is_set():
                self._checkpoint("pending")
                return False
        return True

    def _finish(self) -> bool:
        self.upserter.sync_all()
        self.upserter.apply_names(whole=True)
        return self._checkpoint("complete")

    def _checkpoint(self, status: Literal["pending", "running", "complete"]) -> bool:
        current = self.upserter.state.backfill()
        if current.status != "running" or current.owner != self.owner:
            return False
        now = self.now_ms()
        self.upserter.state.checkpoint_backfill(
            BackfillState(
                status=status,
                watermark=self.watermark,
                owner=self.owner,
                updated_at_ms=now,
                completed_at_ms=now if status == "complete" else None,
                done=self.done,
                found=self.found,
                horizon_ms=None if status == "complete" else self.horizon_ms,
            )
        )
        return True
