"""The sub-agent tree of a thread, above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from mcp_server.errors import DamagedRollout, InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.page import clamp_limit
from mcp_server.models.quoting import quoted
from mcp_server.models.records import EdgeStatus
from mcp_server.models.results import TreeNode, TreeResult
from mcp_server.models.thread import StoredThread
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.tree import Line, Picture
from mcp_server.threads.views import title_of

# Turns of threads that are not indexed yet are counted by reading them; in larger trees they are not.
_COUNTED_NODES = 50


class Family:
    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    def tree(self, reference: str, cursor: str | None = None, limit: int | None = None) -> TreeResult:
        """Ancestors up to the root, and everything below the thread, in the order of the picture: the first `limit` of
        them (None: all), or those behind the cursor. Siblings of ancestors are left out.

        Raises:
            ThreadNotFound, DamagedRollout: as `Catalog.known`.
            InvalidCursor: not a thread of this tree.
        """
        thread_id = self._catalog.resolve(reference)
        above, below = self._catalog.edges_around(thread_id)
        picture = Picture([edge.parent_id for edge in reversed(above)], thread_id, below)
        lines = iter(picture)
        if cursor is not None and all(line.thread_id != cursor for line in lines):
            raise InvalidCursor(cursor)
        page = list(islice(lines, None if limit is None else clamp_limit(limit)))
        edges: dict[str, EdgeStatus] = {edge.child_id: edge.status for edge in (*below, *above)}
        nodes = self._nodes(page, edges, asked=thread_id)
        text = [
            f"{line.before}{_label(node, marked=node.thread_id == thread_id)}"
            for line, node in zip(page, nodes, strict=True)
        ]
        return TreeResult(
            thread_id=thread_id,
            root_thread_id=picture.root_id,
            nodes=nodes,
            tree="\n".join(text),
            total=len(picture),
            next_cursor=page[-1].thread_id if next(lines, None) else None,
        )

    def _nodes(self, page: Sequence[Line], edges: Mapping[str, EdgeStatus], asked: str) -> list[TreeNode]:
        """All of them at once: a tree may have thousands. The one that was asked for has to be there."""
        known, marks = self._catalog.known_many({*(line.thread_id for line in page), asked})
        if isinstance(problem := known[asked], DamagedRollout | None):
            raise problem or ThreadNotFound(asked)
        nodes: list[TreeNode] = []
        for line in page:
            live = self._catalog.live.get(line.thread_id)
            thread = known[line.thread_id]
            facts: dict[str, Any] = {
                "title": "(no rollout)" if thread is None else "(unreadable rollout)",
                "status": "missing",
            }
            if isinstance(thread, StoredThread):
                facts = {
                    "nickname": thread.agent_nickname,
                    "role": thread.agent_role,
                    "title": title_of(thread),
                    "status": live.status.type if live else "notLoaded",
                    "turns": self._turns(thread, marks.get(thread.id), len(page) <= _COUNTED_NODES),
                    "archived": thread.archived,
                }
            nodes.append(
                TreeNode(
                    thread_id=line.thread_id,
                    parent_thread_id=line.parent_id,
                    depth=line.depth,
                    edge=edges.get(line.thread_id),
                    **facts,
                )
            )
        return nodes

    def _turns(self, stored: StoredThread, mark: IndexCheckpoint | None, read: bool) -> int | None:
        live = self._catalog.live.get(stored.id)
        if live is not None and not live.materialised:
            return 0
        if mark is not None and mark.stamp == stored.stamp:
            return mark.turns
        try:
            return self._reader.turn_count(stored) if read else None
        except ThreadstoreError:
            return None


def _label(node: TreeNode, *, marked: bool) -> str:
    """A line of the picture; nickname, role and title are others' words, and stand in quotes."""
    role = f"({quoted(node.role)})" if node.role else ""
    who = " ".join(part for part in (quoted(node.nickname) if node.nickname else "", role) if part)
    facts = [node.status]
    if node.turns is not None:
        facts.append(f"{node.turns} turn{'' if node.turns == 1 else 's'}")
    if node.archived:
        facts.append("archived")
    title = node.title if node.status == "missing" else quoted(node.title)
    name = f"{who}: {title}" if who else title
    return f"{'* ' if marked else ''}{name} [{', '.join(facts)}] {node.thread_id}"
