"""What is known about a rollout file: from the listing of its folder, and from its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import structs

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.file_rank import rank_of
from mcp_server.codex.paths import is_archived, is_text, rollout_id_of, thread_id_of
from mcp_server.models.thread import FileStamp, StoredThread

NO_VERSION = FileStamp(0, 0)


class RolloutRef(msgspec.Struct, frozen=True, gc=False):
    """A rollout: where it is, and in which version. Only a home interprets these; others pass it back."""

    path: str
    stamp: FileStamp = NO_VERSION

    @property
    def thread_id(self) -> str | None:
        """The id in its name, if there is one."""
        return thread_id_of(self.path.rpartition("/")[2])

    @property
    def rollout_id(self) -> str | None:
        """The id by which other rollouts borrow from it, if its name has one."""
        return rollout_id_of(self.path)

    @property
    def is_text(self) -> bool:
        """Whether it is plain text, neither compressed nor a document."""
        return is_text(self.path)

    @property
    def version(self) -> FileStamp:
        """If it differs, the rollout has changed."""
        return self.stamp

    @property
    def size(self) -> int:
        """Its bytes, as stored."""
        return self.stamp.size

    @property
    def archived(self) -> bool:
        return is_archived(self.path)


def rollout_of(thread: StoredThread) -> RolloutRef:
    """The rollout of a thread, in the version that the thread was read from."""
    return RolloutRef(thread.path, thread.stamp)


def with_rollout(thread: StoredThread, rollout: RolloutRef) -> StoredThread:
    """The thread after its rollout was written or moved by its own writer."""
    written_at_ms = rollout.stamp.mtime_ns // 1_000_000
    return structs.replace(thread, path=rollout.path, stamp=rollout.stamp, updated_at_ms=written_at_ms)


def current_first(files: Iterable[RolloutRef], thread_id: str | None = None) -> list[RolloutRef]:
    """The files of one thread by rank, the current one first. Without an id, each file ranks for the id in its name."""
    return sorted(files, key=lambda file: rank_of(file.path, thread_id or file.thread_id or ""))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line or a file that was skipped: where, and why. `transient`: the system failed, so another try may succeed."""

    path: str
    offset: int
    reason: str
    transient: bool = False


def add_bad_line(bad: list[BadLine], line: BadLine, bounds: ReadingBounds) -> None:
    """Add a line to the bad lines of a file. After `bounds.bad_lines` of them, one more stands for the rest."""
    if len(bad) < bounds.bad_lines:
        bad.append(line)
    elif len(bad) == bounds.bad_lines:
        bad.append(BadLine(line.path, line.offset, "and more lines after it can't be used either"))


@dataclass(frozen=True, slots=True)
class Description:
    """The thread that a rollout holds, and the lines that could not be used."""

    thread: StoredThread
    bad_lines: tuple[BadLine, ...] = ()
