"""How verbs find threads. Each home has a `Lookup`: `IndexLookup` where nobody changes threads without the index; in a
home of files one that compares rows with files and repairs those that differ (`sync.lookup`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.errors import DamagedRollout
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.records import ALL_ACTIVE, BackfillState, Unreadable
from mcp_server.models.thread import StoredThread
from mcp_server.models.times import rfc3339
from mcp_server.storage.contracts import State
from mcp_server.storage.query import ThreadQuery, ThreadRows

FoundThreads = dict[str, StoredThread | DamagedRollout | None]
"""By thread id: the thread, why it can't be read, or None if there is none."""


class Source(NamedTuple):
    """A rollout that others borrow from: where it is, what it borrows itself, and whether it is attached (and so does
    not show what it borrows)."""

    rollout: RolloutRef
    history_base: HistoryBase | None
    attached: bool = False


def source_of(thread: StoredThread) -> Source:
    """The rollout of a thread, for those that borrow from it."""
    return Source(rollout_of(thread), thread.history_base, thread.attached)


class ThreadPage(NamedTuple):
    """A page of the index, and the threads on it as they are now: `shown`. `missing` counts those whose rollout is
    gone, `unreadable` the rollouts of the whole home that can't be read and so have no row."""

    rows: ThreadRows
    shown: Sequence[StoredThread]
    missing: int = 0
    unreadable: int = 0


class Lookup(Protocol):
    """Finds the threads of one home by its `store`.

    Raises StoreFailure if the store can't be read.
    """

    @property
    def store(self) -> State:
        """The index that answers, and the logs beside it, as they are."""
        ...

    def index(self, *, names: bool = False) -> State:
        """The store, in step with what others have changed in the home. `names`: the caller depends on names."""
        ...

    def page(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = (), *, names: bool = False) -> ThreadPage:
        """One page of `index`, and the counts of the queries `beside` it."""
        ...

    def find(self, thread_id: str) -> StoredThread | None:
        """The stored thread with this full id; None if there is none or it was deleted.

        Raises:
            DamagedRollout: it can't be read, and there is no usable row.
        """
        ...

    def find_many(self, thread_ids: Sequence[str]) -> tuple[FoundThreads, dict[str, IndexCheckpoint]]:
        """These threads, without Codex's facts, and the checkpoints of their turn index."""
        ...

    def find_rollouts(self, thread_ids: Sequence[str]) -> dict[str, RolloutRef | DamagedRollout | None]:
        """The rollouts of the threads that `find_many` would find: cheaper than the threads."""
        ...

    def source(self, rollout_id: str) -> Source | None:
        """The rollout with this id. It may be the current one of its thread, or one that a revert has replaced.

        Raises:
            DamagedRollout: it exists and can't be read.
        """
        ...

    def repair(self, thread_ids: Collection[str]) -> None:
        """Sync the rows of these threads with what was done to the threads before this store was attached. The store
        already has the events."""

    def unreadable(self, *, archived: bool) -> Sequence[Unreadable]:
        """The rollouts that can't be read, among the active or among the archived ones."""
        ...

    def copies(self, thread_ids: Collection[str]) -> Sequence[str]:
        """Paths of the copies of these threads' rollouts, as sync tools leave them."""
        ...

    def check_is_not_a_copy(self, stored: StoredThread) -> None:
        """Refuse to write to a copy that is shown because the thread's own rollout can't be read.

        Raises:
            DamagedRollout: the thread's own rollout exists and can't be read.
        """

    def with_facts(self, threads: Sequence[StoredThread]) -> Sequence[StoredThread]:
        """The threads, with the facts that only Codex's database holds."""
        ...

    def in_section(self, section: str) -> Sequence[str]:
        """The ids of the threads in one of Codex's sections, by its id or name."""
        ...

    def named_by_codex(self, thread: StoredThread) -> StoredThread:
        """The thread with the name in Codex's row, which the next look-up will show."""
        ...

    def parts(self) -> Iterator[PartialIndex]:
        """The parts of the index that are built while the whole is not there yet, the larger one first."""
        ...


