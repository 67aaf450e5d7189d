"""Keeps the index of histories up to date in the background. One process on a home does so at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.supervision import Backoff, FailureLog
from mcp_server.threads.turn_index import Indexer

_PAUSE_SECONDS = 3.0


def keep_indexed(
    rollouts: RolloutStore,
    state: StateStore,
    path: Path,
    stop: threading.Event,
    written_here: Callable[[], Collection[str]] = frozenset[str],
) -> None:
    """Index histories that are not indexed yet, now and as they appear, until `stop` is set. `path` is the state DB's.

    After each batch it pauses for as long as the batch took, since reading lines keeps the interpreter busy.
    """
    indexer, pauses, failures = Indexer(rollouts, state, written_here), Backoff(_PAUSE_SECONDS), FailureLog()
    while not stop.is_set():
        began = time.monotonic()
        try:
            done = _one_batch(path, indexer)
        except Exception as error:  # the server goes on: search reads the files that are not indexed
            failures.log("histories can't be indexed for the moment", error)
            stop.wait(pauses.next())
            continue
        stop.wait(time.monotonic() - began if done else _PAUSE_SECONDS)


def _one_batch(path: Path, indexer: Indexer) -> int:
    """Index one batch and return its number of threads; 0 if another process holds the lock, which its death frees."""
    lock = FileLock(f"{path}.reading", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return 0
    try:
        return indexer.step()
    finally:
        lock.release()
