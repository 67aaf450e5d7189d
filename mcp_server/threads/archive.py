"""Cascades over a sub-agent tree: archive, unarchive, delete. Planned, journalled, repeatable, with a receipt.

The order of work: take every writer lock, journal the plan, move the files, then record rows, events and the receipt in
one transaction, then let the locks go. Killed anywhere in between, `finish` completes what the journal holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Literal

import uuid_utils

from mcp_server.errors import (
    ActiveWriter,
    ArchivedThreadNotFound,
    EphemeralThread,
    ForkedHistoryInUse,
    NotMaterialized,
    StoreFailure,
    ThreadNotFound,
    TurnsRunning,
)
from mcp_server.models.results import ArchiveResult, DeleteResult, Failure, UnarchiveResult
from mcp_server.models.thread import StoredThread
from mcp_server.stores.base import Change, Move, Operation, RolloutFile, WriterLocks
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.live import LiveThread
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
            running = self._running(plan)
            if dry_run or not plan.moves:
                return ArchiveResult(
                    dry_run=dry_run, archived=plan.ids(), already_archived=plan.already, failed=plan.failed
                )
            if running and not interrupt_running:
                raise TurnsRunning(running)
            operation = await self._run("archive", plan)
            return ArchiveResult(already_archived=plan.already, interrupted=running, **operation.result)

    async def unarchive(self, reference: str, *, include: Descend, dry_run: bool = False) -> UnarchiveResult:
        """Bring an archived thread back, and the descendants that `include` names, parents first. Loads nothing."""
        root_id = await self._catalog.resolve(reference)
        async with self._live.permit:
            if self._live.get(root_id) is not None:
                raise ArchivedThreadNotFound(root_id)
            root = await self._catalog.known(root_id)
            if not root.archived:
                raise ArchivedThreadNotFound(root_id)
            plan = await self._plan_unarchive(root, include)
            if dry_run:
                return UnarchiveResult(dry_run=True, unarchived=plan.ids(), failed=plan.failed)
            operation = await self._run("unarchive", plan)
            return UnarchiveResult(thread=self._reader.view(await self._catalog.known(root_id)), **operation.result)

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
            interrupted = self._running(plan)
            operation = await self._run("delete", plan)
            return DeleteResult(already_gone=plan.already, interrupted=interrupted, **operation.result)

    async def finish(self) -> list[Operation]:
        """Complete what a killed process left in the journal. What is locked is another process's, still at work."""
        finished: list[Operation] = []
        async with self._live.permit:
            for operation in await self._catalog.log.running_operations():
                try:
                    async with AsyncExitStack() as locks:
                        for move in operation.moves:
                            await self._lock(move.thread_id, locks)
                        current = await self._catalog.log.operation(operation.id)
                        if current is not None and current.state == "running":
                            finished.append(await self._apply(operation, failed=[]))
                except ActiveWriter as error:
                    logger.info("operation %s is left to its owner: %s", operation.id, error)
        return finished

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
        for thread_id in (root_id, *(node.thread_id for node in reversed(below))):
            live = self._live.get(thread_id)
            if live is not None and not live.materialised:
                plan.failed.append(Failure(thread_id=thread_id, reason="it is started, but not materialized yet"))
                continue
            stored = await self._catalog.stored(thread_id)
            if stored is None:
                if thread_id == root_id:
                    raise ThreadNotFound(root_id)
                plan.failed.append(Failure(thread_id=thread_id, reason=_MISSING))
            elif stored.archived != archived:
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
            operation = await self._catalog.log.last_operation("archive", root.id)
            together = {move.thread_id for move in operation.moves} if operation else set[str]()
            below = [thread_id for thread_id in below if thread_id in together]
        for thread_id in below:
            stored = await self._catalog.stored(thread_id)
            if stored is None:
                plan.failed.append(Failure(thread_id=thread_id, reason=_MISSING))
            elif stored.archived:
                plan.moves.append(stored)
        return plan

    async def _plan_delete(self, root_id: str) -> Plan:
        below = await descendants(root_id, self._catalog.children)
        plan = Plan(root_id)
        for thread_id in (*(node.thread_id for node in reversed(below)), root_id):
            live = self._live.get(thread_id)
            stored = live.thread if live else await self._catalog.stored(thread_id)
            if stored is None:
                plan.already.append(thread_id)
            else:
                plan.moves.append(stored)
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

    async def _run(self, kind: Literal["archive", "unarchive", "delete"], plan: Plan) -> Operation:
        async with AsyncExitStack() as locks:
            for thread_id in plan.ids():
                await self._lock(thread_id, locks)
            operation = Operation(
                id=f"op_{uuid_utils.uuid7().hex}",
                kind=kind,
                root_id=plan.root_id,
                moves=tuple(Move(thread.id, thread.path) for thread in plan.moves),
                state="running",
                started_at_ms=self._now(),
            )
            await self._catalog.commit(Change(operation=operation))
            await self._unload(plan, locks)
            return await self._apply(operation, failed=plan.failed)

    async def _lock(self, thread_id: str, locks: AsyncExitStack) -> None:
        """Hold the thread's writer lock until the work is done; what this server has loaded it holds already."""
        live = self._live.get(thread_id)
        if live is None:
            await self._locks.acquire(thread_id)
            locks.push_async_callback(self._locks.release, thread_id)

    async def _unload(self, plan: Plan, locks: AsyncExitStack) -> None:
        """Root first, then the others in the order of work; the lock goes only after the move (no gap for another)."""
        order: Sequence[str] = plan.ids()
        for thread_id in sorted(order, key=lambda i: i != plan.root_id):
            live = self._live.get(thread_id)
            if live is None:
                continue
            await self._let_go(live, locks)
            await self._catalog.record(Change(events=(notices.not_loaded(thread_id),)))

    async def _let_go(self, live: LiveThread, locks: AsyncExitStack) -> None:
        live.closing = True
        async with live.lock:
            if live.turn is not None:
                await self._turns.interrupt(live)
            self._live.drop(live.thread.id)
        locks.push_async_callback(self._locks.release, live.thread.id)

    async def _apply(self, operation: Operation, *, failed: Sequence[Failure]) -> Operation:
        """Move the files, then record everything in one transaction. Repeatable: what is moved already counts."""
        done: list[str] = []
        rows: list[StoredThread] = []
        failures = list(failed)
        for move in operation.moves:
            try:
                rows += await self._move(operation.kind, move)
                done.append(move.thread_id)
            except StoreFailure as error:
                if not done and move.thread_id == operation.root_id and operation.kind != "delete":
                    await self._catalog.record(Change(operation=replace(operation, state="done")))
                    raise
                failures.append(Failure(thread_id=move.thread_id, reason=str(error)))
        return await self._record(operation, done, rows, failures)

    async def _move(self, kind: str, move: Move) -> list[StoredThread]:
        """One file. Returns the row to write, if any."""
        rollouts = self._catalog.rollouts
        if kind == "delete":
            await rollouts.remove(move.path)
            await rollouts.forget_name(move.thread_id)
            return []
        file = await (rollouts.archive(move.path) if kind == "archive" else rollouts.unarchive(move.path))
        return [await self._moved(move.thread_id, file)]

    async def _moved(self, thread_id: str, file: RolloutFile) -> StoredThread:
        known = await self._catalog.log.get(thread_id)
        thread = known or (await self._catalog.rollouts.describe(file)).thread
        mtime_ms = file.stamp.mtime_ns // 1_000_000
        return replace(
            thread,
            path=file.path,
            stamp=file.stamp,
            archived=file.archived,
            archived_at_ms=self._now() if file.archived else None,
            updated_at_ms=mtime_ms,
        )

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
