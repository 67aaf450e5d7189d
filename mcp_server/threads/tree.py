"""Trees of sub-agents: the walk of a cascade, and the picture. Each thread comes once, also where edges form a
cycle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from mcp_server.models.records import SpawnEdge


class Descendant(msgspec.Struct, frozen=True, gc=False):
    """A thread below the root. `depth` is 1 for the root's own children."""

    thread_id: str
    parent_id: str
    depth: int


def descendants(root_id: str, edges: Iterable[SpawnEdge]) -> list[Descendant]:
    """All threads that these edges connect below the root, level by level, each level by id (Codex: depth, then child
    id)."""
    kids = defaultdict[str, list[str]](list)
    for edge in edges:
        kids[edge.parent_id].append(edge.child_id)
    seen = {root_id}
    found: list[Descendant] = []
    level: list[str] = [root_id]
    depth = 0
    while level:
        depth += 1
        pairs = sorted((child, parent) for parent in level for child in kids[parent])
        level = []
        for child, parent in pairs:
            if child not in seen:
                seen.add(child)
                level.append(child)
                found.append(Descendant(child, parent, depth))
    return found


class Line(NamedTuple):
    """A line of a picture: what stands before the thread, and the thread, with its parent and depth in it."""

    before: str
    thread_id: str
    parent_id: str | None
    depth: int


class Picture:
    """A thread in its tree: what is above it, without what is beside that, and all that is below it. Of these `edges`,
    which are one for each child, those count that lead to the thread's descendants."""

    def __init__(self, above: Sequence[str], thread_id: str, edges: Iterable[SpawnEdge]) -> None:
        chain = [*above, thread_id]
        self.root_id = chain[0]
        self._kids: dict[str, list[str]] = {parent: [child] for parent, child in pairwise(chain)}
        self._lines = len(chain)
        kids: dict[str, list[str]] = {}
        for edge in edges:
            kids.setdefault(edge.parent_id, []).append(edge.child_id)
        # Where edges form a cycle, an ancestor is below too, and with it its other children.
        drawn, below = set(chain), [thread_id]
        for parent in below:
            for child in kids.pop(parent, ()):
                below.append(child)
                if child not in drawn:
                    self._kids.setdefault(parent, []).append(child)
                    self._lines += 1

    def __len__(self) -> int:
        """How many lines it has."""
        return self._lines

    def __iter__(self) -> Iterator[Line]:
        """The lines from the root downwards, siblings by id, each drawn when it is asked for."""
        # A stack, not recursion: a chain of sub-agents may be deeper than Python's stack.
        stack = [(Line("", self.root_id, None, 0), "")]
        while stack:
            line, indent = stack.pop()
            yield line
            for n, kid in enumerate(sorted(self._kids.get(line.thread_id, ()), reverse=True)):
                branch, deeper = ("├─ ", "│  ") if n else ("└─ ", "   ")
                stack.append((Line(indent + branch, kid, line.thread_id, line.depth + 1), indent + deeper))
