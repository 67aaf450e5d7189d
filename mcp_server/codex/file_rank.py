"""Decides which of several files with the id of one thread is the thread.

Name and folder decide, never a time and never the index. So the same files give the same answer in whatever order they
are found. Archiving never lowers the rank of a file, so no other file takes over an archived thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mcp_server.codex.paths import (
    ARCHIVED,
    COMPRESSED,
    active_date,
    is_archived,
    revert_order,
    thread_id_of,
    uncompressed,
)

_OWN_NAME = re.compile(r"rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[0-9a-f-]{36}(?:_[0-9a-f-]{36})?\.jsonl(?:\.zst)?")


class FileRank(NamedTuple):
    """Compared field by field; the file with the lowest rank is the thread."""

    name_kind: int
    """0: a name that Codex gives to a rollout of this thread. 1: another name in which Codex finds the id. 2: any other
    name, such as sync tools and browsers give to copies (`.sync-conflict-…`, ` 2`, ` (1)`)."""
    reverts: int
    """The rollout of the last revert comes before those that it replaced."""
    misplaced: bool
    """It lies neither directly in the archive nor in the date folder of its name."""
    name: str
    compressed: bool
    archived: bool
    """Codex looks among the active files first, too. It counts only between files of the same name."""
    path: str


def rank_of(path: str, thread_id: str) -> FileRank:
    """The rank of a file whose session metadata carries the thread's id."""
    folder, _, name = path.rpartition("/")
    own = thread_id_of(name) == thread_id
    revert = revert_order(path) if own else ""
    return FileRank(
        name_kind=2 if not own else 0 if _OWN_NAME.fullmatch(name) else 1,
        reverts=-int(revert.replace("-", ""), 16) if revert else 0,
        misplaced=folder not in (ARCHIVED, active_date(name)),
        name=uncompressed(name),
        compressed=name.endswith(COMPRESSED),
        archived=is_archived(path),
        path=path,
    )


def is_canonical(path: str, thread_id: str) -> bool:
    """Whether Codex would give a rollout of the thread this name in this folder."""
    found = rank_of(path, thread_id)
    return not (found.name_kind or found.misplaced)


def is_copy(path: str, current: str, thread_id: str) -> bool:
    """Whether a file with a thread's id is a copy beside the current one, not a rollout that a revert replaced."""
    if thread_id_of(path.rpartition("/")[2]) == thread_id and revert_order(path) != revert_order(current):
        return False
    return rank_of(path, thread_id) > rank_of(current, thread_id)


class ThreadFiles(NamedTuple):
    """The paths of the files of one thread: the current one; those that reverts replaced, from which
    it may still borrow; and copies, which nobody writes to."""

    current: str
    replaced: list[str]
    copies: list[str]


def classify_files(paths: Iterable[str], thread_id: str) -> ThreadFiles:
    """Tell the current file of a thread, the replaced ones and the copies apart. There is at least one path."""
    current, *others = ranked(paths, thread_id)
    found = ThreadFiles(current, [], [])
    seen = {revert_order(current)}
    for path in others:
        if thread_id_of(path.rpartition("/")[2]) == thread_id and (revert := revert_order(path)) not in seen:
            seen.add(revert)
            found.replaced.append(path)
        else:
            found.copies.append(path)
    return found


def ranked(paths: Iterable[str], thread_id: str) -> list[str]:
    """The paths of the files of one thread, by rank: the current one first."""
    return sorted(set(paths), key=lambda path: rank_of(path, thread_id))
