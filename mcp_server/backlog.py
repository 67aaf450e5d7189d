"""The index of histories, brought up to date behind everything else: few threads here, many in a process of their own,
so that the calls meanwhile don't wait for the interpreter. One process on a home does it at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

import anyio
import anyio.to_process
from filelock import FileLock, Timeout

from mcp_server.stores.base import RolloutStore, StateStore
from mcp_server.threads.indexing import Indexer

logger = logging.getLogger(__name__)

_MANY = 500
_PAUSE_SECONDS = 3.0


async def keep_indexed(
    rollouts: RolloutStore, state: StateStore, home: Path, path: Path, own: Callable[[], Collection[str]]
) -> None:
    """Index what is unread, now and as it comes, until cancelled. `path` is the state DB's."""
    indexer = Indexer(rollouts, state, own)
    while True:
        try:
            if await state.unread_count() > _MANY:
                await anyio.to_process.run_sync(index_backlog, home, path, os.getpid(), cancellable=True)
            while await _alone(path, indexer):
                pass
        except Exception as error:  # whatever it is, the server goes on: search reads what is not indexed
            logger.warning("histories are not indexed for the moment: %r", error)
        await anyio.sleep(_PAUSE_SECONDS)


async def _alone(path: Path, indexer: Indexer) -> int:
    """One batch, if no other process is at it."""
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return 0
    try:
        return await indexer.step()
    finally:
        lock.release()


def index_backlog(home: Path, path: Path, parent: int) -> None:
    """The same in a process of its own, until nothing is left or the parent has gone. Returns at once if another is at
    it."""
    from mcp_server.stores.rollouts import RolloutFiles
    from mcp_server.stores.state import StateDb

    async def work(state: StateDb) -> None:
        indexer = Indexer(RolloutFiles(home), state)
        while os.getppid() == parent and await indexer.step():
            pass

    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return
    try:
        if hasattr(os, "nice"):
            os.nice(5)
        if (state := StateDb.open_existing(path)) is not None:
            try:
                anyio.run(work, state)
            finally:
                state.close()
    finally:
        lock.release()


def _lock(path: Path) -> FileLock:
    return FileLock(f"{path}.reading", mode=0o600, thread_local=False)
