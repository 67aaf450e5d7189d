"""Which of several files that carry one thread's id is the thread: the one place where that is settled. Pure.

Name and place decide, never a time and never what the index has said before. So the same files give the same answer to
every index, in whatever order it met them; and since a file's standing never falls when it is archived, no other file
takes its thread over then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mcp_server.codex.paths import ARCHIVED, COMPRESSED, active_date, is_archived, succession, thread_id_of

_OWN_NAME = re.compile(r"rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[0-9a-f-]{36}(?:_[0-9a-f-]{36})?\.jsonl(?:\.zst)?")


class Standing(NamedTuple):
    """Compared from the first field on; the least is the thread."""

    strange: int
    """0: a name that Codex gives to a rollout of this thread. 1: one in which Codex finds its id all the same. 2: any
    other, such as those that sync tools and browsers give to copies (`.sync-conflict-…`, ` 2`, ` (1)`)."""
    reverts: int
    """The rollout of the last revert goes before those that it has replaced."""
    misplaced: bool
    """Neither flat among the archived ones nor in the date folder that its name tells."""
    name: str
    compressed: bool
    archived: bool
    """Codex, too, looks among the active ones first; but only one of the same name goes before an archived one."""
    path: str


def standing(path: str, thread_id: str) -> Standing:
    """How good the claim of a file is that carries a thread's id in its session metadata."""
    folder, _, name = path.rpartition("/")
    own = thread_id_of(name) == thread_id
    revert = succession(path) if own else ""
    return Standing(
        strange=2 if not own else 0 if _OWN_NAME.fullmatch(name) else 1,
        reverts=-int(revert.replace("-", ""), 16) if revert else 0,
        misplaced=folder not in (ARCHIVED, active_date(name)),
        name=name.removesuffix(".zst") if name.endswith(COMPRESSED) else name,
        compressed=name.endswith(COMPRESSED),
        archived=is_archived(path),
        path=path,
    )


def is_own(path: str, thread_id: str) -> bool:
    """Whether Codex itself would give a rollout of the thread this name and this place."""
    found = standing(path, thread_id)
    return not (found.strange or found.misplaced)


def is_copy(path: str, current: str, thread_id: str) -> bool:
    """Whether a file with a thread's id is one of the thread's current file too many. The others with a name of the
    thread's own are what reverts have replaced."""
    if thread_id_of(path.rpartition("/")[2]) == thread_id and succession(path) != succession(current):
        return False
    return standing(path, thread_id) > standing(current, thread_id)


class Sorted(NamedTuple):
    """The files of one thread by path: the one that is the thread, those that reverts have replaced and it reads on in,
    and those that are there once too often, which nobody writes to."""

    current: str
    replaced: list[str]
    copies: list[str]


def sort_out(paths: Iterable[str], thread_id: str) -> Sorted:
    """What the files of a thread are, of which there is at least one."""
    current, *others = best_first(paths, thread_id)
    found = Sorted(current, [], [])
    seen = {succession(current)}
    for path in others:
        if thread_id_of(path.rpartition("/")[2]) == thread_id and (revert := succession(path)) not in seen:
            seen.add(revert)
            found.replaced.append(path)
        else:
            found.copies.append(path)
    return found


def best_first(paths: Iterable[str], thread_id: str) -> list[str]:
    """The files of one thread by path: the one that is the thread, then the others as they would take its place."""
    return sorted(set(paths), key=lambda path: standing(path, thread_id))
