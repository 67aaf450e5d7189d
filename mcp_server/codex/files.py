"""What is known of a rollout file: from the listing of its folder, and from its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mcp_server.codex.file_rank import rank_of
from mcp_server.codex.paths import is_archived, thread_id_of
from mcp_server.models.thread import FileStamp, StoredThread

MAX_BAD_LINES = 1_000


class RolloutFile(msgspec.Struct, frozen=True, gc=False):
    """A rollout file as a listing of the folders shows it."""

    path: str
    stamp: FileStamp

    @property
    def thread_id(self) -> str | None:
        """The id in its name, if there is one."""
        return thread_id_of(self.path.rpartition("/")[2])

    @property
    def archived(self) -> bool:
        return is_archived(self.path)


def current_first(files: Iterable[RolloutFile], thread_id: str | None = None) -> list[RolloutFile]:
    """The files of one thread by rank, the current one first. Without an id, each file counts for the thread that its
    name tells."""
    return sorted(files, key=lambda file: rank_of(file.path, thread_id or file.thread_id or ""))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line or a file that was skipped: where, and why. `transient`: the system failed, and a repeated try may not."""

    path: str
    offset: int
    reason: str
    transient: bool = False


def add_bad_line(bad: list[BadLine], line: BadLine) -> None:
    """Add a line to the bad lines of a file. Behind the first `MAX_BAD_LINES` one entry stands for all others."""
    if len(bad) < MAX_BAD_LINES:
        bad.append(line)
    elif len(bad) == MAX_BAD_LINES:
        bad.append(BadLine(line.path, line.offset, "and more lines behind it can't be used either"))


@dataclass(frozen=True, slots=True)
class Description:
    """The thread that a rollout holds, and the lines that could not be used."""

    thread: StoredThread
    bad_lines: tuple[BadLine, ...] = ()
