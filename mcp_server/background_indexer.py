"""The index of histories, brought up to date behind everything else, by one process on a home at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.supervision import Failures, Pauses
from mcp_server.threads.turn_index import Indexer

_PAUSE_SECONDS = 3.0


def keep_indexed(
    rollouts: RolloutStore,
    state: StateStore,
    path: Path,
    stop: threading.Event,
    written_here: Callable[[], Collection[str]] = frozenset[str],
) -> None:
    """Index what is unread, now and as it comes, until told to stop. `path` is the state DB's.

    Half of the time is left to the calls: reading lines keeps the interpreter busy.
    """
    indexer, pauses, failures = Indexer(rollouts, state, written_here), Pauses(_PAUSE_SECONDS), Failures()
    while not stop.is_set():
        began = time.monotonic()
        try:
            done = _one_batch(path, indexer)
        except Exception as error:  # whatever it is, the server goes on: search reads what is not indexed
            failures.log("histories are not indexed for the moment", error)
            stop.wait(pauses.next())
            continue
        stop.wait(time.monotonic() - began if done else _PAUSE_SECONDS)


def _one_batch(path: Path, indexer: Indexer) -> int:
    """How many threads it held; none if another process is at it, whose death frees the lock."""
    lock = FileLock(f"{path}.reading", mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return 0
    try:
        return indexer.step()
    finally:
        lock.release()
