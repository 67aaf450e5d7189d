"""The state store in memory: for a home without a usable state DB, and for tests. It ends with its process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nlargest

from msgspec import structs

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.history import IndexUpdate
from mcp_server.models.records import (
    BackfillState,
    Change,
    Copy,
    Moved,
    Operation,
    Receipt,
    SpawnEdge,
    Unreadable,
    chain_of,
)
from mcp_server.models.thread import FileStamp, StoredThread, ThreadSortKey
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.history import MemoryHistory
from mcp_server.storage.query import Count, Difference, ThreadQuery, ThreadRows, beyond, fits
from mcp_server.storage.rules import (
    claimable,
    derive_events,
    edges_of,
    may_checkpoint,
    merged,
    move_events,
    name_event,
    overtaken,
    row_after,
)
from mcp_server.storage.serialised import serialised

EVENT_LIMIT = 10_000
"""Events kept. At the bound the oldest is dropped for each new one; a reader further behind sees a gap in seq."""

_KEYS: dict[ThreadSortKey, Callable[[StoredThread], int]] = {
    "created_at": lambda thread: thread.created_at_ms,
    "updated_at": lambda thread: thread.updated_at_ms,
    "recency_at": lambda thread: thread.recency_at_ms,
}


@serialised
class MemoryState(MemoryHistory, StateStore):
    """Its methods run one at a time, so each is atomic."""

    def __init__(self) -> None:
        super().__init__()
        self._edges: dict[str, SpawnEdge] = {}
        self._events: deque[ThreadEvent] = deque(maxlen=EVENT_LIMIT)
        self._last_seq = 0
        self._operations: dict[str, Operation] = {}
        self._receipts: dict[tuple[str, str, str], Receipt] = {}
        self._tombstones: set[str] = set()
        self._names_stamp: FileStamp | None = None
        self._backfill = BackfillState()
        self._unreadable: dict[str, Unreadable] = {}
        self._copies: dict[str, Copy] = {}

    def commit(self, change: Change) -> list[ThreadEvent]:
        barred = self._tombstones | set(change.tombstones) | overtaken(change, self.known_rollouts(change.seen))
        self._write([thread for thread in change.threads if thread.id not in barred])
        derived = self._write([thread for thread in change.observed if thread.id not in barred])
        derived += self._follow(change.moved)
        for edge in edges_of(change, barred):
            self._edges.setdefault(edge.child_id, edge)
        for thread_id in (*change.forgotten, *change.vanished):
            self._threads.pop(thread_id, None)
            self._forget(thread_id)
            self._copies = {path: one for path, one in self._copies.items() if one.thread_id != thread_id}
        for thread_id in change.forgotten:
            self._edges.pop(thread_id, None)
        self._tombstones.update(change.tombstones)
        if change.operation is not None:
            self._operations[change.operation.id] = change.operation
        for receipt in change.receipts:
            self._settle(receipt)
        return self._append([*derived, *change.events])

    def _write(self, threads: list[StoredThread]) -> list[ThreadEvent]:
        events: list[ThreadEvent] = []
        for thread in threads:
            before = self._threads.get(thread.id)
            self._threads[thread.id] = merged(before, thread)
            self._take_over(thread.id)
            events += derive_events(before, thread)
        return events

    def _follow(self, moved: Sequence[Moved]) -> list[ThreadEvent]:
        events: list[ThreadEvent] = []
        for one in moved:
            if (before := self._threads.get(one.thread_id)) is not None:
                after = self._threads[one.thread_id] = row_after(before, one, time.time_ns() // 1_000_000)
                self._keep(before, after)
                events += move_events(one.thread_id, before.archived, one.archived)
        return events

    def _append(self, events: list[ThreadEvent]) -> list[ThreadEvent]:
        now_ms = time.time_ns() // 1_000_000
        appended = [
            structs.replace(event, seq=seq, at_ms=now_ms) for seq, event in enumerate(events, start=self._last_seq + 1)
        ]
        self._events.extend(appended)
        self._last_seq += len(appended)
        return appended

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        taken = super().update(updates)
        for thread_id in self._tombstones.intersection(update.checkpoint.thread_id for update in updates):
            self._forget(thread_id)
        return taken

    # rows
    def get(self, thread_id: str) -> StoredThread | None:
        return self._threads.get(thread_id)

    def get_many(self, thread_ids: Collection[str]) -> dict[str, StoredThread]:
        return {key: self._threads[key] for key in thread_ids if key in self._threads}

    def list(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = ()) -> ThreadRows:
        key = _KEYS[query.sort_key]
        matches = self._matches(query)
        matches.sort(key=lambda thread: (key(thread), thread.id), reverse=query.direction == "desc")
        rows = [thread for thread in matches if beyond(key(thread), thread.id, query)]
        return ThreadRows(
            tuple(rows[: query.limit]),
            total=Count(len(matches)),
            more=len(rows) > query.limit,
            beside=tuple(self.counts(beside)),
            copies=Count(len(self._copies)),
        )

    def counts(self, queries: Sequence[ThreadQuery]) -> list[Count]:
        return [Count(len(self._matches(query))) for query in queries]

    def _allowed(self, query: ThreadQuery) -> set[str]:
        return {thread.id for thread in self._matches(replace(query, sort_key="updated_at"))}

    def _matches(self, query: ThreadQuery) -> list[StoredThread]:
        if query.parent_id is not None:
            among = {edge.child_id for edge in self._edges.values() if edge.parent_id == query.parent_id}
        else:
            among = None
        if query.ancestor_id is not None:
            below = {edge.child_id for edge in self._below([query.ancestor_id])} - {query.ancestor_id}
            among = below if among is None else among & below
        if query.ids is not None:
            among = set(query.ids) if among is None else among & set(query.ids)
        key = _KEYS[query.sort_key]
        return [
            thread
            for thread in self._threads.values()
            if (among is None or thread.id in among)
            and query.attached_to_id in (None, thread.attached_to_id)
            and (query.forked_from is None or thread.forked_from_id in query.forked_from)
            and fits(thread, key(thread), query)
            and (query.search_term is None or _holds(thread, query.search_term))
        ]

    def _below(self, thread_ids: Collection[str]) -> list[SpawnEdge]:
        found: dict[str, SpawnEdge] = {}
        level = set(thread_ids)
        while level:
            edges = [edge for edge in self._edges.values() if edge.parent_id in level]
            level = {edge.child_id for edge in edges} - found.keys()
            found |= {edge.child_id: edge for edge in edges}
        return [found[child_id] for child_id in sorted(found)]

    def matching(self, *, prefix: str | None = None, name: str | None = None, limit: int) -> list[str]:
        if prefix is not None:
            return sorted(thread_id for thread_id in self._threads if thread_id.startswith(prefix))[:limit]
        named = [thread for thread in self._threads.values() if thread.name == name]
        named.sort(key=lambda thread: (not thread.archived, thread.updated_at_ms, thread.id), reverse=True)
        return [thread.id for thread in named[:limit]]

    def compare(self, found: Iterable[RolloutRef]) -> Difference:
        listed = {file.path: file.stamp for file in found}
        known = {thread.path: thread.stamp for thread in self._threads.values()}
        bad: dict[str, FileStamp | None] = {path: one.stamp for path, one in self._unreadable.items()}
        copies = {path: one.stamp for path, one in self._copies.items() if one.thread_id in self._threads}
        return Difference(
            frozenset(
                path
                for path, stamp in listed.items()
                if stamp not in (known.get(path), bad.get(path), copies.get(path))
            ),
            {key: row.path for key, row in self._threads.items() if listed.get(row.path) != row.stamp},
            frozenset((bad.keys() | self._copies.keys()) - listed.keys()),
        )

    def compare_folders(self, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
        listed = {path: stamp for rollouts in folders.values() for path, stamp in rollouts.items()}
        known = {row.path: row.stamp for row in self._threads.values()}
        return Difference(
            frozenset(p for p, stamp in listed.items() if p not in known or stamp not in (None, known[p])),
            {
                key: row.path
                for key, row in self._threads.items()
                if row.path.rpartition("/")[0] in folders and row.path not in listed
            },
        )

    def written_last(self, limit: int) -> dict[str, FileStamp]:
        rows = nlargest(limit, self._threads.values(), key=lambda row: row.stamp.mtime_ns)
        return {row.path: row.stamp for row in rows}

    def known_rollouts(self, thread_ids: Collection[str] | None = None) -> dict[str, RolloutRef]:
        rows = self._threads if thread_ids is None else self.get_many(thread_ids)
        return {key: rollout_of(row) for key, row in rows.items()}

    def largest(self, limit: int) -> dict[str, int]:
        rows = nlargest(limit, self._threads.values(), key=lambda row: (row.stamp.size, row.id))
        return {row.id: row.stamp.size for row in rows}

    def rollouts_at(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        return {key: one for key, one in self.known_rollouts().items() if one.path in paths}

    def merge_texts(self) -> bool:
        """There is nothing to merge."""
        return False

    def names_stamp(self) -> FileStamp | None:
        return self._names_stamp

    def names(self) -> dict[str, str]:
        return {key: row.name for key, row in self._threads.items() if row.name is not None}

    def apply_names(self, names: dict[str, str], stamp: FileStamp | None) -> list[ThreadEvent]:
        self._names_stamp = stamp
        changed = [self._threads[key] for key in sorted(self._threads) if self._threads[key].name != names.get(key)]
        for thread in changed:
            self._threads[thread.id] = structs.replace(thread, name=names.get(thread.id))
        return self._append([name_event(thread.id, names.get(thread.id)) for thread in changed])

    # edges
    def edges_above(self, thread_id: str) -> list[SpawnEdge]:
        return chain_of(self._edges, thread_id)

    def edges_below(self, thread_ids: Collection[str]) -> list[SpawnEdge]:
        return self._below(thread_ids)

    def cwds(self) -> dict[str, int]:
        return dict(Counter(thread.cwd for thread in self._threads.values()))

    def forks_of(self, thread_id: str) -> list[str]:
        forks = (t.id for t in self._threads.values() if t.history_base and t.history_base.thread_id == thread_id)
        return sorted(forks)

    # what can't be read
    def note_unreadable(self, found: Sequence[Unreadable], settled: Collection[str] = ()) -> None:
        self._unreadable = {path: one for path, one in self._unreadable.items() if path not in settled}
        self._unreadable |= {one.path: one for one in found}

    def unreadable(self) -> list[Unreadable]:
        return [self._unreadable[path] for path in sorted(self._unreadable)]

    # copies
    def note_copies(self, found: Sequence[Copy], settled: Collection[str] = ()) -> None:
        self._copies = {path: one for path, one in self._copies.items() if path not in settled}
        self._copies |= {one.path: one for one in found}

    def copies(self, thread_ids: Collection[str] | None = None) -> list[Copy]:
        of_these = (one for one in self._copies.values() if thread_ids is None or one.thread_id in thread_ids)
        return sorted(of_these, key=lambda one: one.path)

    # events
    def events_after(
        self,
        seq: int,
        *,
        limit: int,
        thread_ids: Collection[str] | None = None,
        types: Collection[EventType] | None = None,
    ) -> list[ThreadEvent]:
        found = (
            event
            for event in self._events
            if event.seq > seq
            and (thread_ids is None or event.thread_id in thread_ids)
            and (types is None or event.type in types)
        )
        return [event for event, _ in zip(found, range(limit), strict=False)]

    def first_seq(self) -> int:
        return self._events[0].seq if self._events else 0

    def last_seq(self) -> int:
        return self._last_seq

    # journal
    def operation(self, operation_id: str) -> Operation | None:
        return self._operations.get(operation_id)

    def running_operations(self) -> list[Operation]:
        return sorted((o for o in self._operations.values() if o.state == "running"), key=_by_start)

    def last_operations(self, kind: str, thread_ids: Collection[str]) -> dict[str, str]:
        done = [one for one in self._operations.values() if (one.state, one.kind) == ("done", kind)]
        return {move.thread_id: one.id for one in done for move in one.moves if move.thread_id in thread_ids}

    def receipts(self, client: str, request_id: str) -> list[Receipt]:
        found = (r for r in self._receipts.values() if (r.client, r.request_id) == (client, request_id))
        return sorted(found, key=lambda receipt: (-receipt.at_ms, receipt.connection))

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        there = self._receipts.get(claim.key)
        if there is None or there == abandoned:
            there = self._receipts[claim.key] = claim
        return there

    def _settle(self, receipt: Receipt) -> None:
        if receipt.result is not None:
            self._receipts[receipt.key] = receipt
        elif self._receipts.get(receipt.key) == receipt:
            del self._receipts[receipt.key]

    def deleted(self, thread_ids: Collection[str]) -> frozenset[str]:
        return frozenset(self._tombstones.intersection(thread_ids))

    # backfill
    def backfill(self) -> BackfillState:
        return self._backfill

    def claim_backfill(self, owner: str, now_ms: int, lease_ms: int) -> bool:
        if not claimable(self._backfill, now_ms, lease_ms):
            return False
        self._backfill = replace(self._backfill, status="running", owner=owner, updated_at_ms=now_ms)
        return True

    def reopen_backfill(self) -> None:
        if self._backfill.status == "complete":
            self._backfill = BackfillState()
            self._unreadable.clear()
            self._copies.clear()
            self._forget_all()

    def checkpoint_backfill(self, state: BackfillState) -> None:
        if may_checkpoint(self._backfill, state):
            self._backfill = state


def _holds(thread: StoredThread, term: str) -> bool:
    return term in (thread.name or "") or term in thread.preview


def _by_start(operation: Operation) -> tuple[int, str]:
    return operation.started_at_ms, operation.id
