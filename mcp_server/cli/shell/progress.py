"""A progress bar on stderr for what takes longer than a second, if a person sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE_SECONDS = 1.0


class Bar:
    """A bar that appears at the first report after a second."""

    def __init__(self, what: str) -> None:
        self._what, self._began = what, time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def advance(self, done: int, found: int) -> None:
        """So many are done, of as many as were found (0: not known yet)."""
        if self._shown is None:
            if time.monotonic() - self._began < _PATIENCE_SECONDS or not sys.stderr.isatty():
                return
            self._shown = _begun(self._what)
        progress, task = self._shown
        progress.update(task, completed=done, total=found or None)

    def end(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown[0].stop()
            self._shown = None


@contextmanager
def bar(what: str) -> Generator[Bar]:
    shown = Bar(what)
    try:
        yield shown
    finally:
        shown.end()


def _begun(what: str) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(what, total=None)
    progress.start()
    return progress, task
