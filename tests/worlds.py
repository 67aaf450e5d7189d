"""Stores that outlive the service, in memory and as files with SQLite: what a killed process leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.codex_rows import CodexRows, NoCodexRows
from mcp_server.storage.contracts import Leases, RolloutStore, StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.lookup import HomeFiles, IndexedFiles, UnindexedFiles
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.faults import Faults


def files_stores(
    rollouts: RolloutStore,
    locks: Leases,
    state: StateStore | None,
    *,
    memory: StateStore | None = None,
    codex: CodexRows | None = None,
    loaded: LoadedThreads | None = None,
) -> Stores:
    """The stores of a home of files; without a state DB (None), the files answer."""
    loaded, memory = loaded or LoadedThreads(), memory or MemoryState()
    files = HomeFiles(rollouts, loaded.written_here)
    lookup = UnindexedFiles(files, memory) if state is None else IndexedFiles(files, state)
    return Stores(rollouts, locks, lookup, memory, MemoryRollouts, loaded, codex or NoCodexRows())


def attach(service: ThreadService, rollouts: RolloutStore, state: StateStore) -> None:
    """Hand out the state DB to a service that began without one."""
    files = HomeFiles(rollouts, service.loaded.written_here)
    service.catalog.attach(IndexedFiles(files, state))


@dataclass
class World:
    """Stores that outlive the service, as files and the state DB outlive a process."""

    rollouts: RolloutStore
    state: StateStore

    def service(self, faults: Faults | None = None) -> ThreadService:
        """A new process: what it had loaded and locked is gone."""
        wrap: Callable[[Any], Any] = faults.wrap if faults else lambda store: store
        stores = files_stores(wrap(self.rollouts), wrap(MemoryLocks()), wrap(self.state), memory=wrap(MemoryState()))
        return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=clock())


def clock() -> Callable[[], int]:
    now = 1_790_000_000_000

    def tick() -> int:
        nonlocal now
        now += 7
        return now

    return tick


@pytest.fixture(params=["memory", "files"])
def new_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], World]]:
    opened: list[StateDb] = []

    def make() -> World:
        if request.param == "memory":
            return World(MemoryRollouts(), MemoryState())
        home = tmp_path / f"home{len(opened)}"
        opened.append(StateDb.open(home / "threadstore.sqlite"))
        return World(RolloutFiles(home), opened[-1])

    yield make
    for state in opened:
        state.close()
