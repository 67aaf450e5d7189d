"""Cascades over a sub-agent tree: archive, unarchive, delete. Planned, journalled and repeatable.

The order of work: take every writer lock, journal the plan, move the files, update Codex's own rows, record rows,
events and the finished operation in one transaction, release the locks. If the process is killed in between, the next
one completes the journalled operation (`finish`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, TypeVar

import uuid_utils
from msgspec.structs import asdict

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import (
    ActiveWriter,
    ArchivedThreadNotFound,
    ConfirmationRequired,
    EphemeralThread,
    InvalidArgument,
    StoreFailure,
    ThreadNotFound,
    TurnsRunning,
)
from mcp_server.models.heading import short_title
from mcp_server.models.records import Change, Move, Moved, Operation
from mcp_server.models.results import ArchiveResult, DeleteResult, Failure, Titled, UnarchiveResult
from mcp_server.models.thread import StoredThread
from mcp_server.models.value import plain
from mcp_server.storage.codex_rows import CodexRows
from mcp_server.storage.contracts import Leases, UnitOfWork
from mcp_server.storage.rules import row_after
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.plan import Include, Plan, Planner, Plans
from mcp_server.threads.reader import Reader
from mcp_server.threads.tree import descendants
from mcp_server.threads.turns import TurnWriter

logger = logging.getLogger(__name__)

T = TypeVar("T")

Rollouts = Mapping[str, RolloutRef | None]
"""Where the rollouts of threads are now, by thread id; None if deleted."""

# Taking the locks of several trees anew after a refusal ends after this time.
_LOCK_SECONDS = 10.0

_VERBS = {"archive": "archived", "unarchive": "unarchived", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class DeletionScope:
    """What a person is asked to confirm: the threads to delete, their titles by id, and their descendants."""

    titles: dict[str, str]
    sub_agents: tuple[str, ...]

    @property
    def thread_ids(self) -> list[str]:
        return list(self.titles)


class Cascade:
    """The three verbs that move whole trees. A process runs one at a time."""

    def __init__(
        self,
        catalog: Catalog,
        locks: Leases,
        turns: TurnWriter,
        reader: Reader,
        codex: CodexRows,
        now_ms: Callable[[], int],
    ) -> None:
        self._catalog, self._locks, self._turns, self._reader, self._now = catalog, locks, turns, reader, now_ms
        self._codex = codex
        self._loaded, self._planner = catalog.loaded, Planner(catalog)

    # ------------------------------------------------------------------------------------------ verbs

    def archive(self, *references: str, dry_run: bool, interrupt_running: bool) -> ArchiveResult:
        """Archive threads with every descendant: roots first, then descendants in reverse breadth-first order. Of
        several, a tree that is refused is passed over."""
        with self._loaded.cascade_lock:
            plans = self._planner.trees(references, self._planner.archive)
            codex_db = None if dry_run else self._update_lagging_codex_rows(plans.unmoved)
            if not plans.ids():
                return ArchiveResult(
                    dry_run=dry_run, archived=[], already_archived=plans.already, failed=plans.failed, codex_db=codex_db
                )

            def receipt(operation: Operation, _: Rollouts) -> ArchiveResult:
                fields: dict[str, Any] = {"codex_db": codex_db} | self._result_fields(operation, plans, dry_run)
                return ArchiveResult(already_archived=plans.already, interrupted=plans.interrupted, **fields)

            return self._run("archive", plans, dry_run, receipt, interrupt=interrupt_running)

    def unarchive(self, reference: str, *, include: Include, dry_run: bool = False) -> UnarchiveResult:
        """Move an archived thread and the descendants that `include` selects back, parents first. Loads none."""
        root_id = self._catalog.resolve(reference)
        with self._loaded.cascade_lock:
            if self._loaded.get(root_id) is not None:
                raise ArchivedThreadNotFound(root_id)
            root = self._catalog.known(root_id)
            if not root.archived:
                root = self._planner.moved_in_part(root)
            return self._unarchive(Plans([self._planner.unarchive(root, include)]), root, dry_run)

    def undo_archive(self, operation_id: str, *, dry_run: bool = False) -> UnarchiveResult:
        """Bring back exactly what an operation has archived, but for what was brought back since.

        Raises:
            InvalidArgument: no finished archive on record has this id.
        """
        with self._loaded.cascade_lock:
            operation = self._catalog.log.operation(operation_id)
            if operation is None or (operation.kind, operation.state) != ("archive", "done"):
                why = "no archive on record has this id"
                raise InvalidArgument("operation_id", operation_id, why, "pass thread_id, one thread at a time")
            plans = self._planner.undo(operation)
            if not plans.ids():
                return UnarchiveResult(
                    dry_run=dry_run, unarchived=[], already_unarchived=plans.already, failed=plans.failed
                )
            return self._unarchive(plans, None, dry_run)

    def _unarchive(self, plans: Plans, shown: StoredThread | None, dry_run: bool) -> UnarchiveResult:
        def receipt(operation: Operation, moved: Rollouts) -> UnarchiveResult:
            fields = self._result_fields(operation, plans, dry_run)
            there = moved.get(shown.id) if shown and not dry_run else None
            row = row_after(shown, _moved(shown.id, there), self._now()) if shown and there else None
            thread = self._reader.view(row) if row else None
            return UnarchiveResult(thread=thread, already_unarchived=plans.already, **fields)

        return self._run("unarchive", plans, dry_run, receipt)

    def deletion_scope(self, *references: str) -> DeletionScope:
        """What a deletion would concern now, to ask a person about. Of several threads, unknown ones are left out."""
        titles: dict[str, str] = {}
        below = dict[str, None]()
        for reference in references:
            try:
                root_id = self._catalog.resolve(reference)
            except ThreadNotFound:
                if len(references) == 1:
                    raise
                continue
            titles |= self._titles([root_id])
            below |= dict.fromkeys(node.thread_id for node in descendants(root_id, self._catalog.edges_below(root_id)))
        return DeletionScope(titles, tuple(thread_id for thread_id in below if thread_id not in titles))

    def _titles(self, thread_ids: Sequence[str]) -> dict[str, str]:
        """The titles of threads, for people and models to know them by."""
        known, _ = self._catalog.known_many(thread_ids)
        titles: dict[str, str] = {}
        for thread_id in thread_ids:
            thread = known[thread_id]
            titles[thread_id] = short_title(thread) if isinstance(thread, StoredThread) else "(unreadable file)"
        return titles

    def delete(
        self,
        *references: str,
        dry_run: bool,
        interrupt_running: bool = False,
        confirmed: DeletionScope | None = None,
    ) -> DeleteResult:
        """Delete threads with every descendant permanently: descendants first, each root after them. Of several, a tree
        that is refused is passed over.

        Raises:
            ConfirmationRequired: the trees have grown since a person confirmed the deletion (`confirmed`).
        """
        with self._loaded.cascade_lock:
            plans = self._planner.trees(references, self._plan_deletion)
            if not plans.ids():
                return DeleteResult(dry_run=dry_run, deleted=[], already_gone=plans.already, failed=plans.failed)
            if confirmed and (more := set(plans.ids()) - {*confirmed.thread_ids, *confirmed.sub_agents}):
                raise ConfirmationRequired(plans.roots, added=sorted(more))
            self._planner.refuse_in_use(plans)

            def receipt(operation: Operation, _: Rollouts) -> DeleteResult:
                fields = self._result_fields(operation, plans, dry_run)
                return DeleteResult(already_gone=plans.already, interrupted=plans.interrupted, **fields)

            return self._run("delete", plans, dry_run, receipt, interrupt=interrupt_running)

    def _plan_deletion(self, root_id: str) -> Plan:
        loaded = self._loaded.get(root_id)
        if loaded is not None and loaded.ephemeral:
            raise EphemeralThread(root_id, "thread_delete")
        return self._planner.delete(root_id)

    def _result_fields(self, operation: Operation, plans: Plans, dry_run: bool) -> dict[str, Any]:
        """What the receipt of any cascade tells: the journalled result of the operation, and what belongs to it. A dry
        run has titles too."""
        fields: dict[str, Any] = {"copies": plans.copies, "dry_run": dry_run} | operation.result
        fields["failed"] = [Failure(**failure) for failure in operation.result["failed"]]
        if dry_run:
            titles = self._titles(operation.result[_VERBS[operation.kind]])
            fields["titles"] = [Titled(id=thread_id, title=title) for thread_id, title in titles.items()]
        return fields

    def finish(self) -> list[Operation]:
        """Complete the operations that killed processes left in the journal. An operation whose threads are locked is
        skipped: another process still works on it."""
        finished: list[Operation] = []
        with self._loaded.cascade_lock:
            for operation in self._catalog.log.running_operations():
                if operation.kind not in _VERBS:
                    continue
                try:
                    finished += self._finish(operation)
                except ActiveWriter as error:
                    logger.info("Skipped operation %s, which another process works on: %s", operation.id, error)
                except StoreFailure as error:
                    logger.warning("Could not finish the %s of %s: %s", operation.kind, operation.root_id, error)
                except Exception:  # one operation must not keep the others from being finished
                    logger.exception("Could not finish the %s of %s", operation.kind, operation.root_id)
        return finished

    def _update_lagging_codex_rows(self, rollouts: Mapping[str, RolloutRef]) -> str | None:
        """Update Codex's rows of threads that were moved earlier, when the rows could not be updated. Returns why one
        still can't be."""
        if not (lagging := self._codex.lagging(rollouts)):
            return None
        try:
            with ExitStack() as held:
                self._lock(lagging, held)
                return self._codex.move({thread_id: rollouts[thread_id] for thread_id in lagging})
        except ActiveWriter as error:
            return str(error)

    def _finish(self, operation: Operation) -> list[Operation]:
        with ExitStack() as held:
            self._lock(operation.thread_ids, held)
            current = self._catalog.log.operation(operation.id)
            if current is None or current.state != "running":
                return []
            self._unload(operation, held)
            with self._catalog.unit_of_work() as work:
                operation, _ = self._apply(work, operation, failed=[])
            return [operation]

    def _refuse_running(self, plans: Plans, *, interrupt: bool) -> None:
        """Note the threads of each tree in which a turn runs; refuse such trees unless turns may be interrupted.

        Raises:
            TurnsRunning: no tree is left.
        """
        for plan in tuple(plans.trees):
            in_memory = (self._loaded.get(thread_id) for thread_id in plan.moves)
            plan.interrupted = [
                loaded.thread.id for loaded in in_memory if loaded is not None and loaded.turn is not None
            ]
            if plan.interrupted and not interrupt:
                plans.refuse(plan, TurnsRunning(plan.interrupted))

    # ------------------------------------------------------------------------------------------ work

    def _run(
        self,
        kind: Literal["archive", "unarchive", "delete"],
        plans: Plans,
        dry_run: bool,
        receipt: Callable[[Operation, Rollouts], T],
        *,
        interrupt: bool = True,
    ) -> T:
        """Returns what `receipt` makes of the finished operation and of where the rollouts are now. A dry run takes the
        same path and changes nothing: it raises what would be refused and lists what would fail, as far as both can be
        foreseen."""
        with ExitStack() as held:
            self._lock_trees(plans, held, dry_run)
            self._refuse_running(plans, interrupt=interrupt)
            operation = Operation(
                id=f"op_{uuid_utils.uuid7().hex}",
                kind=kind,
                root_id=plans.roots[0],
                moves=tuple(plans.files(current_last=kind == "delete")),
                state="running",
                started_at_ms=self._now(),
                result={"trees": [[plan.root_id, len(plan.moves)] for plan in plans.trees]},
            )
            if dry_run:
                files, failures = self._moved(operation, plans.failed, dry_run)
                codex_db = self._codex.move(_left(files), dry_run)
                return receipt(_finished(operation, files, failures, operation_id=None, codex_db=codex_db), files)
            self._catalog.commit(Change(operation=operation))
            self._unload(operation, held)
            with self._catalog.unit_of_work() as work:
                return work.answer(receipt(*self._apply(work, operation, failed=plans.failed)))

    def _lock_trees(self, plans: Plans, held: ExitStack, dry_run: bool) -> None:
        """Take the writer locks of all trees until the work is done; a dry run only looks whether they are free. A tree
        with a thread that another process holds is refused.

        Raises:
            ActiveWriter: no tree is left.
        """
        if not dry_run:
            self._keep_others_out(plans.ids(), held)
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                self._take_locks(plans.ids(), held, dry_run)
            except ActiveWriter as error:
                if time.monotonic() > deadline:  # the others may have to be waited for as long
                    raise
                plans.refuse(plans.tree_with(error.thread_id), error)
            else:
                return

    def _lock(self, thread_ids: Sequence[str], held: ExitStack) -> None:
        """Take all writer locks until the work is done.

        Raises:
            ActiveWriter: another process holds one; then none is taken.
        """
        self._keep_others_out(thread_ids, held)
        self._take_locks(thread_ids, held)

    def _keep_others_out(self, thread_ids: Sequence[str], held: ExitStack) -> None:
        """Keep other calls of this process from writing to these threads, loading or closing them."""
        held.enter_context(self._loaded.keeping_rows_of(thread_ids))
        held.enter_context(self._loaded.exclusively(thread_ids))
        for thread_id in sorted(set(thread_ids)):
            if (loaded := self._loaded.get(thread_id)) is not None:
                held.enter_context(loaded.lock)

    def _take_locks(self, thread_ids: Sequence[str], held: ExitStack, dry_run: bool = False) -> None:
        """Take the writer locks but for those of the threads loaded here, which this process has already."""
        free = [thread_id for thread_id in thread_ids if self._loaded.get(thread_id) is None]
        if dry_run:
            self._locks.check_free(free)
        else:
            self._locks.acquire(free, for_moments=True)
            held.callback(self._locks.release, free)

    def _unload(self, operation: Operation, held: ExitStack) -> None:
        """Unload the roots, then the others in the order of work. Their writer locks are released only after the move,
        so that no other process can load them in between."""
        roots = {root_id for root_id, _ in _trees(operation)}
        for thread_id in sorted(operation.thread_ids, key=lambda i: i not in roots):
            loaded = self._loaded.get(thread_id)
            if loaded is None:
                continue
            loaded.closing = True
            if loaded.turn is not None:
                try:
                    self._turns.interrupt(loaded)
                except StoreFailure as error:  # a turn without an end is read as interrupted
                    logger.warning("Could not record the interrupted turn of thread %s: %s", thread_id, error)
            self._loaded.remove(thread_id)
            held.callback(self._locks.release, [thread_id])
            self._catalog.record(Change(events=(notices.not_loaded(thread_id),)))

    def _apply(
        self, work: UnitOfWork, operation: Operation, *, failed: Sequence[Failure]
    ) -> tuple[Operation, Rollouts]:
        """Move the files, update Codex's rows, record everything in one transaction. Repeatable: files that are already
        moved count as moved. Returns where the rollout of each moved thread is now."""
        try:
            files, failures = self._moved(operation, failed)
        except StoreFailure:  # every root failed, so nothing was moved
            self._catalog.record(Change(operation=replace(operation, state="done")))
            raise
        codex_db = self._codex.move(_left(files))
        return self._record(work, operation, files, failures, codex_db), files

    def _moved(
        self, operation: Operation, failed: Sequence[Failure], dry_run: bool = False
    ) -> tuple[dict[str, RolloutRef | None], list[Failure]]:
        files: dict[str, RolloutRef | None] = {}
        reasons = {failure.thread_id: failure.reason for failure in failed}
        below = {root_id: ids for root_id, ids in _trees(operation) if ids[:1] == [root_id]}
        # What stays because of another: below a root that could not be moved; and above a thread that could not be
        # deleted, since only its ancestors lead to it.
        kept = dict[str, str]()
        refusals: list[StoreFailure] = []
        for batch in _batches(operation):
            moves = [move for move in batch if move.thread_id not in kept]
            for move in batch:
                if move.thread_id in kept:
                    reasons.setdefault(move.thread_id, kept[move.thread_id])
            for move, outcome in zip(moves, self._move(operation.kind, moves, dry_run), strict=True):
                if not isinstance(outcome, StoreFailure):
                    files.setdefault(move.thread_id, outcome)
                    continue
                reasons[move.thread_id] = str(outcome)
                if operation.kind == "delete":
                    files.pop(move.thread_id, None)
                    above = [move.thread_id, *self._above(move.thread_id, operation)]
                    kept |= dict.fromkeys(above, "a thread below it could not be deleted")
                elif move.thread_id not in files:
                    refusals += [outcome] if move.thread_id in below else []
                    together = below.get(move.thread_id, [move.thread_id])
                    kept |= dict.fromkeys(together, "the thread above it could not be moved")
        if refusals and not files:
            raise refusals[0]
        return files, [Failure(thread_id=thread_id, reason=reason) for thread_id, reason in reasons.items()]

    def _above(self, thread_id: str, operation: Operation) -> list[str]:
        try:
            return self._catalog.parents(thread_id)
        except StoreFailure:  # the ancestors can't be looked up, so everything that is left stays
            return operation.thread_ids

    def _move(self, kind: str, moves: Sequence[Move], dry_run: bool) -> Sequence[RolloutRef | StoreFailure | None]:
        """Move or delete some files. Returns for each where it is now (None: deleted) or why it failed."""
        rollouts = self._catalog.rollouts
        try:
            planned = [RolloutRef(move.path) for move in moves]
            if kind != "delete":
                return rollouts.move(planned, archived=kind == "archive", dry_run=dry_run)
            for rollout in planned:
                rollouts.remove(rollout, dry_run)
        except StoreFailure as error:
            return [error] * len(moves)
        for move in moves if not dry_run else ():
            try:
                rollouts.set_name(move.thread_id, None, self._now())
                if self._catalog.tags.of([move.thread_id]):
                    self._catalog.tags.set(move.thread_id, (), self._now())
            except StoreFailure as error:  # harmless: no look-up finds a name or tag without a thread
                logger.warning("Could not remove name and tags of deleted thread %s: %s", move.thread_id, error)
        return [None] * len(moves)

    def _record(
        self,
        work: UnitOfWork,
        operation: Operation,
        files: Rollouts,
        failures: Sequence[Failure],
        codex_db: str | None,
    ) -> Operation:
        """Record everything in one transaction. The store derives the events of moves, so that a move which another
        process's watcher saw first is announced once. A deletion leaves no row to derive from, so it brings its own."""
        finished = _finished(operation, files, failures, operation_id=operation.id, codex_db=codex_db)
        gone = tuple(files) if operation.kind == "delete" else ()
        work.record(
            Change(
                moved=tuple(_moved(thread_id, file) for thread_id, file in files.items() if file is not None),
                forgotten=gone,
                tombstones=gone,
                operation=finished,
                events=tuple(notices.deleted(thread_id) for thread_id in gone),
            )
        )
        return finished


