"""`StateDb`, THE state handle: one SQLite file, one engine, one writer at a time and readers beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import filelock
import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import NotStorable, StateDamaged
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.history import IndexCheckpoint, IndexProgress, IndexUpdate, TurnSpan
from mcp_server.models.records import BackfillState, Change, Copy, Operation, Receipt, SpawnEdge, Unreadable
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.models.times import now_ms
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import (
    Count,
    Difference,
    TextPlace,
    TextQuery,
    ThreadQuery,
    ThreadRows,
    WordHits,
    WordQuery,
)
from mcp_server.storage.rules import edges_of, overtaken
from mcp_server.storage.sql import lists, log, threads, turns
from mcp_server.storage.sqlite import files, fulltext, schema, words
from mcp_server.storage.sqlite.bounds import STATE_BOUNDS, StateBounds
from mcp_server.storage.sqlite.engine import WAL_BYTES, Transactions, plain_errors
from mcp_server.storage.sqlite.failure import is_damage, is_unstorable, retried, state_failure

_READERS = 4
_DAY_MS = 86_400_000
_PRUNED = 1_000  # at a time: writers wait for some milliseconds

P = ParamSpec("P")
T = TypeVar("T")


class StateDb(StateStore):
    """The state store on SQLite. Besides what `StateStore` says, each method raises StoreFailure if the file or the
    disk fails, or if other processes hold the database for longer than the bound."""

    def __init__(
        self, path: Path, engine: Engine, moved_aside: Path | None = None, bounds: StateBounds = STATE_BOUNDS
    ) -> None:
        self.path, self._bounds = path, bounds
        self.moved_aside = moved_aside
        """Where a file was moved that was corrupt or another program's; None if the database was fine or new."""
        self.on_damage: Callable[[], None] = lambda: None
        """Called when a call finds damage in the file, in the OS thread of that call."""
        self.damaged = False
        self.identity = schema.identity(path)
        self._engine = engine
        self._transactions = Transactions(engine)
        self._reading = threading.BoundedSemaphore(_READERS)
        self._writing = threading.Lock()
        self._tidying = threading.Lock()
        self._tidied: FileStamp | None = None
        self._snapshot = threading.local()
        """`connection`: that of the snapshot which this OS thread has open, else None."""

    @classmethod
    def open(cls, path: Path, *, ruined: schema.Identity | None = None, bounds: StateBounds = STATE_BOUNDS) -> StateDb:
        """Open or create the database and bring its schema up to date. Call it once.
        `ruined` is the identity of a file that was found damaged. If the path still names it, it is moved aside.

        Raises:
            StoreFailure: the file can't be opened, or other processes kept it locked for too long.
        """
        try:
            return cls(path, *schema.open_file(path, bounds, ruined), bounds)
        except (OSError, filelock.Timeout, sqlite3.Error, SQLAlchemyError) as error:
            raise state_failure(path, error) from error

    @classmethod
    def open_existing(cls, path: Path, bounds: StateBounds = STATE_BOUNDS) -> StateDb | None:
        """The database as it is, for helpers that only read; None if there is none that can be used. Creates, moves
        and migrates nothing.

        Raises:
            StoreFailure: the file can't be read.
        """
        try:
            engine = schema.open_existing(path, bounds)
        except (OSError, sqlite3.Error, SQLAlchemyError) as error:
            raise state_failure(path, error) from error
        return None if engine is None else cls(path, engine, bounds=bounds)

    def is_lost(self) -> bool:
        """Whether damage was met, or the file was moved aside, deleted or replaced. The owner then opens another."""
        return self.damaged or schema.identity(self.path) != self.identity

    def close(self) -> None:
        """Close all connections."""
        self._transactions.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """A transaction that writes: all of it is committed at the end, or nothing if the block raises. It holds
        SQLite's write lock from the beginning."""
        with self._transactions.begin(immediate=True) as connection:
            yield connection

    def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads; it sees one snapshot."""
        with self.snapshot(), self._failures(), plain_errors():
            return function(self._snapshot.connection, *args, **kwargs)

    @contextmanager
    def snapshot(self) -> Generator[None]:
        if getattr(self._snapshot, "connection", None) is not None:
            yield
            return
        with self._reading, self._failures(), self._transactions.begin() as connection:
            self._snapshot.connection = connection
            try:
                yield
            finally:
                self._snapshot.connection = None

    def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in one `transaction`; writers take turns. It runs again if the database was locked, so it must
        do nothing that a rollback does not undo."""

        def run() -> T:
            with self.transaction() as connection:
                return function(connection, *args, **kwargs)

        return self._run(partial(retried, run, self._bounds.write_seconds), self._writing)

    def tidy(self) -> None:
        """Checkpoint the WAL if it is long. Call it regularly: otherwise a commit has to do so now and then, and waits
        for the disk."""
        wal = schema.wal_stamp(self.path)
        if wal is not None and wal.size > WAL_BYTES and wal != self._tidied:
            self._run(partial(schema.checkpoint_wal, self._engine), self._tidying)
            self._tidied = wal  # the WAL keeps its length until the next commit restarts it

    def prune(self, now_ms: int) -> bool:
        """Remove a step of the events and receipts that are older than they are kept. True if there may be more.
        Operations and tombstones stay: they come of what a person asks for, and bringing threads back needs them."""

        before_ms, kept = now_ms - round(self._bounds.kept_days * _DAY_MS), self._bounds.kept_events
        return self.read(log.has_old, before_ms, kept) and self.write(log.prune, before_ms, kept, _PRUNED)

    def _run(self, work: Callable[[], T], turn: AbstractContextManager[object]) -> T:
        with turn, self._failures():
            return work()

    @contextmanager
    def _failures(self) -> Generator[None]:
        """Turn the errors of SQLite and of decoding into ours."""
        try:
            yield
        except (sqlite3.Error, ValueError, OverflowError, RecursionError, msgspec.DecodeError) as error:
            if is_unstorable(error):
                raise NotStorable(f"{type(error).__name__}: {error}") from error
            if not is_damage(error):
                if not isinstance(error, sqlite3.Error):
                    raise
                raise state_failure(self.path, error) from error
            self.damaged = True
            self.on_damage()
            raise StateDamaged(str(self.path), str(error)) from error

    def commit(self, change: Change) -> list[ThreadEvent]:
        return self.write(_apply, change, now_ms())

    # rows
    def get(self, thread_id: str) -> StoredThread | None:
        return self.read(threads.get, thread_id)

    def get_many(self, thread_ids: Collection[str]) -> dict[str, StoredThread]:
        return self.read(threads.get_many, thread_ids)

    def list(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = ()) -> ThreadRows:
        return self.read(_list, query, beside)

    def counts(self, queries: Sequence[ThreadQuery]) -> list[Count]:
        return self.read(fulltext.LISTS.counts, queries)

    def matching(self, *, prefix: str | None = None, name: str | None = None, limit: int) -> list[str]:
        return self.read(threads.matching, prefix, name, limit)

    def compare(self, found: Iterable[RolloutRef]) -> Difference:
        return self.read(files.compare, found)

    def compare_folders(self, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
        return self.read(files.compare_folders, folders)

    def written_last(self, limit: int) -> dict[str, FileStamp]:
        return self.read(threads.written_last, limit)

    def known_rollouts(self, thread_ids: Collection[str] | None = None) -> dict[str, RolloutRef]:
        return self.read(threads.known_rollouts, thread_ids)

    def largest(self, limit: int) -> dict[str, int]:
        return self.read(threads.largest, limit)

    def rollouts_at(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        return self.read(threads.rollouts_at, paths)

    def names_stamp(self) -> FileStamp | None:
        return self.read(log.names_stamp)

    def names(self) -> dict[str, str]:
        return self.read(threads.names)

    def apply_names(self, names: dict[str, str], stamp: FileStamp | None) -> list[ThreadEvent]:
        return self.write(_apply_names, names, stamp, now_ms())

    # edges
    def edges_above(self, thread_id: str) -> list[SpawnEdge]:
        return self.read(threads.edges_above, thread_id)

    def edges_below(self, thread_ids: Collection[str]) -> list[SpawnEdge]:
        return self.read(threads.edges_below, thread_ids)

    def cwds(self) -> dict[str, int]:
        return self.read(lists.cwds)

    def forks_of(self, thread_id: str) -> list[str]:
        return self.read(threads.forks_of, thread_id)

    # histories
    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        return self.read(turns.checkpoints, thread_ids)

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        return self.read(turns.with_numbers, thread_id, first, end)

    def all_spans(self, thread_ids: Collection[str]) -> dict[str, list[TurnSpan]]:
        return self.read(turns.of_threads, thread_ids)

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        return self.read(turns.with_items, thread_id, first, end)

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        return self.read(turns.with_id, thread_id, turn_id)

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        return self.write(_update, updates, now_ms())

    def places(self, query: TextQuery) -> list[TextPlace]:
        if query.numbers is not None:
            return self.read(words.places_at, query.numbers)
        return self.read(fulltext.places, query)

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        return self.read(fulltext.named, literals, threads, limit)

    def find_words(self, query: WordQuery) -> WordHits:
        return self.read(words.find, query)

    def words_like(self, word: str) -> list[str]:
        return self.read(words.words_like, word)

    def merge_texts(self) -> bool:
        return self.read(fulltext.merge_is_due) and self.write(fulltext.merge)

    def unread(self, limit: int) -> list[str]:
        return self.read(turns.unread, limit)

    def progress(self) -> IndexProgress:
        return self.read(turns.progress)

    # what can't be read
    def note_unreadable(self, found: Sequence[Unreadable], settled: Collection[str] = ()) -> None:
        self.write(files.note_unreadable, found, settled)

    def unreadable(self) -> list[Unreadable]:
        return self.read(files.unreadable)

    # copies
    def note_copies(self, found: Sequence[Copy], settled: Collection[str] = ()) -> None:
        self.write(files.note_copies, found, settled)

    def copies(self, thread_ids: Collection[str] | None = None) -> list[Copy]:
        return self.read(files.copies, thread_ids)

    # events
    def events_after(
        self,
        seq: int,
        *,
        limit: int,
        thread_ids: Collection[str] | None = None,
        types: Collection[EventType] | None = None,
    ) -> list[ThreadEvent]:
        return self.read(log.events_after, seq, limit, thread_ids, types)

    def first_seq(self) -> int:
        return self.read(log.first_seq)

    def last_seq(self) -> int:
        return self.read(log.last_seq)

    # journal
    def operation(self, operation_id: str) -> Operation | None:
        return self.read(log.operation, operation_id)

    def running_operations(self) -> list[Operation]:
        return self.read(log.running_operations)

    def last_operations(self, kind: str, thread_ids: Collection[str]) -> dict[str, str]:
        return self.read(log.last_operations, kind, thread_ids)

    # receipts, tombstones
    def receipts(self, client: str, request_id: str) -> list[Receipt]:
        return self.read(log.receipts, client, request_id)

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        there = self.write(log.claim, claim, abandoned)
        # Without this, a commit reaches the disk at the next checkpoint. A claim has to be there before its work.
        self._run(partial(schema.flush_wal, self.path), self._writing)
        return there

    def deleted(self, thread_ids: Collection[str]) -> frozenset[str]:
        return self.read(log.deleted, thread_ids)

    # backfill
    def backfill(self) -> BackfillState:
        return self.read(log.backfill)

    def claim_backfill(self, owner: str, now_ms: int, lease_ms: int) -> bool:
        return self.write(log.claim_backfill, owner, now_ms, lease_ms)

    def reopen_backfill(self) -> None:
        self.write(_reopen)

    def checkpoint_backfill(self, state: BackfillState) -> None:
        self.write(log.checkpoint_backfill, state)


def _apply(connection: Connection, change: Change, now_ms: int) -> list[ThreadEvent]:
    written = {thread.id for thread in (*change.threads, *change.observed)} | {e.child_id for e in change.edges}
    barred = log.deleted(connection, written) | frozenset(change.tombstones)
    if change.seen:
        barred |= overtaken(change, threads.known_rollouts(connection, change.seen.keys()))
    threads.upsert_threads(connection, [thread for thread in change.threads if thread.id not in barred])
    derived = threads.upsert_threads(connection, [thread for thread in change.observed if thread.id not in barred])
    turns.note_unread(connection, [thread for thread in (*change.threads, *change.observed) if thread.id not in barred])
    turns.follow_moves(connection, change.moved)
    derived += threads.move_rows(connection, change.moved, now_ms)
    threads.add_edges(connection, edges_of(change, barred))
    threads.remove_rows(connection, {*change.forgotten, *change.vanished})
    turns.forget(connection, {*change.forgotten, *change.vanished})
    files.forget_copies(connection, {*change.forgotten, *change.vanished})
    threads.remove_edges(connection, change.forgotten)
    log.add_tombstones(connection, change.tombstones, now_ms)
    if change.operation is not None:
        log.save_operation(connection, change.operation)
    for receipt in change.receipts:
        log.settle(connection, receipt)
    return log.append_events(connection, [*derived, *change.events], now_ms)


def _list(connection: Connection, query: ThreadQuery, beside: Sequence[ThreadQuery]) -> ThreadRows:
    return replace(fulltext.LISTS.page(connection, query, beside), copies=files.count_copies(connection))


def _reopen(connection: Connection) -> None:
    if log.backfill(connection).status == "complete":
        turns.forget_all(connection)
        fulltext.forget_all(connection)
        files.forget_all(connection)
    log.reopen_backfill(connection)


def _update(connection: Connection, updates: Sequence[IndexUpdate], now_ms: int) -> list[bool]:
    numbers = turns.apply_updates(connection, updates)
    taken = [(number, update) for number, update in zip(numbers, updates, strict=True) if number is not None]
    fulltext.add(connection, taken, now_ms)
    # Some may have been deleted while they were read.
    turns.forget(connection, log.deleted(connection, {update.checkpoint.thread_id for update in updates}))
    return [number is not None for number in numbers]


def _apply_names(
    connection: Connection, names: dict[str, str], stamp: FileStamp | None, now_ms: int
) -> list[ThreadEvent]:
    events = threads.apply_names(connection, names)
    log.save_names_stamp(connection, stamp)
    return log.append_events(connection, events, now_ms)
