"""The tree of sub-agents around a thread: its descendants, the drawing of it, and the verb that answers with both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from mcp_server.codex.files import rollout_of
from mcp_server.errors import DamagedRollout, InvalidCursor, ThreadNotFound, ThreadstoreError
from mcp_server.models.counting import counted
from mcp_server.models.heading import short_title
from mcp_server.models.history import IndexCheckpoint, TurnSpan
from mcp_server.models.page import clamp_limit
from mcp_server.models.quoting import quoted
from mcp_server.models.records import EdgeStatus, SpawnEdge
from mcp_server.models.results import Fork, TreeNode, TreeResult
from mcp_server.models.thread import StoredThread
from mcp_server.models.tokens import TokenUsage
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.usage import used_by
from mcp_server.threads.views import running_in


class Descendant(msgspec.Struct, frozen=True, gc=False):
    """A thread below the root. `depth` is 1 for the root's own children."""

    thread_id: str
    parent_id: str
    depth: int


def descendants(root_id: str, edges: Iterable[SpawnEdge]) -> list[Descendant]:
    """The descendants of the root along these edges, by depth, then by id (as in Codex)."""
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


class TreeLine(NamedTuple):
    """A line of a drawn tree: the branches before the thread, the thread, its parent and its depth."""

    before: str
    thread_id: str
    parent_id: str | None
    depth: int


class TreeDrawing:
    """The lines of a drawn tree: a thread's ancestors `above` it, without their other children, and its descendants.
    `edges` hold at most one edge for each child; those of other trees are ignored."""

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
        """The number of lines."""
        return self._lines

    def __iter__(self) -> Iterator[TreeLine]:
        """The lines from the root downwards, siblings by id, drawn one by one."""
        # A stack, not recursion: a chain of sub-agents may be deeper than Python's stack.
        stack = [(TreeLine("", self.root_id, None, 0), "")]
        while stack:
            line, indent = stack.pop()
            yield line
            for n, kid in enumerate(sorted(self._kids.get(line.thread_id, ()), reverse=True)):
                branch, deeper = ("├─ ", "│  ") if n else ("└─ ", "   ")
                stack.append((TreeLine(indent + branch, kid, line.thread_id, line.depth + 1), indent + deeper))


# In larger answers, the turns of threads without an up-to-date index are not counted: that would read their files.
_COUNTED_NODES = 50
_SHOWN_FORKS = 50


class ThreadTree:
    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    def show(self, reference: str, cursor: str | None = None, limit: int | None = None) -> TreeResult:
        """The thread's ancestors up to the root and all its descendants, in the order of the drawing: the first `limit`
        of them (None: all), or those after the cursor. Siblings of ancestors are left out.

        Raises:
            ThreadNotFound, DamagedRollout: as `Catalog.known`.
            InvalidCursor: the cursor is not a thread of this tree.
        """
        thread_id = self._catalog.resolve(reference)
        above, below = self._catalog.edges_around(thread_id)
        drawing = TreeDrawing([edge.parent_id for edge in reversed(above)], thread_id, below)
        lines = iter(drawing)
        if cursor is not None and all(line.thread_id != cursor for line in lines):
            raise InvalidCursor(cursor)
        page = list(islice(lines, None if limit is None else clamp_limit(limit)))
        edges: dict[str, EdgeStatus] = {edge.child_id: edge.status for edge in (*below, *above)}
        nodes = self._nodes(page, edges, asked=thread_id)
        used = [node.tokens for node in nodes if node.tokens]
        forks = self._forks([line.thread_id for line in page])
        text = [
            f"{line.before}{_label(node, marked=node.thread_id == thread_id)}"
            for line, node in zip(page, nodes, strict=True)
        ]
        return TreeResult(
            thread_id=thread_id,
            root_thread_id=drawing.root_id,
            nodes=nodes,
            tree="\n".join(text),
            total=len(drawing),
            forks=forks or UNSET,
            tokens=sum(used, TokenUsage()) if used else UNSET,
            next_cursor=page[-1].thread_id if next(lines, None) else None,
        )

    def _forks(self, thread_ids: Sequence[str]) -> list[Fork]:
        """The threads that were forked from these."""
        query = ThreadQuery(archived=None, with_preview=None, forked_from=thread_ids, limit=_SHOWN_FORKS)
        return [
            Fork(
                thread_id=row.id,
                forked_from_id=row.forked_from_id or "",
                title=short_title(row),
                archived=row.archived or UNSET,
            )
            for row in self._catalog.lookup.index().list(query).rows
        ]

    def _nodes(self, page: Sequence[TreeLine], edges: Mapping[str, EdgeStatus], asked: str) -> list[TreeNode]:
        """The nodes of a page, looked up at once: a tree may have thousands. Raises if the thread `asked` for can't be
        read; other nodes then say so."""
        known, marks = self._catalog.known_many({*(line.thread_id for line in page), asked})
        if isinstance(problem := known[asked], DamagedRollout | None):
            raise problem or ThreadNotFound(asked)
        spans = self._catalog.log.all_spans(list(marks))
        nodes: list[TreeNode] = []
        holders = self._reader.holders([line.thread_id for line in page])
        for line in page:
            loaded = self._catalog.loaded.get(line.thread_id)
            thread = known[line.thread_id]
            facts: dict[str, Any] = {
                "title": "(no file)" if thread is None else "(unreadable file)",
                "status": "missing",
            }
            if isinstance(thread, StoredThread):
                facts = {
                    "nickname": thread.agent_nickname,
                    "role": thread.agent_role,
                    "title": short_title(thread),
                    "status": loaded.status.type if loaded else "notLoaded",
                    "last_turn": self._reader.last_turn(thread, holders.get(thread.id)) or UNSET,
                    "running_in": running_in(holder) if (holder := holders.get(thread.id)) else UNSET,
                    "turns": self._turns(thread, marks.get(thread.id), len(page) <= _COUNTED_NODES),
                    "tokens": _tokens(thread, spans.get(thread.id, ())),
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
        loaded = self._catalog.loaded.get(stored.id)
        if loaded is not None and not loaded.has_rollout:
            return 0
        if mark is not None and mark.version == rollout_of(stored).version:
            return mark.turns
        try:
            return self._reader.turn_count(stored) if read else None
        except ThreadstoreError:
            return None


def _tokens(stored: StoredThread, spans: Sequence[TurnSpan]) -> TokenUsage | UnsetType:
    """What the thread itself has used, as far as its turns are indexed."""
    used = used_by(stored, spans)
    return sum(used.values(), TokenUsage()) if used else UNSET


def _label(node: TreeNode, *, marked: bool) -> str:
    """The text of a line. Nickname, role and title are quoted, so that they can't pose as our words."""
    role = f"({quoted(node.role)})" if node.role else ""
    who = " ".join(part for part in (quoted(node.nickname) if node.nickname else "", role) if part)
    facts = [f"running in {node.running_in}" if node.running_in else node.status]
    if node.turns is not None:
        facts.append(counted(node.turns, "turn"))
    if node.last_turn in ("failed", "crashed"):
        facts.append(str(node.last_turn))
    if node.archived:
        facts.append("archived")
    title = node.title if node.status == "missing" else quoted(node.title)
    name = f"{who}: {title}" if who else title
    return f"{'* ' if marked else ''}{name} [{', '.join(facts)}] {node.thread_id}"
