"""Work that goes on behind the calls: an exception is logged, and the work is begun again after a pause that grows."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Backoff:
    """How long to wait between tries, in seconds: `first`, then each time twice as long, up to `most`. What went well
    for longer than that begins anew."""

    def __init__(self, first: float = 1.0, most: float = 60.0) -> None:
        self._first, self._most = first, most
        self._next, self._resumed = first, 0.0

    def next(self) -> float:
        """After a try that failed: how long to wait before the next."""
        now = time.monotonic()
        if now - self._resumed > self._most:
            self._next = self._first
        seconds, self._next = self._next, min(max(1.0, 2 * self._next), self._most)
        self._resumed = now + seconds
        return seconds


class FailureLog:
    """Logs exceptions, each with where it came from when it is met first, and in one line when it comes again."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def log(self, what: str, error: Exception) -> None:
        told = repr(_first(error))
        fresh = told not in self._known
        if fresh and len(self._known) < _MOST_KNOWN:
            self._known.add(told)
        logger.error("%s: %s", what, told, exc_info=error if fresh else None)


_MOST_KNOWN = 1_000


def _first(error: Exception) -> Exception:
    """The exception itself, the first one of a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return error  # pyright: ignore[reportUnknownVariableType]