def _left(files: Rollouts) -> dict[str, RolloutRef]:
    return {thread_id: file for thread_id, file in files.items() if file is not None}


def _finished(
    operation: Operation,
    moved: Collection[str],
    failures: Sequence[Failure],
    *,
    operation_id: str | None,
    codex_db: str | None = None,
) -> Operation:
    fields = {
        "operation_id": operation_id,
        _VERBS[operation.kind]: list(moved),
        "failed": [plain(failure) for failure in failures],
    }
    return replace(operation, state="done", result=fields | ({"codex_db": codex_db} if codex_db else {}))


def _moved(thread_id: str, rollout: RolloutRef) -> Moved:
    return Moved(thread_id, archived=rollout.archived, **asdict(rollout))


def _trees(operation: Operation) -> list[tuple[str, list[str]]]:
    """The root of each tree, and the threads of it that are moved, in the order of work."""
    thread_ids = iter(operation.thread_ids)
    trees: list[tuple[str, int]]
    trees = operation.result.get("trees") or [(operation.root_id, len(operation.thread_ids))]  # before 0.2
    return [(root_id, list(islice(thread_ids, number))) for root_id, number in trees]


def _batches(operation: Operation) -> list[Sequence[Move]]:
    """The moves, grouped by what is moved together. The first of each tree, which may be its root, come alone: if one
    fails, nothing below it is moved. Rollouts that reverts have replaced come after all current ones. Deletions are
    single, since each removes a name too."""
    if operation.kind == "delete":
        return [[move] for move in operation.moves]
    current: dict[str, Move] = {}
    replaced = [move for move in operation.moves if current.setdefault(move.thread_id, move) is not move]
    first = {ids[0] for _, ids in _trees(operation) if ids}
    heads = [move for thread_id, move in current.items() if thread_id in first]
    others = [move for thread_id, move in current.items() if thread_id not in first]
    return [batch for batch in (heads, others, replaced) if batch]
