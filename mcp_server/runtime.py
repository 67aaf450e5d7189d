"""The life of a server: opens the one state handle, reopens it when it is lost, supervises tasks, shuts down.

The handshake never waits: the handle is opened in the background, and a call that needs it waits with a bound.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
from msgspec.structs import replace

from mcp_server import homes
from mcp_server.background_indexer import keep_indexed
from mcp_server.config import Config
from mcp_server.errors import InvalidArgument, StoreFailure
from mcp_server.files_home import FilesHome
from mcp_server.handlers.app import App
from mcp_server.handlers.connections import Connections
from mcp_server.handlers.event_feed import EventFeed
from mcp_server.handlers.notifications import ResourceNotifier
from mcp_server.handlers.workers import in_background, in_worker, in_worker_within
from mcp_server.models.results import StatusResult
from mcp_server.models.times import CLOCKS, Clocks
from mcp_server.status import is_small, status_of
from mcp_server.storage.memory.index import MemoryState
from mcp_server.sync import doctor
from mcp_server.sync.reconciler import BackfillResult, index_newest_batch
from mcp_server.sync.supervision import Backoff, FailureLog
from mcp_server.sync.watcher import WatcherLease, watch_home

if TYPE_CHECKING:
    from mcp_server.storage.sqlite.database import StateDb

logger = logging.getLogger(__name__)

_TIDY_SECONDS = 0.5
_PRUNE_SECONDS = 3_600.0
_REOPEN_SECONDS = 10.0
_CLOSE_SECONDS = 10.0


def _exists(path: Path) -> bool:
    """Like `Path.exists`, but False instead of an error if the folder can't be searched."""
    try:
        path.stat()
    except OSError:
        return False
    return True


class Runtime:
    """One server's stores and service. They live while at least one lifespan is open."""

    def __init__(self, config: Config, clocks: Clocks = CLOCKS) -> None:
        self.config, self._clocks = config, clocks
        self.feed = EventFeed()
        self.home = FilesHome(config, clocks, self.feed.wake_from_thread)
        self.service, self.rollouts, self.locks = self.home.service, self.home.rollouts, self.home.locks
        self.connections = Connections()
        self.connections.on_ended = self.service.lifecycle.unsubscribe_connection
        self.notifier = ResourceNotifier(self.feed.subscribe, self.connections)
        self.app = App(self.service, self.feed, self.examine, self.connections.of, wait_seconds=config.wait_seconds)
        self.app.home_notes = self._home_notes
        # Called once all threads are closed. OS threads that can't be cancelled may still hold up the lifespan's end.
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
            self.home.close()

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
            while not self.home.is_handed_out:
                try:
                    await self._attach(await in_worker(self.home.open_state))
                except Exception as error:
                    self.home.unindexed.newest_only = None
                    self.app.release_calls()
                    if isinstance(error, StoreFailure):
                        logger.error("the state DB can't be used yet, so the files answer: %s", error)
                    else:
                        failures.log("the state DB can't be used yet, so the files answer", error)
                    damaged = self.home.state is not None and self.home.state.damaged
                    await anyio.sleep(max(pauses.next(), 0 if damaged else _REOPEN_SECONDS))
            self.app.release_calls()
            assert self.home.state is not None
            await self._serve_until_lost(self.home.state, path)
            logger.error("the state DB %s is damaged or gone; the files answer until it is rebuilt", path)
            self.home.detach()
            await anyio.sleep(pauses.next())  # do not rebuild in a tight loop if it is lost again and again

    async def _serve_until_lost(self, state: StateDb, path: Path) -> None:
        failures = FailureLog()
        async with anyio.create_task_group() as following:
            watching = partial(in_background, partial(self._follow_files, state))
            following.start_soon(supervised, "the watch of the files", watching)
            if not self.config.read_only:
                indexing = partial(in_background, partial(keep_indexed, self.home.files, state, path))
                following.start_soon(supervised, "the index of histories", indexing)
                following.start_soon(supervised, "the pruning of the log", partial(self._prune_regularly, state))
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

    async def _prune_regularly(self, state: StateDb) -> None:
        """Remove what the log keeps no longer, in small steps: calls write in between."""
        while True:
            more = await in_worker(state.prune, self._clocks.now_ms())
            await anyio.sleep(_TIDY_SECONDS if more else _PRUNE_SECONDS)

    def _follow_files(self, state: StateDb, stop: threading.Event) -> None:
        if self.config.watch:
            watch_home(
                self.rollouts,
                state,
                self.config.home,
                WatcherLease(self.home.watcher_lease_path),
                stop,
                written_here=self.service.loaded.written_here,
                more_names=self.home.codex.names,
                wake=self.feed.wake_from_thread,
            )
        elif self.home.sync_later:
            try:
                self.home.sync(state)
                self.feed.wake_from_thread()
            except StoreFailure as error:
                logger.warning("the index could not be synced with the files: %s", error)

    def _look_ahead(self, _stop: threading.Event) -> None:
        """Fill an index in memory with the newest threads before the first build, so that a first list need not wait.

        Importing the state DB's modules alone takes a quarter of a second.
        """
        newest_only = MemoryState()
        with suppress(Exception):  # the build will meet and report the same error
            if index_newest_batch(self.rollouts, newest_only, more_names=self.home.codex.names):
                self.home.unindexed.newest_only = newest_only
                self._advance(0, newest_only.backfill().found)

    async def _attach(self, state: StateDb) -> None:
        """Bring the index in step with the files and hand it out."""
        if not await in_worker(self.home.is_in_step, state):
            self.home.unindexed.building = state
            while (await in_background(partial(self._backfill, state))).status != "complete":
                logger.warning("timed out waiting for state db backfill; the files answer until it is complete")
                self.home.unindexed.newest_only = None
                self.app.release_calls()
        await in_worker(self._hand_out, state)

    def _backfill(self, state: StateDb, stop: threading.Event) -> BackfillResult:
        return self.home.backfill(state, self._advance, stop)

    def _advance(self, done: int, found: int) -> None:
        anyio.from_thread.run_sync(self.app.advance, done, found)

    def _hand_out(self, state: StateDb) -> None:
        self.home.hand_out(state)
        report = doctor.row_counts(state)
        logger.info("home %s holds %d active and %d archived threads", self.config.home, report.active, report.archived)

    # ------------------------------------------------------------------------------------------ status

    def _home_notes(self) -> list[str]:
        return homes.notes(self.config.home, self.config.home_named_by)

    def examine(self, *, repair: bool, dry_run: bool, deep: bool | None = None) -> StatusResult:
        """Compare index and files; with `repair`, repair the index or, in a dry run, tell what a repair would do.

        `deep` reads every line. None: only if the home is small.
        """
        if deep is None:
            deep = is_small(self.rollouts.walk())
        state = self.home.state if self.home.is_handed_out else None
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
                more_names=self.home.codex.names,
                codex=self.home.codex.rows,
            )
            report, repaired = done.after or done.before, done.counts()
        histories = state.progress()._asdict() if state else {}
        status = status_of(self.config, report, len(self.service.loaded.ids()), histories, repaired)
        return replace(status, notes=self._home_notes())


async def supervised(
    what: str,
    work: Callable[[], Awaitable[None]],
    *,
    pauses: Backoff | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Run work until it ends by itself; restart it after each failure. `what` names it in the log."""
    pauses, failures = pauses or Backoff(), FailureLog()
    while True:
        try:
            await work()
            return
        except Exception as error:
            failures.log(f"{what} failed and is restarted", error)
        await sleep(pauses.next())
