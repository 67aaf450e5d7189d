"""The verbs that set names and git info.

Codex reads both from its own database, so its row of the thread is updated too. If there is such a row, the change is
journalled first: if the process is killed, the next one completes it (`finish`).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import uuid_utils
from msgspec.structs import replace

from mcp_server.codex import writer as recording
from mcp_server.codex.files import RolloutRef, rollout_of, with_rollout
from mcp_server.codex.lines import MalformedLine, decode_first, encode_line
from mcp_server.codex.old_rollout import BARE
from mcp_server.errors import (
    ActiveWriter,
    DamagedRollout,
    EphemeralThread,
    InvalidArgument,
    PaginatedHistory,
    ThreadArchived,
    ThreadstoreError,
    UnknownHistoryMode,
)
from mcp_server.models.params import GitPatch
from mcp_server.models.records import Change, Move, Operation, OperationKind
from mcp_server.models.results import ThreadResult
from mcp_server.models.thread import GitInfo, StoredThread
from mcp_server.storage.codex_rows import CodexRows
from mcp_server.storage.contracts import Leases, Rollouts, UnitOfWork
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog, checked_name, checked_text
from mcp_server.threads.loaded import LoadedThread
from mcp_server.threads.reader import Reader
from mcp_server.threads.turns import TurnWriter

logger = logging.getLogger(__name__)


class Metadata:
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
        self._loaded = catalog.loaded

    def set_name(self, reference: str, name: str) -> ThreadResult:
        """Set a thread's name, trimmed. Works while another process writes the thread.

        The name goes into session_index.jsonl and Codex's row, not into the rollout. A thread without a rollout gets
        one first.

        Raises:
            InvalidArgument: the name is blank.
            ThreadArchived: as in Codex, archived threads can't be renamed.
        """
        if not name.strip():
            raise InvalidArgument("name", name, "thread name must not be empty", "pass a name with at least one letter")
        trimmed = checked_name(name)
        thread_id = self._catalog.resolve(reference)
        with self._loaded.exclusively([thread_id]):
            loaded = self._loaded.get(thread_id)
            if loaded is None:
                named = replace(self._active(thread_id), name=trimmed)
                with self._catalog.unit_of_work() as work:
                    return self._named(work, named)
            if loaded.ephemeral:
                raise EphemeralThread(thread_id, "thread_set_name")
            with loaded.writing(), self._catalog.unit_of_work(loaded.rollouts) as work:
                self._turns.write_rollout(work, loaded)
                result = self._named(work, replace(loaded.thread, name=trimmed))
                loaded.thread = replace(loaded.thread, name=result.thread.name)
                return result

    def _named(self, work: UnitOfWork, thread: StoredThread) -> ThreadResult:
        with self._journalled("name", thread, {"name": thread.name}) as operation:
            self._catalog.rollouts.set_name(thread.id, thread.name or "", self._now())
            if codex_db := self._codex.name(thread.id, thread.name or ""):
                thread = self._catalog.named_by_codex(thread)
            work.record(Change(threads=(thread,), events=(notices.name_updated(thread),), operation=operation))
        return work.answer(ThreadResult(thread=self._reader.view(thread), codex_db=codex_db))

    def _active(self, thread_id: str) -> StoredThread:
        stored = self._catalog.known(thread_id)
        if stored.archived:
            raise ThreadArchived(thread_id)
        return stored

    def set_git(self, reference: str, patch: GitPatch) -> ThreadResult:
        """Set, clear or keep each git field. Appends a session_meta line with the new values, as Codex does; those of a
        paginated thread are in Codex's row only.

        Raises:
            InvalidArgument: no field is given, or one is blank.
            UnknownHistoryMode: threads of this history mode can't be written to.
            PaginatedHistory: Codex has no row of the paginated thread, or the row could not be updated.
            ActiveWriter: another process holds the thread's writer lock.
        """
        if not patch.fields:
            raise InvalidArgument("git_info", {}, "git_info must include at least one field", "pass one to set or null")
        for field, value in patch.fields.items():
            if value is not None and not checked_text(f"git_info.{field}", value, blank=True).strip():
                raise InvalidArgument(
                    f"git_info.{field}", value, f"git_info.{field} must not be empty", "pass a value, or null to clear"
                )
        thread_id = self._catalog.resolve(reference)
        with ExitStack() as stack:
            stack.enter_context(self._loaded.exclusively([thread_id]))
            loaded = self._loaded.get(thread_id)
            if loaded is not None:
                return self._set_git_loaded(loaded, patch)
            stored = self._catalog.known(thread_id)
            if stored.history_mode == BARE:
                raise UnknownHistoryMode(thread_id, BARE)
            self._catalog.check_is_not_a_copy(stored)
            self._locks.acquire([thread_id])
            stack.callback(self._locks.release, [thread_id])
            if stored.history_mode == "legacy":
                stored = self._turns.decompressed(stored)
            with self._catalog.unit_of_work() as work:
                changed, codex_db = self._set_git(work, self._catalog.rollouts, stored, patch)
                return work.answer(ThreadResult(thread=self._reader.view(changed), codex_db=codex_db))

    def _set_git(
        self, work: UnitOfWork, rollouts: Rollouts, thread: StoredThread, patch: GitPatch
    ) -> tuple[StoredThread, str | None]:
        if thread.history_mode != "legacy":
            changed = self._set_git_paginated(thread, patch)
            work.record(Change(threads=(changed,)))
            return changed, None
        with self._journalled("git", thread, {"git": patch.fields}) as operation:
            changed = replace(thread, git=_patched(thread.git, patch))
            changed = with_rollout(changed, self._append(work, rollouts, changed))
            codex_db = self._codex.git(thread.id, patch.fields).why_not
            work.record(Change(threads=(changed,), operation=operation))
        return changed, codex_db

    def _set_git_paginated(self, thread: StoredThread, patch: GitPatch) -> StoredThread:
        followed = self._codex.git(thread.id, patch.fields)
        if followed.git is None:
            raise PaginatedHistory(thread.id, followed.why_not or "which does not know the thread yet")
        return replace(thread, git=None if followed.git == GitInfo() else followed.git)

    def _set_git_loaded(self, loaded: LoadedThread, patch: GitPatch) -> ThreadResult:
        if loaded.ephemeral:
            raise EphemeralThread(loaded.thread.id, "metadata updates")
        with loaded.writing(), self._catalog.unit_of_work(loaded.rollouts) as work:
            self._turns.write_rollout(work, loaded)
            loaded.thread, codex_db = self._set_git(work, loaded.rollouts, loaded.thread, patch)
            return work.answer(ThreadResult(thread=self._reader.view(loaded.thread), codex_db=codex_db))

    def finish(self) -> list[Operation]:
        """Complete the operations that killed processes left in the journal. An operation whose thread is locked is
        skipped: another process still works on it."""
        finished: list[Operation] = []
        for operation in self._catalog.log.running_operations():
            try:
                if operation.kind == "name":
                    self.set_name(operation.root_id, operation.result["name"])
                elif operation.kind == "git":
                    self.set_git(operation.root_id, GitPatch(operation.result["git"]))
                else:
                    continue
            except ActiveWriter as error:
                logger.info("Skipped operation %s, which another process works on: %s", operation.id, error)
                continue
            except ThreadstoreError as error:  # the thread was deleted or archived since
                logger.warning("Gave up the %s change of thread %s: %s", operation.kind, operation.root_id, error)
            except Exception:  # given up too, since it would fail at each start
                logger.exception("Gave up the %s change of thread %s", operation.kind, operation.root_id)
            self._catalog.record(Change(operation=dataclasses.replace(operation, state="done")))
            finished.append(operation)
        return finished

    @contextmanager
    def _journalled(
        self, kind: OperationKind, thread: StoredThread, asked: dict[str, Any]
    ) -> Generator[Operation | None]:
        """Journal a change that also updates Codex's row. Yields the finished operation, to record with the change;
        None if Codex has no row, since a single step needs no journal."""
        operation = None
        if self._codex.follows(thread.id):
            moves = (Move(thread.id, thread.path),)
            operation = Operation(f"op_{uuid_utils.uuid7().hex}", kind, thread.id, moves, "running", self._now(), asked)
            self._catalog.commit(Change(operation=operation))
        done = operation and dataclasses.replace(operation, state="done")
        try:
            yield done
        except ThreadstoreError:
            if done is not None:
                self._catalog.record(Change(operation=done))
            raise

    def _append(self, work: UnitOfWork, rollouts: Rollouts, thread: StoredThread) -> RolloutRef:
        rollout = rollout_of(thread)
        for batch in rollouts.lines(rollout):
            for raw in batch:
                try:
                    line = decode_first(raw, [])
                except MalformedLine:
                    continue
                if line.type == "session_meta":
                    updated = recording.git_updated(line.payload, thread.git or GitInfo(), self._now())
                    return work.append(rollout, encode_line(updated))
        raise DamagedRollout(thread.path, "does not start with session metadata")


def _patched(git: GitInfo | None, patch: GitPatch) -> GitInfo | None:
    merged = replace(git or GitInfo(), **patch.fields)
    return None if merged == GitInfo() else merged
