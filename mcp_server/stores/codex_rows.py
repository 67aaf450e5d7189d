"""What the service asks of Codex's own state DB: that its rows follow what was done to their threads.

Codex 0.169 and later trust these rows: where a thread's rollout lies, whether it is archived, its name, its git info.
A row that says otherwise than the files makes Codex refuse to read, resume, fork, archive or unarchive the thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mcp_server.models.params import GitField
from mcp_server.models.thread import GitInfo
from mcp_server.stores.records import Moved


class FollowedGit(NamedTuple):
    """The git info that Codex's row has now, None if there is no such row or it was left as it is; then `left` says
    why."""

    git: GitInfo | None = None
    left: str | None = None


class CodexRows(Protocol):
    """Codex's rows of a home's threads. They are changed where they are: none is made, none removed.

    What stands in the way (another program is at the database, or it is read-only, damaged, of an unknown kind) is no
    error: the database is left as it is, and the answer is a sentence that says so. It is None where all rows follow,
    or where Codex knows none of the threads.
    """

    async def follows(self, thread_id: str) -> bool:
        """Whether there is a row of this thread that can be expected to follow."""
        ...

    async def move(self, moves: Sequence[Moved], dry_run: bool = False) -> str | None:
        """Let the rows tell where the rollouts lie now, and since when they are archived; all in one transaction. The
        caller holds the writer locks of these threads. A dry run changes nothing, and answers what can be foretold."""
        ...

    async def name(self, thread_id: str, name: str) -> str | None:
        """Let the row tell the name."""
        ...

    async def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        """Set or clear these fields of git info in the row. The caller holds the writer lock of the thread."""
        ...


class NoCodexRows(CodexRows):
    """A home that Codex has no database for."""

    async def follows(self, thread_id: str) -> bool:
        return False

    async def move(self, moves: Sequence[Moved], dry_run: bool = False) -> str | None:
        return None

    async def name(self, thread_id: str, name: str) -> str | None:
        return None

    async def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        return FollowedGit()
