"""One process on a home of files: its stores, the service over them, and the one state handle.

A server and a command of the shell open it alike; they differ in how they wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.codex_databases import CodexDatabases
from mcp_server.config import Config, package_version
from mcp_server.gc_tuning import gc_paused
from mcp_server.models.times import CLOCKS, Clocks
from mcp_server.storage.files.exports import ExportFolder
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.files.tags import TagFile
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.storage.process_liveness import worker_name
from mcp_server.sync import doctor
from mcp_server.sync.lookup import HomeFiles, IndexedFiles, UnindexedFiles
from mcp_server.sync.reconciler import BackfillResult, backfill, sync
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.service import Stores, ThreadService

if TYPE_CHECKING:
    from mcp_server.storage.sqlite.database import StateDb

logger = logging.getLogger(__name__)

# An index with at most this many rows is synced with the files before it is handed out, a larger one after.
_SYNC_FIRST_ROWS = 5_000


@cache
def _state_db() -> type[StateDb]:
    """Import `StateDb` only when a handle is opened: the import takes a quarter of a second."""
    with gc_paused():
        from mcp_server.storage.sqlite.database import StateDb

    return StateDb


class FilesHome:
    """The stores of a home and the service over them. Until the state DB is handed out, the files answer. `wake` is
    called when the event log has grown without a call."""

    def __init__(self, config: Config, clocks: Clocks = CLOCKS, wake: Callable[[], None] = lambda: None) -> None:
        self.config, self._clocks = config, clocks
        self.state: StateDb | None = None
        self.sync_later = False
        """Whether the index is handed out first and synced with the files afterwards."""
        self.rollouts = RolloutFiles(config.home, config.reading)
        self.locks = CodexWriterLocks(config.home)
        self.codex = CodexDatabases(config, self.rollouts)
        loaded, memory = LoadedThreads(elapsed_ms=clocks.elapsed_ms), MemoryState()
        names, facts = self.codex.names, self.codex.facts
        self.files = HomeFiles(self.rollouts, loaded.written_here, names, facts, wake)
        self.unindexed = UnindexedFiles(self.files, memory)
        stores = Stores(
            *(self.rollouts, self.locks, self.unindexed, memory),
            new_memory=partial(MemoryRollouts, bounds=config.reading),
            loaded=loaded,
            codex=self.codex.rows,
            tags=TagFile(config.home),
            exports=ExportFolder(config.home),
        )
        self.service = ThreadService(
            stores,
            defaults=config.defaults,
            searching=config.searching,
            now_ms=clocks.now_ms,
            unload_delay=config.unload_delay,
            version=package_version(),
            wake=wake,
        )

    def open_state(self) -> StateDb:
        """Open the state handle; a lost one is closed first. Only this method does.

        Raises:
            StoreFailure: as `StateDb.open`.
        """
        assert self.config.state_path is not None
        path = self.config.state_path
        before, ruined = self.state, None
        if before is not None:
            ruined = before.identity if before.damaged else None
            before.close()
        state = self.state = _state_db().open(path, ruined=ruined, bounds=self.config.database)
        state.on_damage = self.detach
        if state.moved_aside is not None:
            logger.warning("the state DB was unusable and was moved to %s; a new one is built", state.moved_aside)
        return state

    def is_in_step(self, state: StateDb) -> bool:
        """Whether the index was built before. A small one is synced with the files at once."""
        self.sync_later = state.backfill().status == "complete"
        if not self.sync_later:
            return False
        rows = doctor.row_counts(state)
        if rows.active + rows.archived <= _SYNC_FIRST_ROWS:
            self.sync(state)
            self.sync_later = False
        return True

    def backfill(
        self, state: StateDb, progress: Callable[[int, int], None], stop: threading.Event | None = None
    ) -> BackfillResult:
        """Build the index, or wait until another process has."""
        return backfill(
            self.rollouts,
            state,
            owner=worker_name(),
            now_ms=self._clocks.now_ms,
            wait_s=self.config.wait_seconds,
            progress=progress,
            more_names=self.codex.names,
            closed_edges=self.codex.closed_edges,
            stop=stop,
        )

    def hand_out(self, state: StateDb) -> None:
        """Let the index answer from now on, and finish what killed processes have begun."""
        self.service.catalog.attach(IndexedFiles(self.files, state, self.codex.fresh))
        self.unindexed.building = self.unindexed.newest_only = None
        for operation in [*self.service.cascade.finish(), *self.service.metadata.finish()]:
            logger.warning("finished the %s of %s that a killed process had begun", operation.kind, operation.root_id)
        for operation in self.service.importer.finish():
            logger.warning("took back the import of %s that a killed process had begun", operation.root_id)

    @property
    def watcher_lease_path(self) -> Path:
        """Where the lease of the process that watches the files lies."""
        assert self.config.state_path is not None
        return self.config.state_path.with_name(f"{self.config.state_path.name}.watch")

    @property
    def is_handed_out(self) -> bool:
        return self.service.catalog.log is self.state

    def detach(self) -> None:
        """Let the files answer: the state DB is lost."""
        self.unindexed.building = None
        self.service.catalog.detach()

    def sync(self, state: StateDb) -> None:
        """Sync all rows with the files."""
        written_here = self.service.loaded.written_here
        sync(self.rollouts, state, written_here=written_here, more_names=self.codex.names, all_names=True)

    def close(self) -> None:
        if self.state is not None:
            self.state.close()
