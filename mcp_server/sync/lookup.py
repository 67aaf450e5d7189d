"""Looks threads up and repairs each row that no longer matches its file (read-repair, CODEX_SEMANTICS 3.7).

Several functions take the same keywords:
    written_here: returns the threads whose writer lock this process holds (`Leases.held`). Their rows are skipped:
        whoever loaded such a thread keeps its row.
    more_names: a second source of names, which takes precedence over session_index.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.lines import RawLine, decode_first, decode_meta
from mcp_server.codex.paths import rollout_id_of, thread_id_of
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.upsert import NameSource, Upserter

_META_BYTES = 64 << 10

T = TypeVar("T")


class Source(NamedTuple):
    """A rollout that others borrow from: where it is, what it borrows itself, and whether it is attached (and so does
    not show what it borrows)."""

    rollout: RolloutRef
    history_base: HistoryBase | None
    attached: bool = False


def find(
    rollouts: RolloutStore,
    state: StateStore | None,
    thread_id: str,
    *,
    written_here: Callable[[], Collection[str]] = frozenset[str],
    more_names: NameSource | None = None,
    quiet: bool = False,
) -> StoredThread | None:
    """The stored thread with this full id; None if there is none or it was deleted. Repairs its row, without events if
    `quiet`.

    If the file has the stamp in the row, the row is returned; else the file is read again. If the file is gone or has
    another id, a search for the thread's file replaces the row's path, or removes the row. If the file can't be read
    and there is no other, the row is returned (CODEX_SEMANTICS 3.7). Without a state store, only files are searched. If
    the row can't be written, the answer is right all the same.

    Raises:
        DamagedRollout: there is no usable row, and the thread's files can't be read.
    """
    if state is None:
        thread = _search(rollouts, rollouts.locate(thread_id), thread_id)
        with suppress(DamagedRollout):
            names = rollouts.names() | dict(more_names() if more_names else {})
            thread = thread and replace(thread, name=names.get(thread_id))
        return thread
    upserter = Upserter(rollouts, state, quiet=quiet, written_here=written_here, more_names=more_names)
    row = state.get(thread_id)
    if row is None and state.deleted([thread_id]):  # what is deleted has no row
        return None
    current = upserter.verify(row, rollouts.stat(row.path)) if row else None
    if row is not None and current is row:
        return row
    if not isinstance(current, StoredThread):
        try:
            thread = _search(rollouts, _candidates(rollouts, thread_id, row), thread_id)
        except DamagedRollout:
            if row is None or current is None:
                raise
            return row
        if thread is None:
            if row is not None:
                with suppress(StoreFailure):
                    upserter.remove_missing({thread_id: row.path})
            return None
        current = thread
    current = upserter.with_known_facts(current, row)
    if thread_id not in written_here():
        with suppress(StoreFailure):
            upserter.commit([(current, row)])
    return current


def find_rollout(rollouts: RolloutStore, state: StateStore | None, rollout_id: str) -> Source | None:
    """The rollout with this id; None if there is none. It may be the current one of its thread, or one that a revert
    has replaced and that has no row.

    Raises:
        DamagedRollout: it exists and can't be read.
    """
    row = state.get(rollout_id) if state is not None else None
    if row is not None and (rollout_id_of(row.path) or row.id) == rollout_id and rollouts.stat(row.path):
        return Source(rollout_of(row), row.history_base, row.attached)
    if files := rollouts.locate_rollout(rollout_id):
        return _source_at(rollouts, files[0])
    thread = find(rollouts, state, rollout_id)  # the file may be named otherwise
    return thread and Source(rollout_of(thread), thread.history_base, thread.attached)


def _source_at(rollouts: RolloutStore, file: RolloutRef) -> Source:
    (head,) = rollouts.read(file, [(0, _META_BYTES)])
    try:
        line = decode_first(RawLine(0, head[: head.index(b"\n")]), [])
        meta = decode_meta(line.payload)
        return Source(file, meta.history_base, meta.attached_thread is True)
    except ValueError:  # no newline so far, or damage
        thread = rollouts.describe(file).thread
        return Source(file, thread.history_base, thread.attached)


def find_many(
    rollouts: RolloutStore,
    state: StateStore | None,
    thread_ids: Sequence[str],
    *,
    written_here: Callable[[], Collection[str]] = frozenset[str],
    more_names: NameSource | None = None,
) -> tuple[dict[str, StoredThread | DamagedRollout | None], dict[str, IndexCheckpoint]]:
    """Each of these threads as by `find`, or the error that it raises; and the checkpoints of their turn index. Rows
    that match their files are looked up all at once."""
    verified: dict[str, StoredThread | None] = {}
    marks: dict[str, IndexCheckpoint] = {}
    if state is not None:
        with state.snapshot():
            rows, marks = state.get_many(thread_ids), state.checkpoints(thread_ids)
        verified = _verified(rollouts, state, thread_ids, rows, rollout_of)
    found: dict[str, StoredThread | DamagedRollout | None] = {}
    for thread_id in thread_ids:
        if thread_id in verified:
            found[thread_id] = verified[thread_id]
        else:
            found[thread_id] = _find_one(rollouts, state, thread_id, written_here, more_names)
    return found, marks


def find_rollouts(
    rollouts: RolloutStore,
    state: StateStore | None,
    thread_ids: Sequence[str],
    *,
    written_here: Callable[[], Collection[str]] = frozenset[str],
    more_names: NameSource | None = None,
) -> dict[str, RolloutRef | DamagedRollout | None]:
    """The rollouts of the threads that `find_many` would find. (Decoding whole rows would take most of the time that a
    cascade plans.)"""
    known: dict[str, RolloutRef | None] = {}
    if state is not None:
        known = _verified(rollouts, state, thread_ids, state.known_rollouts(thread_ids), lambda rollout: rollout)
    there: dict[str, RolloutRef | DamagedRollout | None] = {}
    for thread_id in thread_ids:
        if thread_id in known:
            there[thread_id] = known[thread_id]
        else:
            found = _find_one(rollouts, state, thread_id, written_here, more_names)
            there[thread_id] = rollout_of(found) if isinstance(found, StoredThread) else found
    return there


def verified(row: StoredThread, files: Mapping[str, RolloutRef]) -> bool:
    """Whether the file at the row's path still has the stamp in the row."""
    return files.get(row.path) == rollout_of(row)


