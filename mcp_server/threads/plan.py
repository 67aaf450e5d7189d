"""The plan of a cascade: which threads it moves, in which order, and which it skips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from mcp_server.codex.file_rank import classify_files
from mcp_server.codex.paths import active_date, archived_path, is_archived, revert_order, rollout_id_of
from mcp_server.errors import (
    ArchivedThreadNotFound,
    AttachedThreadExists,
    DamagedRollout,
    EphemeralThread,
    ForkedHistoryInUse,
    NotMaterialized,
    ThreadNotFound,
)
from mcp_server.models.records import Move
from mcp_server.models.results import Failure
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import ThreadIndex
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.tree import descendants

Include = Literal["same_operation", "all", "none"]
_MISSING = "its rollout is missing"


@dataclass
class Plan:
    """What a cascade will do.

    Fields:
        moves: current rollouts, in the order of work.
        replaced: by thread, the rollouts that reverts have replaced. They move with their thread (as in Codex), whose
            history still reads them.
        already: threads that need no move; `unmoved_paths` are their rollouts.
        copies: files that carry the id of a thread in the plan and stay where they are.
    """

    root_id: str
    moves: list[Move] = field(default_factory=list[Move])
    replaced: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    already: list[str] = field(default_factory=list[str])
    unmoved_paths: dict[str, str] = field(default_factory=dict[str, str])
    failed: list[Failure] = field(default_factory=list[Failure])
    interrupted: list[str] = field(default_factory=list[str])
    copies: list[str] = field(default_factory=list[str])

    def ids(self) -> list[str]:
        return [move.thread_id for move in self.moves]

    def files(self, *, current_last: bool = False) -> list[Move]:
        """All files in the order of work. A thread's current file, which decides where the thread is, comes first; with
        `current_last` it comes last, so that an unfinished deletion leaves no replaced file without its thread."""
        order = -1 if current_last else 1
        return [
            Move(move.thread_id, path)
            for move in self.moves
            for path in (move.path, *self.replaced.get(move.thread_id, ()))[::order]
        ]


class Planner:
    """Makes plans. Changes nothing."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._loaded = catalog, catalog.loaded

    def archive(self, root_id: str) -> Plan:
        """Root first, then descendants in reverse breadth-first order. Descendants that are missing or already archived
        are listed apart."""
        loaded_root = self._loaded.get(root_id)
        if loaded_root is not None and loaded_root.ephemeral:
            raise EphemeralThread(root_id, "thread_archive")
        if loaded_root is not None and not loaded_root.has_rollout:
            raise NotMaterialized(root_id, "thread_archive")
        below = descendants(root_id, self._catalog.edges_below(root_id))
        plan = Plan(root_id)
        order = [root_id, *(node.thread_id for node in reversed(below))]
        paths = self._catalog.paths(order)
        for thread_id in order:
            loaded = self._loaded.get(thread_id)
            if loaded is not None and not loaded.has_rollout:
                plan.failed.append(Failure(thread_id=thread_id, reason="it is started, but not materialized yet"))
                continue
            path = self._usable(thread_id, paths[thread_id], plan)
            if path is None:
                continue
            if is_archived(path):
                plan.already.append(thread_id)
                plan.unmoved_paths[thread_id] = path
            else:
                plan.moves.append(Move(thread_id, path))
        self._add_replaced(plan, archived=False)
        return self._add_copies(plan)

    def unarchive(self, root: StoredThread, include: Include) -> Plan:
        plan = Plan(root.id, moves=[Move(root.id, root.path)])
        if include != "none":
            self._add_below(plan, together=include == "same_operation")
        self._add_replaced(plan, archived=True)
        return self._add_copies(plan)

    def _add_below(self, plan: Plan, *, together: bool) -> None:
        """Add the archived threads below the root, or those of them that were archived `together` with it."""
        edges = self._catalog.edges_below(plan.root_id)
        below = [node.thread_id for node in descendants(plan.root_id, edges)]
        if below and together:
            # without those that were restored and archived again on their own since
            same = self._catalog.log.moved_with("archive", plan.root_id)
            below = [thread_id for thread_id in below if thread_id in same]
        paths = self._catalog.paths(below)
        for thread_id in below:
            if self._loaded.get(thread_id) is not None:
                continue
            path = self._usable(thread_id, paths[thread_id], plan)
            if path is not None and is_archived(path):
                plan.moves.append(Move(thread_id, path))

    def moved_in_part(self, thread: StoredThread) -> StoredThread:
        """The thread at its archived path, if a move that failed half-way left its file under both paths.

        Raises:
            ArchivedThreadNotFound: the file has the active path only.
        """
        now = self._catalog.rollouts.stat(thread.path)
        for file in self._catalog.rollouts.locate(thread.id):
            if now is not None and file.archived and (file.path, file.stamp) == (archived_path(now.path), now.stamp):
                return replace(thread, path=file.path, archived=True)
        raise ArchivedThreadNotFound(thread.id)

    def _usable(self, thread_id: str, path: str | DamagedRollout | None, plan: Plan) -> str | None:
        """The path of the thread's rollout. For a descendant that can't be found or read: None, and a failure in the
        plan."""
        if isinstance(path, str):
            return path
        if thread_id == plan.root_id:
            raise path or ThreadNotFound(thread_id)
        plan.failed.append(Failure(thread_id=thread_id, reason=str(path) if path else _MISSING))
        return None

    def delete(self, root_id: str) -> Plan:
        below = descendants(root_id, self._catalog.edges_below(root_id))
        plan = Plan(root_id)
        order = [*(node.thread_id for node in reversed(below)), root_id]
        free = [thread_id for thread_id in order if self._loaded.get(thread_id) is None]
        paths = self._catalog.paths(free)
        for thread_id in order:
            loaded = self._loaded.get(thread_id)
            path = loaded.thread.path if loaded else paths[thread_id]
            if path is None:
                plan.already.append(thread_id)
            elif (usable := self._usable(thread_id, path, plan)) is not None:
                plan.moves.append(Move(thread_id, usable))
        self._add_replaced(plan)
        self._add_half_moved(plan)
        return self._add_copies(plan)

    def _add_replaced(self, plan: Plan, *, archived: bool | None = None) -> None:
        """Add the rollouts that reverts have replaced: those in both folders, or only the archived or active ones."""
        for move in plan.moves:
            if revert_order(move.path):
                files = self._catalog.rollouts.locate(move.thread_id)
                found = classify_files({move.path, *(file.path for file in files)}, move.thread_id)
                plan.replaced[move.thread_id] = [
                    path for path in found.replaced if path != move.path and archived in (None, is_archived(path))
                ]

    def _add_half_moved(self, plan: Plan) -> None:
        """Add the second paths of files to delete, where an interrupted move left a file under both paths."""
        twins = {move.path: twin for move in plan.moves if (twin := _path_across_archive(move.path))}
        there = self._catalog.rollouts.stat_many({*twins, *twins.values()})
        for move in plan.moves:
            file, twin = there.get(move.path), there.get(twins.get(move.path, ""))
            if file is not None and twin is not None and file.stamp == twin.stamp:
                plan.replaced.setdefault(move.thread_id, []).append(twin.path)

    def _add_copies(self, plan: Plan) -> Plan:
        index = self._catalog.index()
        going = {move.path for move in plan.files()}
        plan.copies = [copy.path for copy in index.copies(plan.ids()) if copy.path not in going]
        return plan

    def check_forks(self, plan: Plan) -> None:
        """Refuse to delete threads whose bytes others still read: paginated forks and attached threads, as Codex does.

        Raises:
            ForkedHistoryInUse, AttachedThreadExists
        """
        index = self._catalog.index()
        going = set(plan.ids())
        self._check_attached(index, going)
        for move in plan.files():
            rollout_id = rollout_id_of(move.path) or move.thread_id
            forks = [fork for fork in index.forks_of(rollout_id) if fork not in going]
            if forks:
                raise ForkedHistoryInUse(move.thread_id, forks)

    def _check_attached(self, index: ThreadIndex, going: set[str]) -> None:
        queries = [
            ThreadQuery(archived=None, with_preview=None, attached=True, attached_to_id=thread_id, limit=len(going) + 1)
            for thread_id in sorted(going)
        ]
        for query, count in zip(queries, index.counts(queries), strict=True):
            rows = index.list(query).rows if count.n and query.attached_to_id else ()
            for row in rows:
                if row.id not in going:
                    raise AttachedThreadExists(query.attached_to_id or "", row.id)


def _path_across_archive(path: str) -> str | None:
    """The archived path of an active file, or the reverse; None if the name has no date to derive it from."""
    if not is_archived(path):
        return archived_path(path)
    name = path.rpartition("/")[2]
    folder = active_date(name)
    return folder and f"{folder}/{name}"
