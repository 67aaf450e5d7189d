"""Supervision of background work: its exceptions are logged, and it restarts with a growing backoff."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Backoff:
    """Pauses between tries, in seconds: `first`, then twice as long each time, up to `most`. After work that ran longer
    than `most`, the next pause is `first` again. `clock` returns monotonic seconds."""

    def __init__(self, first: float = 1.0, most: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._most, self._clock = first, most, clock
        self._next, self._resumed = first, 0.0

    def next(self) -> float:
        """The pause after a failed try."""
        now = self._clock()
        if now - self._resumed > self._most:
            self._next = self._first
        seconds, self._next = self._next, min(max(1.0, 2 * self._next), self._most)
        self._resumed = now + seconds
        return seconds


class FailureLog:
    """Logs exceptions: the first of its kind with its traceback, later ones in one line."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def log(self, what: str, error: Exception) -> None:
        shown = repr(_first(error))
        is_new = shown not in self._known
        if is_new and len(self._known) < _MAX_KNOWN:
            self._known.add(shown)
        logger.error("%s: %s", what, shown, exc_info=error if is_new else None)


_MAX_KNOWN = 1_000


def _first(error: Exception) -> Exception:
    """The exception, or the first one of a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return error  # pyright: ignore[reportUnknownVariableType]
