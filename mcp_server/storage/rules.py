"""What a change means, as pure functions that every state store shares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace as replace_fields
from typing import Protocol

from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.paths import revert_order
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.records import BackfillState, Change, Moved, SpawnEdge
from mcp_server.models.thread import StoredThread, spawn_parent


class Known(Protocol):
    """The fields of an existing row that decide what a change of it means."""

    @property
    def path(self) -> str: ...
    @property
    def archived(self) -> bool: ...
    @property
    def name(self) -> str | None: ...
    @property
    def recency_at_ms(self) -> int: ...
    @property
    def preview(self) -> str: ...


def merged(before: Known | None, after: StoredThread) -> StoredThread:
    """The row that results when `after` replaces `before`. A rollout holds no name, so None keeps the row's name;
    recency never goes back."""
    if before is None:
        return after
    name = before.name if after.name is None else after.name
    recency_at_ms = max(before.recency_at_ms, after.recency_at_ms)
    if (name, recency_at_ms) == (after.name, after.recency_at_ms):
        return after
    return replace(after, name=name, recency_at_ms=recency_at_ms)


def derive_events(before: Known | None, after: StoredThread) -> list[ThreadEvent]:
    """The events that follow from the difference between two states of a row: started (it has a preview now, which may
    come some time after the file), reverted (the current rollout is of a later revert), archived or unarchived,
    renamed. Other differences give none."""
    started = bool(after.preview) and (before is None or not before.preview)
    events = [_event("thread/started", after.id)] if started else []
    if before is None:
        return events
    if revert_order(before.path) < revert_order(after.path):
        events.append(_event("thread/reverted", after.id))
    events += move_events(after.id, before.archived, after.archived)
    if after.name is not None and before.name != after.name:
        events.append(name_event(after.id, after.name))
    return events


def move_events(thread_id: str, before: bool, after: bool) -> list[ThreadEvent]:
    """The event of a move into the archive or out of it."""
    return [] if before == after else [_event("thread/archived" if after else "thread/unarchived", thread_id)]


def row_after(before: StoredThread, moved: Moved, now_ms: int) -> StoredThread:
    """The row after the move of its rollout. See `Moved` for the stamp."""
    whole = before.stamp.size == moved.stamp.size
    return replace(
        before,
        path=moved.path,
        archived=moved.archived,
        archived_at_ms=now_ms if moved.archived else None,
        stamp=moved.stamp if whole else before.stamp,
        updated_at_ms=moved.stamp.mtime_ns // 1_000_000 if whole else before.updated_at_ms,
    )


def name_event(thread_id: str, name: str | None) -> ThreadEvent:
    """Codex's thread/name/updated. The name is None if it was removed."""
    return ThreadEvent("thread/name/updated", thread_id, {"thread_id": thread_id, "thread_name": name})


def edges_of(change: Change, barred: Collection[str]) -> list[SpawnEdge]:
    """The edges to insert: those in the change, then those that the threads' own sources name (as Codex does at each
    upsert). Leaves out children in `barred`, and edges from a thread to itself."""
    threads: Iterable[StoredThread] = (*change.threads, *change.observed)
    told = ((spawn_parent(thread.source), thread.id) for thread in threads)
    edges = (*change.edges, *(SpawnEdge(parent, child) for parent, child in told if parent is not None))
    return [edge for edge in edges if edge.child_id not in barred and edge.child_id != edge.parent_id]


def parts_of(change: Change) -> list[Change]:
    """The change split into as many as possible: one for each row, receipt and event. The rest stays together."""
    rest = replace_fields(change, threads=(), observed=(), receipts=(), seen={}, events=())
    parts = [
        *(Change(threads=(thread,), seen=_seen_of(change, thread)) for thread in change.threads),
        *(Change(observed=(thread,), seen=_seen_of(change, thread)) for thread in change.observed),
        *(Change(receipts=(receipt,)) for receipt in change.receipts),
        *(Change(events=(event,)) for event in change.events),
    ]
    return parts if rest == Change() else [rest, *parts]


def _seen_of(change: Change, thread: StoredThread) -> dict[str, StoredThread | None]:
    return {thread.id: change.seen[thread.id]} if thread.id in change.seen else {}


def overtaken(change: Change, rollouts: Mapping[str, RolloutRef]) -> set[str]:
    """The threads whose rows have changed since the change's writer saw them. `rollouts` are those in the rows now."""
    return {key for key, row in change.seen.items() if rollouts.get(key) != (row and rollout_of(row))}


def claimable(state: BackfillState, now_ms: int, lease_ms: int) -> bool:
    """Whether a worker may claim the backfill. As in Codex: never if complete; if running, once the lease has
    expired."""
    if state.status == "complete":
        return False
    return state.status != "running" or state.updated_at_ms <= now_ms - lease_ms


def may_checkpoint(current: BackfillState, state: BackfillState) -> bool:
    """Whether `state` may be written: a worker that lost its lease may not, and nobody may reopen what is complete."""
    if current.status == "running":
        return current.owner is None or state.owner in (None, current.owner)
    return not (current.status == "complete" and state.status == "running")


def _event(kind: EventType, thread_id: str) -> ThreadEvent:
    return ThreadEvent(kind, thread_id, {"thread_id": thread_id})
