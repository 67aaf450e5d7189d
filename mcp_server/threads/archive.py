"""Cascades over a sub-agent tree: archive, unarchive, delete. Planned, journalled, repeatable, with a receipt.

The order of work: take every writer lock, journal the plan, move the files, then record rows, events and the receipt in
one transaction, then let the locks go. Killed anywhere in between, `finish` completes what the journal holds; a caller
who goes away meanwhile stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Literal

import uuid_utils
from anyio import CancelScope

from mcp_server.errors import (
    ActiveWriter,
    ArchivedThreadNotFound,
    DamagedRollout,
    EphemeralThread,
    ForkedHistoryInUse,
    NotMaterialized,
    StoreFailure,
    ThreadNotFound,
    TurnsRunning,
)
from mcp_server.models.results import ArchiveResult, DeleteResult, Failure, UnarchiveResult
from mcp_server.models.thread import StoredThread
from mcp_server.stores.base import RolloutFile, WriterLocks
from mcp_server.stores.naming import archived_path
from mcp_server.stores.records import Change, Move, Operation
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reading import Reader
from mcp_server.threads.tree import descendants
from mcp_server.threads.turns import TurnWriter

logger = logging.getLogger(__name__)

Descend = Literal["same_operation", "all", "none"]
_MISSING = "its rollout is missing"


@dataclass
class Plan:
    """What a cascade will do: `moves` in the order of work, and what it passes over."""

    root_id: str
    moves: list[StoredThread] = field(default_factory=list[StoredThread])
    already: list[str] = field(default_factory=list[str])
    failed: list[Failure] = field(default_factory=list[Failure])
    interrupted: list[str] = field(default_factory=list[str])

    def ids(self) -> list[str]:
        return [thread.id for thread in self.moves]


class Cascade:
    """The three verbs that move whole trees. One runs at a time in a process."""

    def __init__(
        self, catalog: Catalog, locks: WriterLocks, turns: TurnWriter, reader: Reader, now_ms: Callable[[], int]
    ) -> None:
        self._catalog, self._locks, self._turns, self._reader, self._now = catalog, locks, turns, reader, now_ms
        self._live = catalog.live

    # ------------------------------------------------------------------------------------------ verbs

    async def archive(self, reference: str, *, dry_run: bool, interrupt_running: bool) -> ArchiveResult:
        """Archive a thread with every descendant: root first, then descendants in reverse breadth-first order."""
        root_id = await self._catalog.resolve(reference)
        async with self._live.permit:
            plan = await self._plan(root_id, archived=False)
            if dry_run or not plan.moves:
                return ArchiveResult(
                    dry_run=dry_run, archived=plan.ids(), already_archived=plan.already, failed=plan.failed
                )
            operation, _ = await self._run("archive", plan, interrupt=interrupt_running)
            return ArchiveResult(already_archived=plan.already, interrupted=plan.interrupted, **operation.result)

    async def unarchive(self, reference: str, *, include: Descend, dry_run: bool = False) -> UnarchiveResult:
        """Bring an archived thread back, and the descendants that `include` names, parents first. Loads nothing."""
        root_id = await self._catalog.resolve(reference)
        async with self._live.permit:
            if self._live.get(root_id) is not None:
                raise ArchivedThreadNotFound(root_id)
            root = await self._catalog.known(root_id)
            if not root.archived:
                root = await self._moved_in_part(root)
            plan = await self._plan_unarchive(root, include)
            if dry_run:
                return UnarchiveResult(dry_run=True, unarchived=plan.ids(), failed=plan.failed)
            operation, rows = await self._run("unarchive", plan)
            thread = self._reader.view(rows[root_id]) if root_id in rows else None
            return UnarchiveResult(thread=thread, **operation.result)

    async def delete(self, reference: str, *, dry_run: bool) -> DeleteResult:
        """Delete a thread with every descendant for ever: descendants first, the root last."""
        root_id = await self._catalog.resolve(reference)
        async with self._live.permit:
            live = self._live.get(root_id)
            if live is not None and live.ephemeral:
                raise EphemeralThread(root_id, "thread_delete")
            plan = await self._plan_delete(root_id)
            if dry_run or not plan.moves:
                return DeleteResult(dry_run=dry_run, deleted=plan.ids(), already_gone=plan.already, failed=plan.failed)
            await self._check_forks(plan)
            operation, _ = await self._run("delete", plan)
            return DeleteResult(already_gone=plan.already, interrupted=plan.interrupted, **operation.result)

    async def finish(self) -> list[Operation]:
        """Complete what a killed process left in the journal. What is locked is another process's, still at work."""
        finished: list[Operation] = []
        async with self._live.permit:
            for operation in await self._catalog.log.running_operations():
                try:
                    finished += await self._finish(operation)
                except ActiveWriter as error:
                    logger.info("operation %s is left to its owner: %s", operation.id, error)
                except StoreFailure as error:
                    logger.warning("%s of %s can't be finished: %s", operation.kind, operation.root_id, error)
        return finished

    async def _finish(self, operation: Operation) -> list[Operation]:
        async with AsyncExitStack() as held:
            await self._lock([move.thread_id for move in operation.moves], held)
            current = await self._catalog.log.operation(operation.id)
            if current is None or current.state != "running":
                return []
            with CancelScope(shield=True):
                await self._unload(operation, held)
                operation, _ = await self._apply(operation, failed=[])
            return [operation]

    # ------------------------------------------------------------------------------------------ plans

    async def _plan(self, root_id: str, *, archived: bool) -> Plan:
        """Root first, then descendants in reverse breadth-first order; what is missing or there already is noted."""
        root_live = self._live.get(root_id)
        if root_live is not None and root_live.ephemeral:
            raise EphemeralThread(root_id, "thread_archive")
        if root_live is not None and not root_live.materialised:
            raise NotMaterialized(root_id, "thread_archive")
        below = await descendants(root_id, self._catalog.children)
        plan = Plan(root_id)
        order = [root_id, *(node.thread_id for node in reversed(below))]
        seen = await self._catalog.stored_many(order)
        for thread_id in order:
            live = self._live.get(thread_id)
            if live is not None and not live.materialised:
                plan.failed.append(Failure(thread_id=thread_id, reason="it is started, but not materialized yet"))
                continue
            stored = self._usable(thread_id, seen[thread_id], plan)
            if stored is None:
                continue
            if stored.archived != archived:
                plan.already.append(thread_id)
            else:
                plan.moves.append(stored)
        return plan

    async def _plan_unarchive(self, root: StoredThread, include: Descend) -> Plan:
        plan = Plan(root.id, moves=[root])
        if include == "none":
            return plan
        below = [node.thread_id for node in await descendants(root.id, self._catalog.children)]
        if include == "same_operation":
            together = await self._archived_with(root.id)
            below = [thread_id for thread_id in below if thread_id in together]
        seen = await self._catalog.stored_many(below)
        for thread_id in below:
            if self._live.get(thread_id) is not None:
                continue
            stored = self._usable(thread_id, seen[thread_id], plan)
            if stored is not None and stored.archived:
                plan.moves.append(stored)
        return plan

    async def _moved_in_part(self, thread: StoredThread) -> StoredThread:
        """The thread by its archived name, which a disk that failed within the move has left beside the active one.

        Raises:
            ArchivedThreadNotFound: it has the active name alone.
        """
        now = await self._catalog.rollouts.stat(thread.path)
        for file in await self._catalog.rollouts.locate(thread.id):
            if now is not None and file.archived and (file.path, file.stamp) == (archived_path(now.path), now.stamp):
                return replace(thread, path=file.path, archived=True)
        raise ArchivedThreadNotFound(thread.id)

    async def _archived_with(self, root_id: str) -> set[str]:
        """What the operation that archived the root archived with it, less what came back and went again by itself."""
        log = self._catalog.log
        operation = await log.last_operation("archive", root_id)
        if operation is None:
            return set()
        last = await log.last_operations("archive", operation.result.get("archived", ()))
        return {thread_id for thread_id, operation_id in last.items() if operation_id == operation.id}

    def _usable(self, thread_id: str, seen: StoredThread | DamagedRollout | None, plan: Plan) -> StoredThread | None:
        """The thread as it is stored; None for a descendant that can't be found or read, which the plan says then."""
        if isinstance(seen, StoredThread):
            return seen
        if thread_id == plan.root_id:
            raise seen or ThreadNotFound(thread_id)
        plan.failed.append(Failure(thread_id=thread_id, reason=str(seen) if seen else _MISSING))
        return None

    async def _plan_delete(self, root_id: str) -> Plan:
        below = await descendants(root_id, self._catalog.children)
        plan = Plan(root_id)
        order = [*(node.thread_id for node in reversed(below)), root_id]
        seen = await self._catalog.stored_many([thread_id for thread_id in order if self._live.get(thread_id) is None])
        for thread_id in order:
            live = self._live.get(thread_id)
            stored = live.thread if live else seen.get(thread_id)
            if stored is None:
                plan.already.append(thread_id)
            elif (usable := self._usable(thread_id, stored, plan)) is not None:
                plan.moves.append(usable)
        return plan

    async def _check_forks(self, plan: Plan) -> None:
        """A paginated fork reads its source's bytes (Codex refuses such a delete too)."""
        index = await self._catalog.index()
        going = set(plan.ids())
        for thread_id in plan.ids():
            forks = [fork for fork in await index.forks_of(thread_id) if fork not in going]
            if forks:
                raise ForkedHistoryInUse(thread_id, forks)

    def _running(self, plan: Plan) -> list[str]:
        lives = (self._live.get(thread_id) for thread_id in plan.ids())
        return [live.thread.id for live in lives if live is not None and live.turn is not None]

    # ------------------------------------------------------------------------------------------ work

    async def _run(
        self, kind: Literal["archive", "unarchive", "delete"], plan: Plan, *, interrupt: bool = True
    ) -> tuple[Operation, dict[str, StoredThread]]:
        """The finished operation, and the rows that it made."""
        async with AsyncExitStack() as held:
            await self._lock(plan.ids(), held)
            plan.interrupted = self._running(plan)
            if plan.interrupted and not interrupt:
                raise TurnsRunning(plan.interrupted)
            operation = Operation(
                id=f"op_{uuid_utils.uuid7().hex}",
                kind=kind,
                root_id=plan.root_id,
                moves=tuple(Move(thread.id, thread.path) for thread in plan.moves),
                state="running",
                started_at_ms=self._now(),
            )
            rows: dict[str, StoredThread] = {}
            # Stopped half-way by a caller who goes away, it would stay half done until the next start.
            with CancelScope(shield=True):
                await self._catalog.commit(Change(operation=operation))
                await self._unload(operation, held)
                operation, rows = await self._apply(operation, failed=plan.failed)
            return operation, rows

    async def _lock(self, thread_ids: Sequence[str], held: AsyncExitStack) -> None:
        """Hold all the writer locks until the work is done. Those of threads that are loaded here this process has; it
        holds still whoever writes to them, and whoever would let them go."""
        held.enter_context(self._live.keeping(thread_ids))
        for thread_id in thread_ids:
            if (live := self._live.get(thread_id)) is not None:
                await held.enter_async_context(live.lock)
        # Never loaded, or it left while we waited.
        free = [thread_id for thread_id in thread_ids if self._live.get(thread_id) is None]
        await self._locks.acquire_many(free)
        held.push_async_callback(self._locks.release_many, free)

    async def _unload(self, operation: Operation, held: AsyncExitStack) -> None:
        """Root first, then the others in the order of work; the lock goes only after the move (no gap for another)."""
        order = [move.thread_id for move in operation.moves]
        for thread_id in sorted(order, key=lambda i: i != operation.root_id):
            live = self._live.get(thread_id)
            if live is None:
                continue
            live.closing = True
            if live.turn is not None:
                try:
                    await self._turns.interrupt(live)
                except StoreFailure as error:  # a turn without an end is read as interrupted
                    logger.warning("the interruption of a turn of %s is not recorded: %s", thread_id, error)
            self._live.drop(thread_id)
            held.push_async_callback(self._locks.release, thread_id)
            await self._catalog.record(Change(events=(notices.not_loaded(thread_id),)))

    async def _apply(
        self, operation: Operation, *, failed: Sequence[Failure]
    ) -> tuple[Operation, dict[str, StoredThread]]:
        """Move the files, then record everything in one transaction. Repeatable: what is moved already counts."""
        files: dict[str, RolloutFile | None] = {}
        failures = list(failed)
        kept = set[str]()  # what a thread hangs from that could not be deleted: with it gone, nothing would lead there
        for batch in _batches(operation):
            moves = [move for move in batch if move.thread_id not in kept]
            failures += [
                Failure(thread_id=move.thread_id, reason="a thread below it could not be deleted")
                for move in batch
                if move.thread_id in kept
            ]
            for move, outcome in zip(moves, await self._move(operation.kind, moves), strict=True):
                if not isinstance(outcome, StoreFailure):
                    files[move.thread_id] = outcome
                    continue
                if not files and move.thread_id == operation.root_id and operation.kind != "delete":
                    await self._catalog.record(Change(operation=replace(operation, state="done")))
                    raise outcome
                failures.append(Failure(thread_id=move.thread_id, reason=str(outcome)))
                if operation.kind == "delete":
                    kept.update(await self._above(move.thread_id, operation))
        rows = await self._moved({thread_id: file for thread_id, file in files.items() if file is not None})
        return await self._record(operation, list(files), list(rows.values()), failures), rows

    async def _above(self, thread_id: str, operation: Operation) -> list[str]:
        try:
            return await self._catalog.parents(thread_id)
        except StoreFailure:  # it can't be told now, so all that is left of the cascade stays
            return [move.thread_id for move in operation.moves]

    async def _move(self, kind: str, moves: Sequence[Move]) -> Sequence[RolloutFile | StoreFailure | None]:
        """Some files. Tells of each where it is now (None if it is deleted), or why it could not be moved."""
        rollouts = self._catalog.rollouts
        try:
            if kind == "archive":
                return await rollouts.archive_many([move.path for move in moves])
            if kind == "unarchive":
                return await rollouts.unarchive_many([move.path for move in moves])
            for move in moves:
                await rollouts.remove(move.path)
        except StoreFailure as error:
            return [error] * len(moves)
        for move in moves:
            try:
                await rollouts.forget_name(move.thread_id)
            except StoreFailure as error:  # a name of nothing, which nobody finds
                logger.warning("the name of deleted thread %s is still listed: %s", move.thread_id, error)
        return [None] * len(moves)

    async def _moved(self, files: Mapping[str, RolloutFile]) -> dict[str, StoredThread]:
        """The rows of files that have moved, without those that can't be told now: the next look at such a thread
        restores its row."""
        rows: dict[str, StoredThread] = {}
        try:
            known = await self._catalog.log.get_many(files)
            for thread_id, file in files.items():
                thread = known.get(thread_id) or (await self._catalog.rollouts.describe(file)).thread
                rows[thread_id] = replace(
                    thread,
                    path=file.path,
                    stamp=file.stamp,
                    archived=file.archived,
                    archived_at_ms=self._now() if file.archived else None,
                    updated_at_ms=file.stamp.mtime_ns // 1_000_000,
                )
        except StoreFailure as error:
            logger.warning("some rows of what has moved wait for the next look at them: %s", error)
        return rows

    async def _record(
        self,
        operation: Operation,
        done: Sequence[str],
        rows: Sequence[StoredThread],
        failures: Sequence[Failure],
    ) -> Operation:
        """One transaction for all. The rows go in as observed, so that a move which another process's watcher saw first
        is announced once; a deletion leaves no row to observe."""
        key = {"archive": "archived", "unarchive": "unarchived", "delete": "deleted"}[operation.kind]
        finished = replace(
            operation,
            state="done",
            result={
                "operation_id": operation.id,
                key: list(done),
                "failed": [failure.model_dump() for failure in failures],
            },
        )
        gone = tuple(done) if operation.kind == "delete" else ()
        await self._catalog.record(
            Change(
                observed=tuple(rows),
                forgotten=gone,
                tombstones=gone,
                operation=finished,
                events=tuple(notices.deleted(thread_id) for thread_id in gone),
            )
        )
        return finished


def _batches(operation: Operation) -> list[Sequence[Move]]:
    """The moves that are made together. The root goes alone: if it can't, nothing is moved. A deletion goes one by one,
    since each has the name to forget besides."""
    if operation.kind == "delete":
        return [[move] for move in operation.moves]
    return [batch for batch in (operation.moves[:1], operation.moves[1:]) if batch]
