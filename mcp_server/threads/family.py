"""The sub-agent tree of a thread, above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from mcp_server.errors import ThreadstoreError
from mcp_server.models.history import HistoryMark
from mcp_server.models.results import TreeNode, TreeResult
from mcp_server.models.thread import StoredThread
from mcp_server.stores.records import SpawnEdge
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reading import Reader
from mcp_server.threads.tree import Descendant, descendants, picture
from mcp_server.threads.views import title_of

# Turns of threads that are not indexed yet are counted by reading them; in larger trees they are not.
_COUNTED_NODES = 50


class Family:
    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    async def tree(self, reference: str) -> TreeResult:
        """Ancestors up to the root, and everything below the thread. Siblings of ancestors are left out."""
        thread_id = await self._catalog.resolve(reference)
        await self._catalog.known(thread_id)
        chain = [thread_id, *await self._catalog.parents(thread_id)][::-1]
        line = [Descendant(child, parent, n + 1) for n, (parent, child) in enumerate(pairwise(chain))]
        edges = await self._catalog.edges_below(thread_id)
        below = [
            Descendant(node.thread_id, node.parent_id, node.depth + len(line))
            for node in descendants(thread_id, edges)
            if node.thread_id not in chain
        ]
        members = [Descendant(chain[0], "", 0), *line, *below]
        above = [edge for child_id in chain if (edge := await self._catalog.log.parent(child_id)) is not None]
        # What lives in memory only has no edge on record, and is open.
        spawned = [SpawnEdge(node.parent_id, node.thread_id) for node in line]
        nodes = await self._nodes(members, {edge.child_id: edge.status for edge in (*spawned, *edges, *above)})
        text, order = picture(chain[0], members[1:], lambda i: _label(nodes[i], marked=i == thread_id))
        return TreeResult(thread_id=thread_id, root_thread_id=chain[0], nodes=[nodes[i] for i in order], tree=text)

    async def _nodes(
        self, members: Sequence[Descendant], edges: Mapping[str, Literal["open", "closed"]]
    ) -> dict[str, TreeNode]:
        """All of them at once: a tree may have thousands."""
        ids = [member.thread_id for member in members]
        stored = await self._catalog.stored_many(
            [thread_id for thread_id in ids if not self._catalog.live.get(thread_id)]
        )
        marks = await self._catalog.log.marks(ids)
        nodes: dict[str, TreeNode] = {}
        for member in members:
            live = self._catalog.live.get(member.thread_id)
            thread = live.thread if live else stored[member.thread_id]
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
                    "turns": await self._turns(thread, marks.get(thread.id), len(members) <= _COUNTED_NODES),
                    "archived": thread.archived,
                }
            nodes[member.thread_id] = TreeNode(
                thread_id=member.thread_id,
                parent_thread_id=member.parent_id or None,
                depth=member.depth,
                edge=edges.get(member.thread_id),
                **facts,
            )
        return nodes

    async def _turns(self, stored: StoredThread, mark: HistoryMark | None, read: bool) -> int | None:
        live = self._catalog.live.get(stored.id)
        if live is not None and not live.materialised:
            return 0
        if mark is not None and mark.stamp == stored.stamp:
            return mark.turns
        try:
            return await self._reader.turn_count(stored) if read else None
        except ThreadstoreError:
            return None


def _label(node: TreeNode, *, marked: bool) -> str:
    who = " ".join(part for part in (node.nickname, f"({node.role})" if node.role else None) if part)
    facts = [node.status]
    if node.turns is not None:
        facts.append(f"{node.turns} turn{'' if node.turns == 1 else 's'}")
    if node.archived:
        facts.append("archived")
    name = f"{who}: {node.title}" if who else node.title
    return f"{'* ' if marked else ''}{name} [{', '.join(facts)}] {node.thread_id}"
