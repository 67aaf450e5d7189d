"""The sub-agent tree of a thread, above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from msgspec.structs import replace

from mcp_server.errors import DamagedRollout, InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.history import HistoryMark
from mcp_server.models.page import clamp_limit
from mcp_server.models.results import TreeNode, TreeResult
from mcp_server.models.thread import StoredThread
from mcp_server.stores.records import SpawnEdge
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reading import Reader
from mcp_server.threads.tree import Descendant, descendants, outline
from mcp_server.threads.views import title_of

# Turns of threads that are not indexed yet are counted by reading them; in larger trees they are not.
_COUNTED_NODES = 50


class Family:
    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    async def tree(self, reference: str, cursor: str | None = None, limit: int | None = None) -> TreeResult:
        """Ancestors up to the root, and everything below the thread, in the order of the picture: the first `limit` of
        them (None: all), or those behind the cursor. Siblings of ancestors are left out.

        Raises:
            ThreadNotFound, DamagedRollout: as `Catalog.known`.
            InvalidCursor: not a thread of this tree.
        """
        thread_id = await self._catalog.resolve(reference)
        above = await self._catalog.edges_above(thread_id)
        below = await self._catalog.edges_below(thread_id)
        members = _members(thread_id, above, below)
        lines = outline(next(iter(members)), list(members.values())[1:])
        if cursor is not None and all(i != cursor for _, i in lines):
            raise InvalidCursor(cursor)
        page = list(islice(lines, None if limit is None else clamp_limit(limit)))
        edges = {edge.child_id: edge for edge in (*below, *above)}
        nodes = await self._nodes([members[i] for _, i in page], edges, asked=thread_id)
        text = [f"{before}{_label(node, marked=i == thread_id)}" for (before, i), node in zip(page, nodes, strict=True)]
        return TreeResult(
            thread_id=thread_id,
            root_thread_id=next(iter(members)),
            nodes=nodes,
            tree="\n".join(text),
            total=len(members),
            next_cursor=page[-1][1] if next(lines, None) else None,
        )

    async def _nodes(self, members: Sequence[Descendant], edges: Mapping[str, SpawnEdge], asked: str) -> list[TreeNode]:
        """All of them at once: a tree may have thousands. The one that was asked for has to be there."""
        ids = [member.thread_id for member in members]
        wanted = [thread_id for thread_id in dict.fromkeys((*ids, asked)) if not self._catalog.live.get(thread_id)]
        stored = await self._catalog.stored_many(wanted)
        if isinstance(problem := stored.get(asked, asked), DamagedRollout | None):
            raise problem or ThreadNotFound(asked)
        marks = await self._catalog.log.marks(ids)
        nodes: list[TreeNode] = []
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
            nodes.append(
                TreeNode(
                    thread_id=member.thread_id,
                    parent_thread_id=member.parent_id or None,
                    depth=member.depth,
                    edge=edge.status if (edge := edges.get(member.thread_id)) else None,
                    **facts,
                )
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


def _members(thread_id: str, above: Sequence[SpawnEdge], below: Sequence[SpawnEdge]) -> dict[str, Descendant]:
    """The threads of the picture by id, the root first."""
    chain = [thread_id, *(edge.parent_id for edge in above)][::-1]
    line = [Descendant(child, parent, n + 1) for n, (parent, child) in enumerate(pairwise(chain))]
    rest = [node for node in descendants(thread_id, below) if node.thread_id not in chain]
    if line:
        rest = [replace(node, depth=node.depth + len(line)) for node in rest]
    return {node.thread_id: node for node in (Descendant(chain[0], "", 0), *line, *rest)}


def _label(node: TreeNode, *, marked: bool) -> str:
    who = " ".join(part for part in (node.nickname, f"({node.role})" if node.role else None) if part)
    facts = [node.status]
    if node.turns is not None:
        facts.append(f"{node.turns} turn{'' if node.turns == 1 else 's'}")
    if node.archived:
        facts.append("archived")
    name = f"{who}: {node.title}" if who else node.title
    return f"{'* ' if marked else ''}{name} [{', '.join(facts)}] {node.thread_id}"
