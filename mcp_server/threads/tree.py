"""The subtree walk: breadth first, then by id; each thread once, also where edges form a cycle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import msgspec

from mcp_server.stores.records import SpawnEdge


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


def outline(root_id: str, below: Collection[Descendant]) -> Iterator[tuple[str, str]]:
    """The lines of a picture of the tree, one by one: what stands before each thread, and its id."""
    kids: dict[str, list[str]] = {}
    for node in below:
        kids.setdefault(node.parent_id, []).append(node.thread_id)
    yield "", root_id
    # A stack, not recursion: a chain of sub-agents may be deeper than Python's stack.
    stack = [(child, "", n == 0) for n, child in enumerate(reversed(kids.get(root_id, [])))]
    while stack:
        node, indent, last = stack.pop()
        yield f"{indent}{'└─ ' if last else '├─ '}", node
        deeper = indent + ("   " if last else "│  ")
        stack.extend((child, deeper, n == 0) for n, child in enumerate(reversed(kids.get(node, []))))
