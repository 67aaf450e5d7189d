"""Standard input with a bound: the SDK's own reading of it takes lines of any length."""

from __future__ import annotations

import io
import logging
import os

from mcp_server.handlers.http import MAX_BODY_BYTES

logger = logging.getLogger(__name__)


class BoundedLines(io.TextIOWrapper):
    """Lines of text. One that is longer than `limit` characters ends the input: who sent it waits for an answer that
    can't be given, since its id is in what was not read, and an end it is told of at once."""

    def __init__(self, source: io.BufferedReader, limit: int) -> None:
        super().__init__(source, encoding="utf-8", errors="replace")
        self._limit = limit
        self._ended = False

    def readline(self, size: int = -1, /) -> str:
        line = "" if self._ended else super().readline(self._limit + 1)
        if len(line) > self._limit:
            self._ended = True
            logger.error("a message of more than %d characters came; the connection is ended", self._limit)
            return ""
        return line


def claimed_stdin() -> BoundedLines:
    """The process's standard input, for the server alone: whatever else reads descriptor 0 finds it at its end."""
    # Not closed with the object: a worker thread may still be reading it when the server ends.
    source = os.fdopen(os.dup(0), "rb", closefd=False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return BoundedLines(source, MAX_BODY_BYTES)
