"""The life of a server: opens the one state handle, reopens it when it is lost, supervises tasks, shuts down.

The handshake never waits: the handle is opened in the background, and a call that needs it waits with a bound.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
from msgspec.structs import replace

from mcp_server import homes
from mcp_server.background_indexer import keep_indexed
from mcp_server.codex_databases import CodexDatabases
from mcp_server.config import Config, package_version
from mcp_server.errors import InvalidArgument, StoreFailure
from mcp_server.gc_tuning import gc_paused
from mcp_server.handlers.app import App
from mcp_server.handlers.connections import Connections
from mcp_server.handlers.event_feed import EventFeed
from mcp_server.handlers.notifications import ResourceNotifier
from mcp_server.handlers.workers import in_background, in_worker, in_worker_within
from mcp_server.models.results import StatusResult
from mcp_server.models.times import now_ms
from mcp_server.status import is_small, status_of
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.storage.process_liveness import worker_name
from mcp_server.sync import doctor
from mcp_server.sync.reconciler import BackfillResult, backfill, index_newest_batch, sync
from mcp_server.sync.supervision import Backoff, FailureLog
from mcp_server.sync.watcher import WatcherLease, watch_home
from mcp_server.threads.service import Stores, ThreadService

if TYPE_CHECKING:
    from mcp_server.storage.sqlite.database import StateDb

logger = logging.getLogger(__name__)

_TIDY_SECONDS = 0.5
_REOPEN_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
# An index with at most this many rows is synced with the files before the first call is answered, a larger one after.
_SYNC_FIRST_ROWS = 5_000


@cache
def _state_db() -> type[StateDb]:
    """Import `StateDb` only when a handle is opened: the import takes a quarter of a second."""
    with gc_paused():
        from mcp_server.storage.sqlite.database import StateDb

    return StateDb


def _exists(path: Path) -> bool:
    """Like `Path.exists`, but False instead of an error if the folder can't be searched."""
    try:
        path.stat()
    except OSError:
        return False
    return True


