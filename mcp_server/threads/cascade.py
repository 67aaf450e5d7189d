"""Cascades over a sub-agent tree: archive, unarchive, delete. Planned, journalled and repeatable.

The order of work: take every writer lock, journal the plan, move the files, update Codex's own rows, record rows,
events and the finished operation in one transaction, release the locks. If the process is killed in between, the next
one completes the journalled operation (`finish`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import uuid_utils
from msgspec.structs import asdict

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import (
    ActiveWriter,
    ArchivedThreadNotFound,
    ConfirmationRequired,
    DamagedRollout,
    EphemeralThread,
    StoreFailure,
    ThreadNotFound,
    TurnsRunning,
)
from mcp_server.models.records import Change, Move, Moved, Operation
from mcp_server.models.results import ArchiveResult, DeleteResult, Failure, UnarchiveResult
from mcp_server.models.value import plain
from mcp_server.storage.codex_rows import CodexRows
from mcp_server.storage.contracts import Leases, UnitOfWork
from mcp_server.storage.rules import row_after
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.plan import Include, Plan, Planner
from mcp_server.threads.reader import Reader
from mcp_server.threads.tree import descendants
from mcp_server.threads.turns import TurnWriter
from mcp_server.threads.views import title_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

Rollouts = Mapping[str, RolloutRef | None]
"""Where the rollouts of threads are now, by thread id; None if deleted."""

_VERBS = {"archive": "archived", "unarchive": "unarchived", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class DeletionScope:
    """What a person is asked to confirm: the thread to delete, its title, and its descendants."""

    thread_id: str
    title: str
    sub_agents: tuple[str, ...]


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

    def archive(self, reference: str, *, dry_run: bool, interrupt_running: bool) -> ArchiveResult:
        """Archive a thread with every descendant: root first, then descendants in reverse breadth-first order."""
        root_id = self._catalog.resolve(reference)
        with self._loaded.cascade_lock:
            plan = self._planner.archive(root_id)
            codex_db = None if dry_run else self._update_lagging_codex_rows(plan.unmoved)
            if not plan.moves:
                return ArchiveResult(
                    dry_run=dry_run, archived=[], already_archived=plan.already, failed=plan.failed, codex_db=codex_db
                )

            def receipt(operation: Operation, _: Rollouts) -> ArchiveResult:
                fields: dict[str, Any] = {"codex_db": codex_db, "copies": plan.copies} | _result_fields(operation)
                return ArchiveResult(
                    dry_run=dry_run, already_archived=plan.already, interrupted=plan.interrupted, **fields
                )

            return self._run("archive", plan, dry_run, receipt, interrupt=interrupt_running)

    def unarchive(self, reference: str, *, include: Include, dry_run: bool = False) -> UnarchiveResult:
        """Move an archived thread and the descendants that `include` selects back, parents first. Loads none."""
        root_id = self._catalog.resolve(reference)
        with self._loaded.cascade_lock:
            if self._loaded.get(root_id) is not None:
                raise ArchivedThreadNotFound(root_id)
            root = self._catalog.known(root_id)
            if not root.archived:
                root = self._planner.moved_in_part(root)
            plan = self._planner.unarchive(root, include)

            def receipt(operation: Operation, moved: Rollouts) -> UnarchiveResult:
                if dry_run:
                    return UnarchiveResult(dry_run=True, copies=plan.copies, **_result_fields(operation))
                there = moved.get(root_id)
                thread = self._reader.view(row_after(root, _moved(root_id, there), self._now())) if there else None
                return UnarchiveResult(thread=thread, copies=plan.copies, **_result_fields(operation))

            return self._run("unarchive", plan, dry_run, receipt)

    def deletion_scope(self, reference: str) -> DeletionScope:
        """What a deletion would concern now, to ask a person about."""
        root_id = self._catalog.resolve(reference)
        edges = self._catalog.edges_below(root_id)
        below = tuple(node.thread_id for node in descendants(root_id, edges))
        try:
            title = title_of(self._catalog.known(root_id))
        except (ThreadNotFound, DamagedRollout):
            title = "(unreadable rollout)"
        return DeletionScope(root_id, title, below)

    def delete(
        self, reference: str, *, dry_run: bool, interrupt_running: bool = False, confirmed: DeletionScope | None = None
    ) -> DeleteResult:
        """Delete a thread with every descendant permanently: descendants first, the root last.

        Raises:
            ConfirmationRequired: the tree has grown since a person confirmed the deletion (`confirmed`).
        """
        root_id = self._catalog.resolve(reference)
        with self._loaded.cascade_lock:
            loaded = self._loaded.get(root_id)
            if loaded is not None and loaded.ephemeral:
                raise EphemeralThread(root_id, "thread_delete")
            plan = self._planner.delete(root_id)
            if not plan.moves:
                return DeleteResult(dry_run=dry_run, deleted=[], already_gone=plan.already, failed=plan.failed)
            if confirmed and (more := set(plan.ids()) - {confirmed.thread_id, *confirmed.sub_agents}):
                raise ConfirmationRequired(root_id, added=sorted(more))
            self._planner.check_forks(plan)

            def receipt(operation: Operation, _: Rollouts) -> DeleteResult:
                fields: dict[str, Any] = {"copies": plan.copies} | _result_fields(operation)
                return DeleteResult(dry_run=dry_run, already_gone=plan.already, interrupted=plan.interrupted, **fields)

            return self._run("delete", plan, dry_run, receipt, interrupt=interrupt_running)

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

    def _running(self, plan: Plan) -> list[str]:
        in_memory = (self._loaded.get(thread_id) for thread_id in plan.ids())
        return [loaded.thread.id for loaded in in_memory if loaded is not None and loaded.turn is not None]

    # ------------------------------------------------------------------------------------------ work

    def _run(
        self,
        kind: Literal["archive", "unarchive", "delete"],
        plan: Plan,
        dry_run: bool,
        receipt: Callable[[Operation, Rollouts], T],
        *,
        interrupt: bool = True,
    ) -> T:
        """Returns what `receipt` makes of the finished operation and of where the rollouts are now. A dry run takes the
        same path and changes nothing: it raises what would be refused and lists what would fail, as far as both can be
        foreseen."""
        with ExitStack() as held:
            if dry_run:
                self._locks.check_free([i for i in plan.ids() if self._loaded.get(i) is None])
            else:
                self._lock(plan.ids(), held)
            plan.interrupted = self._running(plan)
            if plan.interrupted and not interrupt:
                raise TurnsRunning(plan.interrupted)
            operation = Operation(
                id=f"op_{uuid_utils.uuid7().hex}",
                kind=kind,
                root_id=plan.root_id,
                moves=tuple(plan.files(current_last=kind == "delete")),
                state="running",
                started_at_ms=self._now(),
            )
            if dry_run:
                files, failures = self._moved(operation, plan.failed, dry_run)
                codex_db = self._codex.move(_left(files), dry_run)
                return receipt(_finished(operation, files, failures, operation_id=None, codex_db=codex_db), files)
            self._catalog.commit(Change(operation=operation))
            self._unload(operation, held)
            with self._catalog.unit_of_work() as work:
                return work.answer(receipt(*self._apply(work, operation, failed=plan.failed)))

    def _lock(self, thread_ids: Sequence[str], held: ExitStack) -> None:
        """Take all writer locks until the work is done. This process already has those of the threads loaded here; for
        these it takes the locks that keep its other calls from writing to them or closing them."""
        held.enter_context(self._loaded.keeping_rows_of(thread_ids))
        held.enter_context(self._loaded.exclusively(thread_ids))
        for thread_id in sorted(set(thread_ids)):
            if (loaded := self._loaded.get(thread_id)) is not None:
                held.enter_context(loaded.lock)
        free = [thread_id for thread_id in thread_ids if self._loaded.get(thread_id) is None]
        self._locks.acquire(free, for_moments=True)
        held.callback(self._locks.release, free)

    def _unload(self, operation: Operation, held: ExitStack) -> None:
        """Unload the root, then the others in the order of work. Their writer locks are released only after the move,
        so that no other process can load them in between."""
        for thread_id in sorted(operation.thread_ids, key=lambda i: i != operation.root_id):
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
        except StoreFailure:  # the root failed, so nothing was moved
            self._catalog.record(Change(operation=replace(operation, state="done")))
            raise
        codex_db = self._codex.move(_left(files))
        return self._record(work, operation, files, failures, codex_db), files

    def _moved(
        self, operation: Operation, failed: Sequence[Failure], dry_run: bool = False
    ) -> tuple[dict[str, RolloutRef | None], list[Failure]]:
        files: dict[str, RolloutRef | None] = {}
        reasons = {failure.thread_id: failure.reason for failure in failed}
        # What could not be moved. If it could not be deleted, its ancestors stay too, since only they lead to it.
        kept = set[str]()
        for batch in _batches(operation):
            moves = [move for move in batch if move.thread_id not in kept]
            for move in batch:
                if move.thread_id in kept:
                    reasons.setdefault(move.thread_id, "a thread below it could not be deleted")
            for move, outcome in zip(moves, self._move(operation.kind, moves, dry_run), strict=True):
                if not isinstance(outcome, StoreFailure):
                    files.setdefault(move.thread_id, outcome)
                    continue
                if not files and move.thread_id == operation.root_id and operation.kind != "delete":
                    raise outcome
                reasons[move.thread_id] = str(outcome)
                kept.add(move.thread_id)
                if operation.kind == "delete":
                    files.pop(move.thread_id, None)
                    kept.update(self._above(move.thread_id, operation))
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
            except StoreFailure as error:  # harmless: no look-up finds a name without a thread
                logger.warning("Could not remove the name of deleted thread %s: %s", move.thread_id, error)
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


def _result_fields(operation: Operation) -> dict[str, Any]:
    """The journalled result of a finished operation, as fields of its `CascadeResult`."""
    return operation.result | {"failed": [Failure(**failure) for failure in operation.result["failed"]]}


def _moved(thread_id: str, rollout: RolloutRef) -> Moved:
    return Moved(thread_id, archived=rollout.archived, **asdict(rollout))


def _batches(operation: Operation) -> list[Sequence[Move]]:
    """The moves, grouped by what is moved together. The root comes alone: if it fails, nothing is moved. Rollouts that
    reverts have replaced come after all current ones. Deletions are single, since each removes a name too."""
    if operation.kind == "delete":
        return [[move] for move in operation.moves]
    current: dict[str, Move] = {}
    replaced = [move for move in operation.moves if current.setdefault(move.thread_id, move) is not move]
    root, *others = current.values()
    return [batch for batch in ([root], others, replaced) if batch]
