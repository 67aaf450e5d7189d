"""The contract for updating Codex's own state DB after a thread was changed here.

Codex 0.169 and later trust its rows: where a thread's rollout lies, whether it is archived, its name, its git info.
If a row contradicts the files, Codex refuses to read, resume, fork, archive or unarchive the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from mcp_server.codex.files import RolloutRef
from mcp_server.models.params import GitField
from mcp_server.models.thread import GitInfo


class FollowedGit(NamedTuple):
    """The git info that Codex's row has after the update; None if there is no such row, or if it was left as it is. In
    the second case `why_not` says why."""

    git: GitInfo | None = None
    why_not: str | None = None


class CodexRows(Protocol):
    """Codex's rows of a home's threads. Methods change rows in place; they insert and delete none.

    An obstacle (another program holds the database, or it is read-only, damaged or of an unknown kind) is no error: the
    database stays as it is, and the answer is a sentence that says why. The answer is None if all rows are up to date,
    or if Codex knows none of the threads.
    """

    def follows(self, thread_id: str) -> bool:
        """Whether Codex has a row of this thread that this server can update."""
        ...

    def lagging(self, rollouts: Mapping[str, RolloutRef]) -> list[str]:
        """The threads among these whose row names another place than their rollout's. Empty if the rows can't be
        read."""
        ...

    def move(self, rollouts: Mapping[str, RolloutRef], dry_run: bool = False) -> str | None:
        """Set path and archive state in the rows of these threads to those of the rollouts, all in one transaction. The
        caller holds their writer locks. A dry run changes nothing and names the obstacle that it can foresee."""
        ...

    def name(self, thread_id: str, name: str) -> str | None:
        """Set the name in the thread's row."""
        ...

    def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        """Set, or clear with None, these git fields in the thread's row. The caller holds its writer lock."""
        ...


class NoCodexRows(CodexRows):
    """For a home that Codex has no database for."""

    def follows(self, thread_id: str) -> bool:
        return False

    def lagging(self, rollouts: Mapping[str, RolloutRef]) -> list[str]:
        return []

    def move(self, rollouts: Mapping[str, RolloutRef], dry_run: bool = False) -> str | None:
        return None

    def name(self, thread_id: str, name: str) -> str | None:
        return None

    def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        return FollowedGit()
