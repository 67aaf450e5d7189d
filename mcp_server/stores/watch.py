"""Notices what other programs do to the files of a home, and brings the index in step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

import anyio
from watchfiles import Change, awatch  # pyright: ignore[reportUnknownVariableType]

from mcp_server.errors import StoreFailure
from mcp_server.stores.adopt import NameSource
from mcp_server.stores.base import RolloutStore, StateStore
from mcp_server.stores.reconcile import sync, sync_paths

logger = logging.getLogger(__name__)

_FOLDERS = ("sessions/", "archived_sessions/")
_INDEX = "session_index.jsonl"
# Changes within this time are taken together; a writer that never pauses is seen at least this often.
_DEBOUNCE_MS = 400
# Where the system gives no notice of changes, the folders are compared this often.
_POLL_SECONDS = 30.0


async def watch_home(
    rollouts: RolloutStore,
    state: StateStore,
    home: Path,
    *,
    own: Callable[[], Collection[str]],
    more_names: NameSource | None,
    wake: Callable[[], None],
) -> None:
    """Follow the home until cancelled. `own` are the threads whose files nobody else may write."""

    async def step(paths: Collection[str] | None) -> None:
        try:
            if paths is None:
                report = await sync(rollouts, state, own=own, more_names=more_names)
            else:
                report = await sync_paths(rollouts, state, paths, own=own, more_names=more_names)
            if report.events:
                wake()
        except StoreFailure as error:
            logger.warning("a change in the files could not be indexed: %s", error)

    def concerns(_: Change, path: str) -> bool:
        relative = _relative(home, path)
        return relative == _INDEX or relative.startswith(_FOLDERS)

    try:
        async for changes in awatch(home, watch_filter=concerns, debounce=_DEBOUNCE_MS, step=100):
            await step({_relative(home, path) for _, path in changes})
    except (OSError, RuntimeError) as error:
        logger.warning("changes in %s are looked for every %d s: %s", home, _POLL_SECONDS, error)
        while True:
            await anyio.sleep(_POLL_SECONDS)
            await step(None)


def _relative(home: Path, path: str) -> str:
    return Path(path).relative_to(home).as_posix() if Path(path).is_relative_to(home) else path
