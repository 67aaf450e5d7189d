"""The verb that sets name, git info and tags.

Codex reads the first two from its own database, so its row of the thread is updated too. If there is such a row, or
several parts change, the update is journalled first: if the process is killed, the next one completes it (`finish`).
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
from mcp_server.models.params import GitPatch, ThreadPatch
from mcp_server.models.records import Change, Move, Operation
from mcp_server.models.results import ThreadResult
from mcp_server.models.thread import GitInfo, StoredThread
from mcp_server.storage.codex_rows import CodexRows
from mcp_server.storage.contracts import Leases, Rollouts, UnitOfWork
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog, checked_name, checked_tags, checked_text
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

    def update(self, reference: str, patch: ThreadPatch) -> ThreadResult:
        """Change name, git info and tags of a thread, those that the patch names. A thread without a rollout gets one
        first.

        The name goes into session_index.jsonl and Codex's row, also while another process writes the thread. Git info
        is appended as a session_meta line with the new values, as Codex does; that of a paginated thread is in Codex's
        row only. Tags are our own.

        Raises:
            InvalidArgument: nothing is to be changed, or a value can't be used.
            ThreadArchived: as in Codex, archived threads can't be renamed.
            UnknownHistoryMode: threads of this history mode can't be written to.
            PaginatedHistory: Codex has no row of the paginated thread, or the row could not be updated.
            ActiveWriter: another process holds the thread's writer lock, which git info needs.
        """
        patch = _checked(patch)
        thread_id = self._catalog.resolve(reference)
        with ExitStack() as stack:
            stack.enter_context(self._loaded.exclusively([thread_id]))
            loaded = self._loaded.get(thread_id)
            if loaded is not None:
                return self._update_loaded(loaded, patch)
            stored = self._catalog.known(thread_id)
            if patch.name is not None and stored.archived:
                raise ThreadArchived(thread_id)
            if patch.git is not None:
                stored = self._locked_for_git(stored, stack)
            with self._catalog.unit_of_work() as work:
                changed, codex_db = self._apply(work, self._catalog.rollouts, stored, patch)
                return work.answer(self._result(changed, codex_db))

    def _locked_for_git(self, stored: StoredThread, stack: ExitStack) -> StoredThread:
        """The thread, as a line can be appended to it; its writer lock is held until the stack is left."""
        if stored.history_mode == BARE:
            raise UnknownHistoryMode(stored.id, BARE)
        self._catalog.lookup.check_is_not_a_copy(stored)
        self._locks.acquire([stored.id])
        stack.callback(self._locks.release, [stored.id])
        return self._turns.decompressed(stored) if stored.history_mode == "legacy" else stored

    def _update_loaded(self, loaded: LoadedThread, patch: ThreadPatch) -> ThreadResult:
        if loaded.ephemeral:
            raise EphemeralThread(loaded.thread.id, "thread_update")
        with loaded.writing(), self._catalog.unit_of_work(loaded.rollouts) as work:
            self._turns.write_rollout(work, loaded)
            loaded.thread, codex_db = self._apply(work, loaded.rollouts, loaded.thread, patch)
            return work.answer(self._result(loaded.thread, codex_db))

    def _result(self, thread: StoredThread, codex_db: str | None) -> ThreadResult:
        (tagged,) = self._catalog.with_tags([thread])
        return ThreadResult(thread=self._reader.view(tagged), codex_db=codex_db)

    def _apply(
        self, work: UnitOfWork, rollouts: Rollouts, thread: StoredThread, patch: ThreadPatch
    ) -> tuple[StoredThread, str | None]:
        """Change the parts. Returns also why Codex's row was left as it is.

        Git info of a paginated thread comes first, since Codex's row may refuse it; a line in the rollout comes last,
        since nothing may fail between it and the row that knows the new size.
        """
        kept_by_codex = thread.history_mode != "legacy"
        why_not = None
        with self._journalled(thread, patch) as operation:
            if patch.git is not None and kept_by_codex:
                thread = self._set_git_paginated(thread, patch.git)
            if patch.name is not None:
                thread, why_not = self._set_name(thread, patch.name)
                work.record(Change(events=(notices.name_updated(thread),)))
            if patch.tags is not None:
                self._catalog.tags.set(thread.id, patch.tags, self._now())
                work.record(Change(events=(notices.tags_updated(thread.id, patch.tags),)))
            if patch.git is not None and not kept_by_codex:
                thread = replace(thread, git=_patched(thread.git, patch.git))
                thread = with_rollout(thread, self._append(work, rollouts, thread))
                why_not = self._codex.git(thread.id, patch.git.fields).why_not or why_not
            work.record(Change(threads=(thread,), operation=operation))
        return thread, why_not

    def _set_name(self, thread: StoredThread, name: str) -> tuple[StoredThread, str | None]:
        self._catalog.rollouts.set_name(thread.id, name, self._now())
        thread = replace(thread, name=name)
        if codex_db := self._codex.name(thread.id, name):
            thread = self._catalog.lookup.named_by_codex(thread)
        return thread, codex_db

    def _set_git_paginated(self, thread: StoredThread, patch: GitPatch) -> StoredThread:
        followed = self._codex.git(thread.id, patch.fields)
        if followed.git is None:
            raise PaginatedHistory(thread.id, followed.why_not or "which does not know the thread yet")
        return replace(thread, git=None if followed.git == GitInfo() else followed.git)

    def finish(self) -> list[Operation]:
        """Complete the operations that killed processes left in the journal. An operation whose thread is locked is
        skipped: another process still works on it."""
        finished: list[Operation] = []
        for operation in self._catalog.log.running_operations():
            if operation.kind not in ("update", "name", "git"):
                continue
            try:
                self.update(operation.root_id, _patch_of(operation))
            except ActiveWriter as error:
                logger.info("Skipped operation %s, which another process works on: %s", operation.id, error)
                continue
            except ThreadstoreError as error:  # the thread was deleted or archived since
                logger.warning("Gave up the %s of thread %s: %s", operation.kind, operation.root_id, error)
            except Exception:  # given up too, since it would fail at each start
                logger.exception("Gave up the %s of thread %s", operation.kind, operation.root_id)
            self._catalog.record(Change(operation=dataclasses.replace(operation, state="done")))
            finished.append(operation)
        return finished

    @contextmanager
    def _journalled(self, thread: StoredThread, patch: ThreadPatch) -> Generator[Operation | None]:
        """Journal an update. Yields the finished operation, to record with the change; None for a single step, which
        needs no journal: one part, of a thread that Codex has no row of."""
        operation = None
        if patch.parts > 1 or (patch.tags is None and self._codex.follows(thread.id)):
            moves = (Move(thread.id, thread.path),)
            operation = Operation(
                f"op_{uuid_utils.uuid7().hex}", "update", thread.id, moves, "running", self._now(), _asked(patch)
            )
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
                    line = decode_first(raw, [], rollouts.bounds)
                except MalformedLine:
                    continue
                if line.type == "session_meta":
                    updated = recording.git_updated(line.payload, thread.git or GitInfo(), self._now())
                    return work.append(rollout, encode_line(updated))
        raise DamagedRollout(thread.path, "does not start with session metadata")


def _patched(git: GitInfo | None, patch: GitPatch) -> GitInfo | None:
    merged = replace(git or GitInfo(), **patch.fields)
    return None if merged == GitInfo() else merged


def _checked(patch: ThreadPatch) -> ThreadPatch:
    if not patch.parts:
        raise InvalidArgument("name", None, "nothing is to be changed", "pass name, git_info or tags")
    if patch.git is not None:
        _check_git(patch.git)
    if patch.name is not None and not patch.name.strip():
        why = "thread name must not be empty"
        raise InvalidArgument("name", patch.name, why, "pass a name with at least one letter")
    return dataclasses.replace(
        patch,
        name=None if patch.name is None else checked_name(patch.name),
        tags=None if patch.tags is None else checked_tags(patch.tags),
    )


def _check_git(patch: GitPatch) -> None:
    if not patch.fields:
        raise InvalidArgument("git_info", {}, "git_info must include at least one field", "pass one to set or null")
    for field, value in patch.fields.items():
        if value is not None and not checked_text(f"git_info.{field}", value, blank=True).strip():
            raise InvalidArgument(
                f"git_info.{field}", value, f"git_info.{field} must not be empty", "pass a value, or null to clear"
            )


def _asked(patch: ThreadPatch) -> dict[str, Any]:
    """The patch, as the journal holds it."""
    parts = {"name": patch.name, "git": patch.git and patch.git.fields, "tags": patch.tags}
    return {name: part for name, part in parts.items() if part is not None}


def _patch_of(operation: Operation) -> ThreadPatch:
    asked = operation.result
    return ThreadPatch(asked.get("name"), GitPatch(asked["git"]) if "git" in asked else None, asked.get("tags"))
