"""What the server asks of writer locks, and who may hold one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a writer lock, as far as the system tells."""

    pid: int | None = None
    program: str | None = None
    since_ms: int | None = None


class WriterLocks(Protocol):
    """One writer per thread, across processes and programs: Codex's own `thread-writer-locks/<id>.lock`."""

    def acquire(self, thread_id: str) -> None:
        """Take the lock, without waiting. Taking one that this object holds already is an error of the program.

        Raises:
            ActiveWriter: another process (or another owner in this one) holds it.
        """

    def release(self, thread_id: str) -> None:
        """Give the lock back and remove its file. Not held is fine."""

    def acquire_many(self, thread_ids: Sequence[str]) -> None:
        """`acquire` for each, all or none. For one piece of work: as long as it is short, another process that wants
        any lock may be made to wait, rather than be refused one of these."""

    def check_free(self, thread_ids: Sequence[str]) -> None:
        """Raises what `acquire_many` would now, as far as can be seen; takes nothing, makes nothing."""

    def release_many(self, thread_ids: Collection[str]) -> None:
        """`release` for each."""

    def held(self) -> frozenset[str]:
        """The threads whose locks this object holds."""
        ...

    def holder(self, thread_id: str) -> Holder | None:
        """Who holds the lock in another process; None if it is free or ours."""

    def foreign(self) -> dict[str, Holder]:
        """All locks of the home that other processes hold."""
        ...
