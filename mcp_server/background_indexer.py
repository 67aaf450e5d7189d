"""Keeps the index of histories up to date: in the background, or at once. One process on a home does so at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.storage.contracts import StateStore
from mcp_server.sync.lookup import HomeFiles, IndexedFiles
from mcp_server.sync.supervision import Backoff, FailureLog
from mcp_server.threads.turn_index import Indexer

_PAUSE_SECONDS = 3.0


def keep_indexed(files: HomeFiles, state: StateStore, path: Path, stop: threading.Event) -> None:
    """Index histories that are not indexed yet, now and as they appear, until `stop` is set. `path` is the state DB's.

    After each step it pauses for as long as the step took, since reading lines keeps the interpreter busy.
    """
    indexer = Indexer(files.rollouts, IndexedFiles(files, state), files.written_here)
    pauses, failures = Backoff(_PAUSE_SECONDS), FailureLog()
    while not stop.is_set():
        began = time.monotonic()
        try:
            done = _one_step(path, indexer, state)
        except Exception as error:  # the server goes on: search reads the files that are not indexed
            failures.log("histories can't be indexed for the moment", error)
            stop.wait(pauses.next())
            continue
        stop.wait(time.monotonic() - began if done else _PAUSE_SECONDS)


def index_now(
    files: HomeFiles, state: StateStore, path: Path, progress: Callable[[int, int], None], seconds: float
) -> None:
    """Index histories that are not indexed yet, the last changed first, and begin no other batch after so many seconds.
    `progress` is told how many are done, of how many. Those that can't be read are left.

    Raises:
        StoreFailure: the index can't be read or written.
        OSError: the lock can't be had.
    """
    if not state.unread(1):
        return
    until, done, unread = time.monotonic() + seconds, 0, state.progress().unread
    indexer = Indexer(files.rollouts, IndexedFiles(files, state), files.written_here, quiet_seconds=0)
    try:
        with _lock(path).acquire(timeout=seconds):
            while time.monotonic() < until and (batch := indexer.step()):
                done += batch
                progress(done, max(done, unread))
    except Timeout:  # another process has been at it for as long
        return


def _lock(path: Path) -> FileLock:
    return FileLock(f"{path}.reading", mode=0o600, thread_local=False)


def _one_step(path: Path, indexer: Indexer, state: StateStore) -> bool:
    """Index one batch, or merge a part of what was indexed. False if nothing was done: there is nothing to do, or
    another process holds the lock, which its death frees."""
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    try:
        return indexer.step() > 0 or state.merge_texts()
    finally:
        lock.release()