class Runtime:
    """One server's stores and service. They live while at least one lifespan is open."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state: StateDb | None = None
        self.feed = EventFeed()
        self.rollouts = RolloutFiles(config.home)
        self.locks = CodexWriterLocks(config.home)
        self.codex = CodexDatabases(config, self.rollouts)
        stores = Stores(
            *(self.rollouts, self.locks, None, MemoryState(), MemoryRollouts, self.codex.names),
            codex=self.codex.rows,
            facts=self.codex.facts,
            freshness=self.codex.fresh,
        )
        self.service = ThreadService(
            stores,
            defaults=config.defaults,
            now_ms=now_ms,
            unload_delay=config.unload_delay,
            version=package_version(),
            wake=self.feed.wake,
        )
        self.connections = Connections()
        self.connections.on_ended = self.service.lifecycle.unsubscribe_connection
        self.notifier = ResourceNotifier(self.feed.subscribe, self.connections)
        self.app = App(self.service, self.feed, self.examine, self.connections.of, wait_seconds=config.wait_seconds)
        self.app.home_notes = self._home_notes
        # Whether the index is handed out first and synced with the files afterwards.
        self._sync_later = False
        # Called when the threads are closed. Worker threads that can't be cancelled may still hold up the lifespan.
        self.on_closed: Callable[[], None] = lambda: None
        self._open_lifespans = 0

    # ------------------------------------------------------------------------------------------ life

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[str]:
        """One connection in memory or over stdio, or a whole HTTP server. Yields the connection's key."""
        key = self.connections.begin()
        self._open_lifespans += 1
        if self._open_lifespans > 1:
            try:
                yield key
            finally:
                self._open_lifespans -= 1
                await self._end_connection(key)
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervised, "the state DB's task", self._serve_state)
                tasks.start_soon(supervised, "the closing of idle threads", self._tidy_regularly)
                tasks.start_soon(supervised, "the event feed", self._follow_log)
                try:
                    yield key
                finally:
                    await self._end_connection(key)
                    await in_worker_within(_CLOSE_SECONDS, self.service.lifecycle.close_all)
                    self.on_closed()
                    tasks.cancel_scope.cancel()
        finally:
            self._open_lifespans -= 1
            if self.state is not None:
                self.state.close()

    async def _end_connection(self, key: str) -> None:
        self.connections.end(key)
        await in_worker_within(_CLOSE_SECONDS, self.service.lifecycle.unsubscribe_connection, key)

    async def _follow_log(self) -> None:
        await self.feed.follow(lambda: self.service.catalog.log, self.notifier.publish)

    async def _tidy_regularly(self) -> None:
        while True:
            await anyio.sleep(_TIDY_SECONDS)
            await in_worker(self.service.run_housekeeping)

    # ------------------------------------------------------------------------------------------ the handle

    async def _serve_state(self) -> None:
        """Open and migrate the state DB, build or sync the index, finish journalled operations, hand the index out
        and follow the files. Reopen the state DB when it is lost."""
        path = self.config.state_path
        for note in await in_worker(self._home_notes):
            logger.warning("%s", note)
        if path is None:
            logger.info("serving home %s from the files alone", self.config.home)
            self.app.release_calls()
            return
        if not _exists(path):
            await in_background(self._look_ahead)
        pauses, failures = Backoff(first=0.0), FailureLog()
        while True:
            while self.service.catalog.state is None:
                try:
                    await self._attach(await in_worker(self._open_state))
                except Exception as error:
                    self.service.catalog.newest_only = None
                    self.app.release_calls()
                    if isinstance(error, StoreFailure):
                        logger.error("the state DB can't be used yet, so the files answer: %s", error)
                    else:
                        failures.log("the state DB can't be used yet, so the files answer", error)
                    damaged = self.state is not None and self.state.damaged
                    await anyio.sleep(max(pauses.next(), 0 if damaged else _REOPEN_SECONDS))
            self.app.release_calls()
            assert self.state is not None
            await self._serve_until_lost(self.state, path)
            logger.error("the state DB %s is damaged or gone; the files answer until it is rebuilt", path)
            self.service.catalog.detach()
            await anyio.sleep(pauses.next())  # do not rebuild in a tight loop if it is lost again and again

    async def _serve_until_lost(self, state: StateDb, path: Path) -> None:
        failures = FailureLog()
        async with anyio.create_task_group() as following:
            watching = partial(in_background, partial(self._follow_files, state))
            following.start_soon(supervised, "the watch of the files", watching)
            if not self.config.read_only:
                written_here = self.service.loaded.written_here
                indexing = partial(
                    in_background, partial(keep_indexed, self.rollouts, state, path, written_here=written_here)
                )
                following.start_soon(supervised, "the index of histories", indexing)
            while not await in_worker(state.is_lost):  # another process may move the file aside and tell nobody
                await anyio.sleep(_TIDY_SECONDS)
                if self.config.read_only:
                    continue
                try:
                    await in_worker(state.tidy)
                except StoreFailure:
                    pass  # the calls that write report it
                except Exception as error:
                    failures.log(f"the WAL of {path} can't be checkpointed", error)
            following.cancel_scope.cancel()

    def _follow_files(self, state: StateDb, stop: threading.Event) -> None:
        if self.config.watch:
            watch_home(
                self.rollouts,
                state,
                self.config.home,
                WatcherLease(state.path.with_name(f"{state.path.name}.watch")),
                stop,
                written_here=self.service.loaded.written_here,
                more_names=self.codex.names,
                wake=self.feed.wake,
                behind=self._sync_later,
            )
        elif self._sync_later:
            try:
                self._sync(state)
                self.feed.wake()
            except StoreFailure as error:
                logger.warning("the index could not be synced with the files: %s", error)

    def _open_state(self) -> StateDb:
        """Open the state handle. Only this method does."""
        assert self.config.state_path is not None
        path = self.config.state_path
        before, ruined = self.state, None
        if before is not None:
            ruined = before.identity if before.damaged else None
            before.close()
        state = self.state = _state_db().open(path, ruined=ruined)
        state.on_damage = self.service.catalog.detach
        if state.moved_aside is not None:
            logger.warning("the state DB was unusable and was moved to %s; a new one is built", state.moved_aside)
        return state

    def _look_ahead(self, _stop: threading.Event) -> None:
        """Fill an index in memory with the newest threads before the first build, so that a first list need not wait.

        Importing the state DB's modules alone takes a quarter of a second.
        """
        newest_only = MemoryState()
        with suppress(Exception):  # the build will meet and report the same error
            if index_newest_batch(self.rollouts, newest_only, more_names=self.codex.names):
                self.service.catalog.newest_only = newest_only
                self._advance(0, newest_only.backfill().found)

    async def _attach(self, state: StateDb) -> None:
        """Bring the index in step with the files and hand it out."""
        if not await in_worker(self._is_in_step, state):
            self.service.catalog.building = state
            while (await in_background(partial(self._backfill, state))).status != "complete":
                logger.warning("timed out waiting for state db backfill; the files answer until it is complete")
                self.service.catalog.newest_only = None
                self.app.release_calls()
        await in_worker(self._hand_out, state)

    def _is_in_step(self, state: StateDb) -> bool:
        """Whether the index was built before. A small one is synced with the files at once."""
        self._sync_later = state.backfill().status == "complete"
        if not self._sync_later:
            return False
        rows = doctor.row_counts(state)
        if rows.active + rows.archived <= _SYNC_FIRST_ROWS:
            self._sync(state)
            self._sync_later = False
        return True

    def _backfill(self, state: StateDb, stop: threading.Event) -> BackfillResult:
        return backfill(
            self.rollouts,
            state,
            owner=worker_name(),
            now_ms=now_ms,
            wait_s=self.config.wait_seconds,
            progress=self._advance,
            more_names=self.codex.names,
            closed_edges=self.codex.closed_edges,
            stop=stop,
        )

    def _advance(self, done: int, found: int) -> None:
        anyio.from_thread.run_sync(self.app.advance, done, found)

    def _hand_out(self, state: StateDb) -> None:
        self.service.catalog.attach(state)
        for operation in [*self.service.cascade.finish(), *self.service.metadata.finish()]:
            logger.warning("finished the %s of %s that a killed process had begun", operation.kind, operation.root_id)
        report = doctor.row_counts(state)
        logger.info("home %s holds %d active and %d archived threads", self.config.home, report.active, report.archived)

    def _sync(self, state: StateDb) -> None:
        written_here = self.service.loaded.written_here
        sync(self.rollouts, state, written_here=written_here, more_names=self.codex.names, all_names=True)

    # ------------------------------------------------------------------------------------------ status

    def _home_notes(self) -> list[str]:
        return homes.notes(self.config.home, self.config.home_named_by)

    def examine(self, *, repair: bool, dry_run: bool, deep: bool | None = None) -> StatusResult:
        """Compare index and files; with `repair`, repair the index or, in a dry run, tell what a repair would do.

        `deep` reads every line. None: only if the home is small.
        """
        if deep is None:
            deep = is_small(self.rollouts.walk())
        state = self.state if self.service.catalog.state is not None else None
        repaired: dict[str, int] | None = None
        if not repair:
            report = doctor.examine(self.rollouts, state, self.locks, deep=deep)
        elif state is None:
            reason = "there is no usable state DB to repair, so the threads are read from the files"
            raise InvalidArgument("repair", True, reason, "leave it out to see the state of the files")
        else:
            done = doctor.repair(
                *(self.rollouts, state, self.locks),
                dry_run=dry_run,
                deep=deep,
                written_here=self.service.loaded.written_here,
                more_names=self.codex.names,
                codex=self.codex.rows,
            )
            report, repaired = done.after or done.before, done.counts()
        histories = state.progress()._asdict() if state else {}
        status = status_of(self.config, report, len(self.service.loaded.ids()), histories, repaired)
        return replace(status, notes=self._home_notes())


async def supervised(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run work until it ends by itself; restart it after each failure. `what` names it in the log."""
    pauses, failures = Backoff(), FailureLog()
    while True:
        try:
            await work()
            return
        except Exception as error:
            failures.log(f"{what} failed and is restarted", error)
        await anyio.sleep(pauses.next())
