"""What is known of a rollout file: by a look at the folders, and by a reading of its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mcp_server.codex.paths import is_archived, thread_id_of
from mcp_server.codex.which_file import standing
from mcp_server.models.thread import FileStamp, StoredThread

MOST_TOLD = 1_000


class RolloutFile(msgspec.Struct, frozen=True, gc=False):
    """A rollout file as a listing of the folders shows it."""

    path: str
    stamp: FileStamp

    @property
    def thread_id(self) -> str | None:
        """What its name says, None if nothing."""
        return thread_id_of(self.path.rpartition("/")[2])

    @property
    def archived(self) -> bool:
        return is_archived(self.path)


def current_first(files: Iterable[RolloutFile], thread_id: str | None = None) -> list[RolloutFile]:
    """Files of one thread (None: of which their names tell) in the order of `standing`."""
    return sorted(files, key=lambda file: standing(file.path, thread_id or file.thread_id or ""))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line or a file that was skipped: where, and why. `passing`: the system failed, another try may do better."""

    path: str
    offset: int
    reason: str
    passing: bool = False


def tell(bad: list[BadLine], line: BadLine) -> None:
    """Add a line to those of a file that can't be used. Of very many, the first are told one by one."""
    if len(bad) < MOST_TOLD:
        bad.append(line)
    elif len(bad) == MOST_TOLD:
        bad.append(BadLine(line.path, line.offset, "and more lines behind it can't be used either"))


@dataclass(frozen=True, slots=True)
class Description:
    """What a whole read of one rollout told: the thread, and the lines that could not be used."""

    thread: StoredThread
    bad_lines: tuple[BadLine, ...] = ()
