"""Stores that outlive the service, in memory and as files with SQLite: what a killed process leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.faults import Faults


@dataclass
class World:
    """Stores that outlive the service, as files and the state DB outlive a process."""

    rollouts: RolloutStore
    state: StateStore

    def service(self, faults: Faults | None = None) -> ThreadService:
        """A new process: what it had loaded and locked is gone."""
        wrap: Callable[[Any], Any] = faults.wrap if faults else lambda store: store
        stores = Stores(wrap(self.rollouts), wrap(MemoryLocks()), wrap(self.state), wrap(MemoryState()), MemoryRollouts)
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