class PartialIndex(NamedTuple):
    """A part of an index that is being built, and the state of its backfill from before its rows are read: they are at
    least as complete.

    The backfill reads rollouts newest first, and their names say when a thread was created. So a page of active
    threads, newest first, is right once the index has one more row that is newer than all rollouts that are left
    (`BackfillState.horizon_ms`). By when they were worked on last, the page lacks older threads that somebody went on
    with, and says so. Every list of active threads is right once no active rollout is left.
    """

    lookup: Lookup
    state: BackfillState
    grows: bool
    """Whether it becomes the whole index; else another takes its place."""

    @property
    def note(self) -> str:
        return f"The index is being built: {self.state.done} of {self.state.found} files are in it"

    def lacks(self, query: ThreadQuery) -> str:
        """What a page may lack that the whole index would give, for the end of a sentence."""
        horizon_ms = self.state.horizon_ms
        if query.sort_key != "recency_at" or horizon_ms is None or horizon_ms <= ALL_ACTIVE:
            return ""
        return f"; threads begun before {rfc3339(horizon_ms)[:10]} and worked on since are missing yet"

    def has_page(self, query: ThreadQuery) -> bool:
        """Whether the page of active threads is the one that the whole index would give, apart from threads that others
        have created since the backfill began, and from what it `lacks`."""
        horizon_ms = self.state.horizon_ms
        if horizon_ms is None:
            return False
        if horizon_ms <= ALL_ACTIVE:
            return True
        if query.direction != "desc" or query.sort_key not in ("created_at", "recency_at"):
            return False
        if query.since_ms is not None and query.since_ms > horizon_ms:
            return True
        return self.lookup.store.list(replace(query, since_ms=horizon_ms + 1)).more


class IndexLookup(Lookup):
    """The look-up of a home that nobody changes without its index: rows are right as they are, and there is nothing to
    sync, to repair or to ask of Codex."""

    def __init__(self, store: State) -> None:
        self._store = store

    @property
    def store(self) -> State:
        return self._store

    def index(self, *, names: bool = False) -> State:
        return self._store

    def page(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = (), *, names: bool = False) -> ThreadPage:
        rows = self._store.list(query, beside)
        return ThreadPage(rows, rows.rows)

    def find(self, thread_id: str) -> StoredThread | None:
        return self._store.get(thread_id)

    def find_many(self, thread_ids: Sequence[str]) -> tuple[FoundThreads, dict[str, IndexCheckpoint]]:
        with self._store.snapshot():
            rows, checkpoints = self._store.get_many(thread_ids), self._store.checkpoints(thread_ids)
        return {thread_id: rows.get(thread_id) for thread_id in thread_ids}, checkpoints

    def find_rollouts(self, thread_ids: Sequence[str]) -> dict[str, RolloutRef | DamagedRollout | None]:
        rows = self._store.get_many(thread_ids)
        return {thread_id: rollout_of(rows[thread_id]) if thread_id in rows else None for thread_id in thread_ids}

    def source(self, rollout_id: str) -> Source | None:
        thread = self._store.get(rollout_id)
        return thread and source_of(thread)

    def repair(self, thread_ids: Collection[str]) -> None:
        """Rows change together with their threads."""

    def unreadable(self, *, archived: bool) -> Sequence[Unreadable]:
        return ()

    def copies(self, thread_ids: Collection[str]) -> Sequence[str]:
        return ()

    def check_is_not_a_copy(self, stored: StoredThread) -> None:
        """There are no copies."""

    def with_facts(self, threads: Sequence[StoredThread]) -> Sequence[StoredThread]:
        return threads

    def in_section(self, section: str) -> Sequence[str]:
        return ()

    def named_by_codex(self, thread: StoredThread) -> StoredThread:
        return thread

    def parts(self) -> Iterator[PartialIndex]:
        return iter(())
