"""Notices what other programs do to the files of a home, and brings the index in step."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread
from watchfiles import Change, awatch  # pyright: ignore[reportUnknownVariableType]

from mcp_server.codex.paths import SUFFIXES
from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.reconciler import sync, sync_paths
from mcp_server.sync.supervision import Failures
from mcp_server.sync.upsert import NameSource
from mcp_server.sync.watch_turn import WatchTurn

logger = logging.getLogger(__name__)

_FOLDERS = ("sessions/", "archived_sessions/")
_INDEX = "session_index.jsonl"
_FILES = (*SUFFIXES, ".tmp")
# Changes within this time are taken together; a writer that never pauses is seen at least this often.
_DEBOUNCE_MS = 400
# How often the watching thread looks whether it is to end.
_STEP_MS = 100
# A watch that could not be set up is tried again at once, so often; then the folders are compared each time before.
_RETRIES = 5
_RETRY_SECONDS = 1.0
_POLL_SECONDS = 30.0
_TOLD_CHARS = 300
# How often a server that does not watch looks whether it is its turn, and the one that does shows that it lives.
_TURN_SECONDS = 1.0


async def watch_home(
    rollouts: RolloutStore,
    state: StateStore,
    home: Path,
    turn: WatchTurn,
    *,
    own: Callable[[], Collection[str]],
    more_names: NameSource | None,
    wake: Callable[[], None],
    behind: bool = False,
) -> None:
    """Follow the home until cancelled, whenever it is this process's turn: with sixty servers on one home, each change
    taken in by all of them would be most of their work. The others learn of it from the state DB's log.

    `own` are the threads whose files nobody else may write; `behind` says that the index has not been held against the
    files since it was opened.
    """
    follower = _Follower(rollouts, state, home, own, more_names, wake)
    in_step = not behind
    while True:
        while not turn.take():
            in_step = False
            await anyio.sleep(_TURN_SECONDS)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follower.follow, in_step)
                while turn.keep():  # noqa: ASYNC110 -- it is another process that may take it
                    await anyio.sleep(_TURN_SECONDS)
                tasks.cancel_scope.cancel()
        finally:
            turn.give_back()
        in_step = False


@dataclass(frozen=True, slots=True)
class _Follower:
    """Brings the index in step with what happens to the files, until cancelled."""

    rollouts: RolloutStore
    state: StateStore
    home: Path
    own: Callable[[], Collection[str]]
    more_names: NameSource | None
    wake: Callable[[], None]
    failures: Failures = field(default_factory=Failures)

    async def follow(self, in_step: bool) -> None:
        if not in_step:
            # Before the watch, which holds the event loop still for a quarter of a second on a home of 100,000
            # threads: the first calls go before it.
            await self._step(None)
        failures = 0
        async with _event_at_end() as ended:
            while not ended.is_set():
                try:
                    async for changes in self._changes(ended):
                        failures = 0
                        if not in_step:  # and what changed while the watch was set up
                            in_step = True
                            await self._step(None)
                        elif changes:
                            await self._step(await to_thread.run_sync(self._touched, changes))
                except* Exception as errors:
                    # Something went while the watch was set up, such as a draft of Codex's; or no watch can be had; or
                    # what changed has a name that watchfiles can't tell (its errors come in a group).
                    failures += 1
                    pause = _RETRY_SECONDS if failures <= _RETRIES else _POLL_SECONDS
                    if failures in (1, _RETRIES + 1):
                        why = str(errors.exceptions[0])[:_TOLD_CHARS]  # it may name a path of any length
                        logger.warning("%s can't be watched; looked at every %d s: %s", self.home, pause, why)
                    in_step = False
                    await anyio.sleep(pause)
                    await self._step(None)

    def _changes(self, ended: anyio.Event) -> AsyncGenerator[set[tuple[Change, str]]]:
        """Changes as they come; none from time to time."""
        return awatch(
            self.home,
            watch_filter=self._concerns,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=ended,
            yield_on_timeout=True,
        )

    async def _step(self, paths: Collection[str] | None) -> None:
        try:
            if paths is None:
                report = await sync(self.rollouts, self.state, own=self.own, more_names=self.more_names)
            else:
                report = await sync_paths(self.rollouts, self.state, paths, own=self.own, more_names=self.more_names)
            if report.events:
                self.wake()
        except StoreFailure as error:
            logger.warning("a change in the files could not be indexed: %s", error)
        except Exception as error:
            some = ", ".join(sorted(paths or ())[:5]) or "the home"
            self.failures.log(f"a change in the files could not be indexed ({some})", error)

    def _touched(self, changes: set[tuple[Change, str]]) -> set[str]:
        """The paths that have changed; with a folder the rollouts in it. Of what is put into a new folder before the
        system watches that too, nobody tells."""
        paths = {_relative(self.home, path) for _, path in changes}
        for path in [path for path in paths if not path.endswith(_FILES)]:
            for folder, _, names in os.walk(self.home / path):
                paths.update(_relative(self.home, f"{folder}{os.sep}{name}") for name in names)
        return paths

    def _concerns(self, _: Change, path: str) -> bool:
        relative = _relative(self.home, path)
        return relative == _INDEX or f"{relative}/".startswith(_FOLDERS)


@asynccontextmanager
async def _event_at_end() -> AsyncGenerator[anyio.Event]:
    """An event that is set as soon as the block is cancelled. A worker thread isn't cancelled but waited for, and
    awatch's looks at nothing else for 5 s: longer than a client waits before it kills its server."""
    ended = anyio.Event()

    async def at_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(at_end)
        try:
            yield ended
        finally:
            tasks.cancel_scope.cancel()


def _relative(home: Path, path: str) -> str:
    # As text: a cascade of 1,000 threads makes 6,000 notices, and with Path their filter held the event loop for 0.1 s.
    return path.removeprefix(f"{home}{os.sep}").replace(os.sep, "/")