def _verified(
    rollouts: RolloutStore,
    state: StateStore,
    thread_ids: Sequence[str],
    rows: Mapping[str, T],
    rollout: Callable[[T], RolloutRef],
) -> dict[str, T | None]:
    """The rows that match their files, and None for each thread that was deleted."""
    named = {thread_id: rollout(row) for thread_id, row in rows.items()}
    files = rollouts.stat_many([one.path for one in named.values()])
    known: dict[str, T | None] = {
        thread_id: rows[thread_id] for thread_id, one in named.items() if files.get(one.path) == one
    }
    if missing := [thread_id for thread_id in thread_ids if thread_id not in rows]:
        known.update(dict.fromkeys(state.deleted(missing)))  # what is deleted has no row
    return known


def _find_one(
    rollouts: RolloutStore,
    state: StateStore | None,
    thread_id: str,
    written_here: Callable[[], Collection[str]],
    more_names: NameSource | None,
) -> StoredThread | DamagedRollout | None:
    try:
        return find(rollouts, state, thread_id, written_here=written_here, more_names=more_names)
    except DamagedRollout as damage:
        return damage


def _search(rollouts: RolloutStore, files: Iterable[RolloutRef], thread_id: str) -> StoredThread | None:
    """The thread in the first of these files that has the id. Raises DamagedRollout if none has and one can't be
    read."""
    damage: DamagedRollout | None = None
    for file in files:
        try:
            thread = rollouts.describe(file).thread
        except DamagedRollout as error:
            damage = damage or error
            continue
        if thread.id == thread_id:
            return thread
    if damage is not None:
        raise damage
    return None


def _candidates(rollouts: RolloutStore, thread_id: str, row: StoredThread | None) -> list[RolloutRef]:
    """The files named after the thread; else the files with the name that the row's file had, in any folder."""
    if row is None:
        return rollouts.locate(thread_id)
    if files := moved_to(rollouts, thread_id, row.path):
        return files
    name = PurePosixPath(row.path).name
    return [file for file in rollouts.walk() if PurePosixPath(file.path).name == name]


def moved_to(rollouts: RolloutStore, thread_id: str, path: str) -> list[RolloutRef]:
    """Where the rollout that was at a path may be now: the same rollout elsewhere, else others of the thread."""
    name = PurePosixPath(path).name
    rollout_id = rollout_id_of(name) if thread_id_of(name) == thread_id else None
    same = rollouts.locate_rollout(rollout_id) if rollout_id else []
    return same or rollouts.locate(thread_id)
