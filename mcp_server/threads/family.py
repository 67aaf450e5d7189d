"""The sub-agent tree of a thread, above and below it."""

from __future__ import annotations

from itertools import pairwise

from mcp_server.errors import ThreadstoreError
from mcp_server.models.results import TreeNode, TreeResult
from mcp_server.models.thread import StoredThread
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reading import Reader
from mcp_server.threads.tree import Descendant, descendants, picture
from mcp_server.threads.views import title_of

# Counting turns reads a thread's whole rollout; in larger trees they are not counted.
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
        below = [
            Descendant(node.thread_id, node.parent_id, node.depth + len(line))
            for node in await descendants(thread_id, self._catalog.children)
            if node.thread_id not in chain
        ]
        family = [*line, *below]
        count = len(family) < _COUNTED_NODES
        nodes = {chain[0]: await self._node(Descendant(chain[0], "", 0), count)}
        for member in family:
            nodes[member.thread_id] = await self._node(member, count)
        text, order = picture(chain[0], family, lambda i: _label(nodes[i], marked=i == thread_id))
        return TreeResult(thread_id=thread_id, root_thread_id=chain[0], nodes=[nodes[i] for i in order], tree=text)

    async def _node(self, member: Descendant, count: bool) -> TreeNode:
        live = self._catalog.live.get(member.thread_id)
        stored = live.thread if live else await self._catalog.stored(member.thread_id)
        edge = await self._catalog.log.parent(member.thread_id)
        if stored is None:
            return TreeNode(
                thread_id=member.thread_id,
                parent_thread_id=member.parent_id or None,
                depth=member.depth,
                title="(no rollout)",
                status="missing",
                edge=edge.status if edge else None,
            )
        return TreeNode(
            thread_id=stored.id,
            parent_thread_id=member.parent_id or None,
            depth=member.depth,
            nickname=stored.agent_nickname,
            role=stored.agent_role,
            title=title_of(stored),
            status=live.status.type if live else "notLoaded",
            turns=await self._turns(stored) if count else None,
            archived=stored.archived,
            edge=edge.status if edge else None,
        )

    async def _turns(self, stored: StoredThread) -> int | None:
        live = self._catalog.live.get(stored.id)
        if live is not None and not live.materialised:
            return 0
        try:
            return await self._reader.turn_count(stored)
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
