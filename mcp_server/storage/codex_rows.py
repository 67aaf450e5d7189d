"""What the service asks of Codex's own state DB: that its rows follow what was done to their threads.

Codex 0.169 and later trust these rows: where a thread's rollout lies, whether it is archived, its name, its git info.
A row that says otherwise than the files makes Codex refuse to read, resume, fork, archive or unarchive the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from mcp_server.codex.files import RolloutRef
from mcp_server.models.params import GitField
from mcp_server.models.thread import GitInfo


class FollowedGit(NamedTuple):
    """The git info that Codex's row has now, None if there is no such row or it was left as it is; then `why_not`
    says so."""

    git: GitInfo | None = None
    why_not: str | None = None


class CodexRows(Protocol):
    """Codex's rows of a home's threads. They are changed where they are: none is made, none removed.

    What stands in the way (another program is at the database, or it is read-only, damaged, of an unknown kind) is no
    error: the database is left as it is, and the answer is a sentence that says so. It is None where all rows follow,
    or where Codex knows none of the threads.
    """

    def follows(self, thread_id: str) -> bool:
        """Whether there is a row of this thread that can be expected to follow."""
        ...

    def lagging(self, rollouts: Mapping[str, RolloutRef]) -> list[str]:
        """Those of these threads, each with its rollout, whose row tells of another place; none where that can't be
        seen."""
        ...

    def move(self, rollouts: Mapping[str, RolloutRef], dry_run: bool = False) -> str | None:
        """Let the rows of these threads tell where the rollouts lie now, and since when they are archived; all in one
        transaction. The caller holds their writer locks. A dry run changes nothing, and tells what it can foretell."""
        ...

    def name(self, thread_id: str, name: str) -> str | None:
        """Let the row tell the name."""
        ...

    def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        """Set or clear these fields of git info in the row. The caller holds the writer lock of the thread."""
        ...


class NoCodexRows(CodexRows):
    """A home that Codex has no database for."""

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
