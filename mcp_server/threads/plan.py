"""The plan of a cascade: which threads it moves, in which order, and which it skips. And the plans of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.errors import (
    ArchivedThreadNotFound,
    AttachedThreadExists,
    DamagedRollout,
    EphemeralThread,
    ForkedHistoryInUse,
    NotMaterialized,
    ThreadNotFound,
    ThreadstoreError,
)
from mcp_server.models.records import Move, Operation
from mcp_server.models.results import Failure
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import ThreadIndex
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.tree import descendants

Include = Literal["same_operation", "all", "none"]
_MISSING = "its file is missing"


@dataclass
class Plan:
    """What a cascade will do with one tree.

    Fields:
        moves: current rollouts, in the order of work.
        companions: by thread, what else moves with it (as in Codex): its history still reads the rollouts that reverts
            have replaced.
        already: threads that need no move; `unmoved` are their rollouts.
        copies: files that carry the id of a thread in the plan and stay where they are.
    """

    root_id: str
    moves: dict[str, RolloutRef] = field(default_factory=dict[str, RolloutRef])
    companions: dict[str, list[RolloutRef]] = field(default_factory=dict[str, list[RolloutRef]])
    already: list[str] = field(default_factory=list[str])
    unmoved: dict[str, RolloutRef] = field(default_factory=dict[str, RolloutRef])
    failed: list[Failure] = field(default_factory=list[Failure])
    interrupted: list[str] = field(default_factory=list[str])
    copies: list[str] = field(default_factory=list[str])

    def ids(self) -> list[str]:
        return list(self.moves)

    def files(self, *, current_last: bool = False) -> list[Move]:
        """All files in the order of work. A thread's current file, which decides where the thread is, comes first; with
        `current_last` it comes last, so that an unfinished deletion leaves no replaced file without its thread."""
        order = -1 if current_last else 1
        return [
            Move(thread_id, one.path)
            for thread_id, rollout in self.moves.items()
            for one in (rollout, *self.companions.get(thread_id, ()))[::order]
        ]


@dataclass
class Plans:
    """The plans of the trees that one cascade moves, in order; no thread is in two. `refused` are those that it passes
    over, by what the caller called them: the cascade goes on as long as a tree is left. So are the threads
    `passed_over`."""

    trees: list[Plan] = field(default_factory=list[Plan])
    refused: dict[str, ThreadstoreError] = field(default_factory=dict[str, ThreadstoreError])
    passed_over: list[Failure] = field(default_factory=list[Failure])

    def add(self, plan: Plan) -> None:
        """Add a plan, but for the threads that another moves already."""
        taken = set(self.ids())
        plan.moves = {thread_id: rollout for thread_id, rollout in plan.moves.items() if thread_id not in taken}
        if plan.root_id not in taken:
            self.trees.append(plan)

    def refuse(self, plan: Plan, error: ThreadstoreError) -> None:
        """Pass a tree over. Raises the error if nothing is left to be moved."""
        self.trees.remove(plan)
        self.refused[plan.root_id] = error
        if not self.ids():
            raise error

    def tree_with(self, thread_id: str) -> Plan:
        """The tree that moves a thread."""
        return next(plan for plan in self.trees if thread_id in plan.moves)

    def ids(self) -> list[str]:
        return [thread_id for plan in self.trees for thread_id in plan.moves]

    def files(self, *, current_last: bool = False) -> list[Move]:
        return [move for plan in self.trees for move in plan.files(current_last=current_last)]

    @property
    def roots(self) -> list[str]:
        return [plan.root_id for plan in self.trees]

    @property
    def already(self) -> list[str]:
        return list(dict.fromkeys(thread_id for plan in self.trees for thread_id in plan.already))

    @property
    def unmoved(self) -> dict[str, RolloutRef]:
        return {thread_id: rollout for plan in self.trees for thread_id, rollout in plan.unmoved.items()}

    @property
    def failed(self) -> list[Failure]:
        refused = [Failure(thread_id=thread_id, reason=str(error)) for thread_id, error in self.refused.items()]
        return [*refused, *self.passed_over, *(failure for plan in self.trees for failure in plan.failed)]

    @property
    def interrupted(self) -> list[str]:
        return [thread_id for plan in self.trees for thread_id in plan.interrupted]

    @property
    def copies(self) -> list[str]:
        return [copy for plan in self.trees for copy in plan.copies]


class Planner:
    """Makes plans. Changes nothing."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._loaded = catalog, catalog.loaded

    def trees(self, references: Sequence[str], plan_of: Callable[[str], Plan]) -> Plans:
        """The plans of the trees below these threads, at least one.

        Raises:
            ThreadstoreError: what the first of them is refused with, if all are.
        """
        plans = Plans()
        for reference in references:
            try:
                plans.add(plan_of(self._catalog.resolve(reference)))
            except ThreadstoreError as error:
                plans.refused[reference] = error
        if not plans.trees:
            raise next(iter(plans.refused.values()))
        return plans

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
        rollouts = self._catalog.lookup.find_rollouts(order)
        for thread_id in order:
            loaded = self._loaded.get(thread_id)
            if loaded is not None and not loaded.has_rollout:
                plan.failed.append(Failure(thread_id=thread_id, reason="it is started, but not materialized yet"))
                continue
            rollout = self._usable(thread_id, rollouts[thread_id], plan)
            if rollout is None:
                continue
            if rollout.archived:
                plan.already.append(thread_id)
                plan.unmoved[thread_id] = rollout
            else:
                plan.moves[thread_id] = rollout
        plan.companions = self._catalog.rollouts.companions(plan.moves, archived=False)
        return self._add_copies(plan)

    def unarchive(self, root: StoredThread, include: Include) -> Plan:
        plan = Plan(root.id, moves={root.id: rollout_of(root)})
        if include != "none":
            self._add_below(plan, together=include == "same_operation")
        plan.companions = self._catalog.rollouts.companions(plan.moves, archived=True)
        return self._add_copies(plan)

    def _add_below(self, plan: Plan, *, together: bool) -> None:
        """Add the archived threads below the root, or those of them that were archived `together` with it."""
        edges = self._catalog.edges_below(plan.root_id)
        below = [node.thread_id for node in descendants(plan.root_id, edges)]
        if below and together:
            # without those that were restored and archived again on their own since
            last = self._catalog.log.last_operations("archive", [plan.root_id, *below])
            below = [thread_id for thread_id in below if last.get(thread_id) == last.get(plan.root_id, "none")]
        rollouts = self._catalog.lookup.find_rollouts(below)
        for thread_id in below:
            if self._loaded.get(thread_id) is not None:
                continue
            rollout = self._usable(thread_id, rollouts[thread_id], plan)
            if rollout is not None and rollout.archived:
                plan.moves[thread_id] = rollout

    def undo(self, operation: Operation) -> Plans:
        """The plans to bring back what an operation has archived and nobody has brought back or archived anew since,
        parents first."""
        archived: list[str] = operation.result["archived"]
        last = self._catalog.log.last_operations("archive", archived)
        rollouts = self._catalog.lookup.find_rollouts(archived)
        ours = {thread_id for thread_id in archived if last.get(thread_id) == operation.id}
        edges = [
            edge for edge in self._catalog.lookup.index().edges_below(ours) if {edge.parent_id, edge.child_id} <= ours
        ]
        children = {edge.child_id for edge in edges}
        plans = Plans()
        for root_id in (thread_id for thread_id in archived if thread_id in ours - children):
            plan = Plan(root_id)
            for thread_id in (root_id, *(node.thread_id for node in descendants(root_id, edges))):
                found = rollouts[thread_id]
                if not isinstance(found, RolloutRef):
                    plan.failed.append(Failure(thread_id=thread_id, reason=str(found) if found else _MISSING))
                elif found.archived:
                    plan.moves[thread_id] = found
                else:
                    plan.already.append(thread_id)
            plan.companions = self._catalog.rollouts.companions(plan.moves, archived=True)
            plans.add(self._add_copies(plan))
        plans.passed_over = [_archived_anew(thread_id) for thread_id in archived if thread_id not in ours]
        return plans

    def moved_in_part(self, thread: StoredThread) -> StoredThread:
        """The thread as archived, if a move that failed half-way left its rollout in both places.

        Raises:
            ArchivedThreadNotFound: the rollout is in the active place only.
        """
        active = rollout_of(thread)
        for one in self._catalog.rollouts.companions({thread.id: active}).get(thread.id, ()):
            if one.archived and one.rollout_id == active.rollout_id:
                return replace(thread, path=one.path, archived=True)
        raise ArchivedThreadNotFound(thread.id)

    def _usable(self, thread_id: str, found: RolloutRef | DamagedRollout | None, plan: Plan) -> RolloutRef | None:
        """The thread's rollout. For a descendant that can't be found or read: None, and a failure in the plan."""
        if isinstance(found, RolloutRef):
            return found
        if thread_id == plan.root_id:
            raise found or ThreadNotFound(thread_id)
        plan.failed.append(Failure(thread_id=thread_id, reason=str(found) if found else _MISSING))
        return None

    def delete(self, root_id: str) -> Plan:
        below = descendants(root_id, self._catalog.edges_below(root_id))
        plan = Plan(root_id)
        order = [*(node.thread_id for node in reversed(below)), root_id]
        free = [thread_id for thread_id in order if self._loaded.get(thread_id) is None]
        rollouts = self._catalog.lookup.find_rollouts(free)
        for thread_id in order:
            loaded = self._loaded.get(thread_id)
            found = rollout_of(loaded.thread) if loaded else rollouts[thread_id]
            if found is None:
                plan.already.append(thread_id)
            elif (usable := self._usable(thread_id, found, plan)) is not None:
                plan.moves[thread_id] = usable
        plan.companions = self._catalog.rollouts.companions(plan.moves)
        return self._add_copies(plan)

    def _add_copies(self, plan: Plan) -> Plan:
        going = {move.path for move in plan.files()}
        plan.copies = [path for path in self._catalog.lookup.copies(plan.ids()) if path not in going]
        return plan

    def refuse_in_use(self, plans: Plans) -> None:
        """Refuse to delete trees whose bytes others still read: paginated forks and attached threads, as Codex does.

        Raises:
            ForkedHistoryInUse, AttachedThreadExists: no tree is left.
        """
        before = 0
        while before != len(plans.trees):  # a tree that stays may read what another deletes
            before, going = len(plans.trees), set(plans.ids())
            for plan in tuple(plans.trees):
                try:
                    self._check_forks(plan, going)
                except (ForkedHistoryInUse, AttachedThreadExists) as error:
                    plans.refuse(plan, error)

    def _check_forks(self, plan: Plan, going: set[str]) -> None:
        index = self._catalog.lookup.index()
        self._check_attached(index, plan.ids(), going)
        for thread_id, rollout in plan.moves.items():
            for one in (rollout, *plan.companions.get(thread_id, ())):
                forks = [fork for fork in index.forks_of(one.rollout_id or thread_id) if fork not in going]
                if forks:
                    raise ForkedHistoryInUse(thread_id, forks)

    def _check_attached(self, index: ThreadIndex, thread_ids: Sequence[str], going: set[str]) -> None:
        queries = [
            ThreadQuery(archived=None, with_preview=None, attached=True, attached_to_id=thread_id, limit=len(going) + 1)
            for thread_id in sorted(thread_ids)
        ]
        for query, count in zip(queries, index.counts(queries), strict=True):
            rows = index.list(query).rows if count.n and query.attached_to_id else ()
            for row in rows:
                if row.id not in going:
                    raise AttachedThreadExists(query.attached_to_id or "", row.id)


def _archived_anew(thread_id: str) -> Failure:
    return Failure(thread_id=thread_id, reason="another operation has archived it since")
