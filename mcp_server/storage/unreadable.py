"""The contract of what can't be read: files that are called rollouts and whose threads nobody can tell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from mcp_server.models.thread import FileStamp

READER = 2
"""Raised with each version that reads more than the one before: what that could not read is tried again then."""


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A file without a usable thread, by its path: at which byte reading failed, and why. `stamp` is the file's as it
    was then; None where not the content is at fault but the system, so that each look tries it again."""

    path: str
    stamp: FileStamp | None
    byte: int
    reason: str


class UnreadableStore(Protocol):
    """Remembers what can't be read, so that it is told without reading it again, and not tried again in vain."""

    def note_unreadable(self, found: Sequence[Unreadable], settled: Collection[str] = ()) -> None:
        """Remember these files, in place of what was known of them; and forget those at the `settled` paths."""

    def unreadable(self) -> list[Unreadable]:
        """All that is remembered, by path."""
        ...
