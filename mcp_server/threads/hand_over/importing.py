"""The verb that takes the threads of a bundle into this home.

The order of work: check everything, write drafts, take the writer locks, journal, give all drafts their names, record
the finished operation, then rows and events. If the process is killed in between, the next one takes back what has its
name already (`finish`): an import is there as a whole or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO

import uuid_utils
from msgspec import UNSET, structs

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import id_in, rollout_id_of
from mcp_server.codex.rewrite import Rewriter
from mcp_server.errors import ActiveWriter, InvalidArgument, InvalidRequest, StoreFailure, UnusableBundle
from mcp_server.models.cwd import moved_cwd
from mcp_server.models.params import ImportParams
from mcp_server.models.records import Change, Move, Operation
from mcp_server.models.results import ImportedThread, ImportResult
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import Leases
from mcp_server.storage.exports import Exports
from mcp_server.threads.catalog import Catalog, checked_name, checked_tags
from mcp_server.threads.hand_over.bundle import Bundle, CheckedRollout, Manifest, opened
from mcp_server.threads.hand_over.order import bases_first, borrowed_ends

logger = logging.getLogger(__name__)

_TIME_CHARS = 13
"""A UUIDv7 begins with its time: 12 digits and a hyphen."""


@dataclass(slots=True)
class _Written:
    """A rollout of the import: where it will be, and how many bytes were written."""

    thread_id: str
    path: str
    size: int = 0


class Importer:
    def __init__(self, catalog: Catalog, locks: Leases, exports: Exports, now_ms: Callable[[], int]) -> None:
        self._catalog, self._locks, self._exports, self._now = catalog, locks, exports, now_ms

    def from_path(self, path: str, params: ImportParams) -> ImportResult:
        """`run`, of a file on this machine, or of one of the home's exports by its name.

        Raises:
            InvalidArgument: there is no such file.
        """
        with self._exports.open(path) as file:
            return self.run(file, params)

    def run(self, file: BinaryIO, params: ImportParams) -> ImportResult:
        """Import all threads of a bundle, or none. They keep their ids unless one is taken here; then its thread gets a
        new one, wherever the bundle names it. Nothing is overwritten.

        Raises:
            UnusableBundle, LimitReached: as `bundle.opened` and `Bundle.check`.
            InvalidArgument: a folder to map is no absolute path.
            StoreFailure: the disk refused; then nothing was imported.
        """
        _check_folders(params.folders)
        with opened(file) as bundle:
            checked = bundle.checked()
            manifest = _checked_names(bundle.manifest)
            rewriter = Rewriter(self._new_ids(manifest), params.folders)
            result = _result(bundle, manifest, rewriter, params)
            return result if params.dry_run else self._import(bundle, checked, manifest, rewriter, result)

    def _new_ids(self, manifest: Manifest) -> dict[str, str]:
        """New ids for the threads whose id is taken, and for their rollouts that reverts began."""
        taken = self._taken([thread.id for thread in manifest.threads])
        found: dict[str, str] = {}
        for thread in manifest.threads:
            ids = {thread.id, *(rollout_id_of(rollout.path) or thread.id for rollout in thread.rollouts)}
            if thread.id in taken or any(self._catalog.lookup.source(one) for one in ids - {thread.id}):
                found |= {old: _new_id(old) for old in sorted(ids)}
        return found

    def _taken(self, thread_ids: Sequence[str]) -> set[str]:
        """The ids that this home can't give: of threads that are there, that were deleted, or that can't be read."""
        lookup = self._catalog.lookup
        index = lookup.index()
        taken = {*index.get_many(thread_ids), *index.deleted(thread_ids), *self._catalog.loaded.ids()}
        unreadable = (*lookup.unreadable(archived=False), *lookup.unreadable(archived=True))
        taken.update(id_in(one.path.rpartition("/")[2]) or "" for one in unreadable)
        return taken.intersection(thread_ids)

    # ------------------------------------------------------------------------------------------ work

    def _import(
        self,
        bundle: Bundle,
        checked: Sequence[CheckedRollout],
        manifest: Manifest,
        rewriter: Rewriter,
        result: ImportResult,
    ) -> ImportResult:
        written: list[_Written] = []
        pieces: list[tuple[RolloutRef, Generator[bytes]]] = []
        ends = borrowed_ends(checked)
        for one in bases_first(checked):
            written.append(_Written(rewriter.id_of(one.thread.id), rewriter.path_of(one.rollout.path)))
            parts = rewriter.rewritten(one.id, bundle.parts(one.rollout), ends.get(one.id, ()))
            pieces.append((RolloutRef(written[-1].path), _counted(parts, written[-1])))
        with ExitStack() as held:
            put = held.enter_context(self._catalog.rollouts.drafted_many(pieces))
            self._hold([one.thread_id for one in written], held)
            operation = self._operation(manifest, rewriter, written)
            self._catalog.commit(Change(operation=operation))
            done = Change(operation=replace(operation, state="done"))
            try:
                threads = self._described(manifest, rewriter, put())
                self._catalog.commit(done)  # not kept for later: while it is running, the next start takes all back
            except StoreFailure:
                gone = self._take_back(operation)  # if the disk refuses this, too, the next start does it
                self._catalog.record(replace(done, forgotten=gone))
                raise
            with self._catalog.unit_of_work() as work:
                work.record(Change(observed=tuple(threads)))
                return work.answer(result)

    def _hold(self, thread_ids: Sequence[str], held: ExitStack) -> None:
        ids = list(dict.fromkeys(thread_ids))
        held.enter_context(self._catalog.loaded.exclusively(ids))
        self._locks.acquire(ids, for_moments=True)
        held.callback(self._locks.release, ids)

    def _operation(self, manifest: Manifest, rewriter: Rewriter, written: Sequence[_Written]) -> Operation:
        return Operation(
            id=f"op_{uuid_utils.uuid7().hex}",
            kind="import",
            root_id=rewriter.id_of(manifest.root_id),
            moves=tuple(Move(one.thread_id, one.path) for one in written),
            state="running",
            started_at_ms=self._now(),
            result={"sizes": [one.size for one in written]},
        )

    def _described(self, manifest: Manifest, rewriter: Rewriter, rollouts: Sequence[RolloutRef]) -> list[StoredThread]:
        """The imported threads, with their names and tags."""
        by_path = {rollout.path: rollout for rollout in rollouts}
        found: list[StoredThread] = []
        for given in manifest.threads:
            current = by_path[rewriter.path_of(given.rollouts[-1].path)]
            thread = self._catalog.rollouts.describe(current).thread
            if given.name is not None:
                self._catalog.rollouts.set_name(thread.id, given.name, self._now())
                thread = structs.replace(thread, name=given.name)
            if given.tags:
                self._catalog.tags.set(thread.id, given.tags, self._now())
            found.append(thread)
        return found

    # ------------------------------------------------------------------------------------------ after a kill

    def finish(self) -> list[Operation]:
        """Take back the imports that killed processes left in the journal. One whose threads are locked is skipped:
        another process still works on it."""
        finished: list[Operation] = []
        for operation in self._catalog.log.running_operations():
            if operation.kind != "import":
                continue
            try:
                with ExitStack() as held:
                    self._hold(operation.thread_ids, held)
                    # A sync may have seen the files before.
                    gone = self._take_back(operation)
                    self._catalog.record(Change(operation=replace(operation, state="done"), forgotten=gone))
                finished.append(operation)
            except ActiveWriter as error:
                logger.info("Skipped operation %s, which another process works on: %s", operation.id, error)
            except StoreFailure as error:
                logger.warning("Could not take back the import of %s: %s", operation.root_id, error)
        return finished

    def _take_back(self, operation: Operation) -> tuple[str, ...]:
        """Remove what the import wrote, names and tags too; but if somebody has worked in one of the threads since,
        leave all of them. Returns the threads that are gone."""
        rollouts = self._catalog.rollouts
        sizes: list[int] = operation.result["sizes"]
        there = [
            (rollouts.current(RolloutRef(move.path)), size) for move, size in zip(operation.moves, sizes, strict=True)
        ]
        if any(rollout is not None and rollout.size != size for rollout, size in there):
            return ()
        for rollout, _ in there:
            if rollout is not None:
                rollouts.remove(rollout)
        gone = tuple(dict.fromkeys(operation.thread_ids))
        for thread_id in gone:
            rollouts.set_name(thread_id, None, self._now())
            self._catalog.tags.set(thread_id, (), self._now())
        return gone


def _counted(parts: Generator[bytes], one: _Written) -> Generator[bytes]:
    for part in parts:
        one.size += len(part)
        yield part


def _new_id(old: str) -> str:
    """A new id with the time of the old one, by which Codex and we find the folder of the day."""
    new = str(uuid_utils.uuid7())
    return old[:_TIME_CHARS] + new[_TIME_CHARS:] if old[14] == "7" else new


def _check_folders(folders: Sequence[tuple[str, str]]) -> None:
    for old, new in folders:
        for folder in (old, new):
            if not folder.startswith(("/", "\\\\")) and folder[1:2] != ":":
                raise InvalidArgument("map", folder, "it is no absolute path", "pass both folders whole: /old=/new")


def _checked_names(manifest: Manifest) -> Manifest:
    """The manifest with names and tags that this home can keep."""
    try:
        threads = [
            structs.replace(
                thread,
                name=None if thread.name is None else checked_name(thread.name),
                tags=checked_tags(thread.tags),
            )
            for thread in manifest.threads
        ]
    except InvalidRequest as error:
        raise UnusableBundle(f"a name or a tag in it can't be used ({error})", "mend it where it came from") from error
    return structs.replace(manifest, threads=threads)


def _result(bundle: Bundle, manifest: Manifest, rewriter: Rewriter, params: ImportParams) -> ImportResult:
    rows: list[ImportedThread] = []
    for thread in manifest.threads:
        new, cwd = rewriter.id_of(thread.id), moved_cwd(thread.cwd, params.folders)
        rows.append(
            ImportedThread(
                thread_id=new,
                old_id=UNSET if new == thread.id else thread.id,
                name=thread.name or UNSET,
                cwd=cwd,
                old_cwd=UNSET if cwd == thread.cwd else thread.cwd,
                archived=thread.archived or UNSET,
                borrowed=thread.borrowed or UNSET,
            )
        )
    return ImportResult(
        dry_run=params.dry_run,
        thread_id=rewriter.id_of(manifest.root_id),
        data=rows,
        total=len(rows),
        new_ids=sum(row.old_id is not UNSET for row in rows),
        bytes=bundle.size,
        masked=UNSET if manifest.redacted is None else manifest.redacted,
    )
