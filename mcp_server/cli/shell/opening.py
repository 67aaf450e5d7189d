"""Opens a home for one command, as a server does: by its index, beside whoever else works on it, else by its files."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mcp_server.cli.options import check_home, usage_errors
from mcp_server.cli.shell.progress import bar
from mcp_server.cli.shell.safe_text import safe_line
from mcp_server.cli.shell.screen import tell

if TYPE_CHECKING:
    from mcp_server.config import Config
    from mcp_server.files_home import FilesHome
    from mcp_server.threads.service import ThreadService

FIGURES_SECONDS = 2.0
"""So long a command reads histories for turns and tokens beside its rows."""


@contextmanager
def opened(
    folder: Path | None,
    *,
    new: bool = False,
    may_be_none: bool = False,
    needs_index: bool = False,
    reading_seconds: float = 0.0,
) -> Generator[ThreadService]:
    """The verbs of a home, which may be missing if it may be `new`: it begins if its index is needed. A default home
    that is missing is an empty one if there `may_be_none`. Waits for its index, with a bound; without one the files
    answer, and stderr says why. Histories that are not indexed yet are read for `reading_seconds`.

    Raises:
        StoreFailure: the index can't be used, and is needed.
    """
    with _home(folder, new=new, may_be_none=may_be_none) as home:
        _open(home, home.config, needs_index=needs_index)
        if home.is_handed_out and reading_seconds:
            _read_histories(home, reading_seconds)
        yield home.service


@contextmanager
def opened_if_indexed(folder: Path | None) -> Generator[ThreadService | None]:
    """The verbs of a home that has an index, without waiting for what the files may add; None if it has none."""
    with _home(folder, new=False) as home:
        if home.config.state_path is None or not home.config.state_path.exists():
            yield None
            return
        state = home.open_state()
        if state.backfill().status != "complete":
            yield None
            return
        home.hand_out(state)
        yield home.service


@contextmanager
def _home(folder: Path | None, *, new: bool, may_be_none: bool = False) -> Generator[FilesHome]:
    from mcp_server.gc_tuning import gc_paused

    _log_safely()
    with gc_paused():
        from mcp_server.config import Config
        from mcp_server.files_home import FilesHome
    with usage_errors():
        config = Config.load(folder)
    if not new and config.home_named_by is None and not os.path.lexists(config.home):
        tell(_no_home_yet(config.home))
        if not may_be_none:
            raise typer.Exit(1)
    else:
        check_home(config, new=new)
    home = FilesHome(config)
    try:
        yield home
    finally:
        home.close()


def _no_home_yet(data: Path) -> str:
    from mcp_server.cli.shell.rows import folder_of
    from mcp_server.homes import codex_home

    return (
        f"No threads yet: there is no {folder_of(str(codex_home()))}, and nothing was recorded in "
        f"{folder_of(str(data))}. An assistant begins the home: see `threadstore install`."
    )


def _open(home: FilesHome, config: Config, *, needs_index: bool) -> None:
    from mcp_server.errors import StoreFailure

    if config.state_path is None or not (needs_index or config.home.exists()):
        return
    try:
        state = home.open_state()
        if not home.is_in_step(state):
            with bar("reading threads") as shown:
                built = home.backfill(state, shown.advance)
            if built.status != "complete":
                raise StoreFailure("another process still builds the index; try again when it is done")
        elif home.sync_later and not _is_watched(home):
            home.sync(state)
        home.hand_out(state)
    except StoreFailure as error:
        if needs_index:
            raise
        tell(f"The index can't be used, so the files answer: {error}")


def _read_histories(home: FilesHome, seconds: float) -> None:
    """Index what is not indexed yet of the histories. If that fails, the answer says what it lacks."""
    from mcp_server.background_indexer import index_now
    from mcp_server.errors import StoreFailure

    state, path = home.state, home.config.state_path
    assert state is not None
    assert path is not None
    with bar("reading histories") as shown, suppress(StoreFailure, OSError):
        index_now(home.files, state, path, shown.advance, seconds)


def _is_watched(home: FilesHome) -> bool:
    """Whether a server watches the files, and so keeps the index in step with them."""
    from mcp_server.sync.watcher import WatcherLease

    return WatcherLease(home.watcher_lease_path).is_renewed()


class _SafeFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return safe_line(super().format(record))


def _log_safely() -> None:
    """Log warnings to stderr. Paths and the like in them may hold what a terminal obeys."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_SafeFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
