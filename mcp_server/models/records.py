"""What a state store keeps beside rows and turns: edges, operations, receipts and the state of the backfill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from mcp_server.models.event import ThreadEvent
from mcp_server.models.thread import FileStamp, StoredThread

OperationKind = Literal["archive", "unarchive", "delete", "update", "import", "name", "git"]
"""`name` and `git` are in journals of 0.1: the two halves of `update`."""
EdgeStatus = Literal["open", "closed"]


class SpawnEdge(msgspec.Struct, frozen=True, gc=False):
    """An edge of a sub-agent tree. A child has one parent. Cascades and trees follow open and closed edges alike."""

    parent_id: str
    child_id: str
    status: EdgeStatus = "open"


def chain_of(edges: Mapping[str, SpawnEdge], thread_id: str) -> list[SpawnEdge]:
    """The edges from a thread up to its root, the nearest first. `edges` are by child id. A cycle ends before a thread
    would come twice."""
    chain: list[SpawnEdge] = []
    seen = {thread_id}
    edge = edges.get(thread_id)
    while edge is not None and edge.parent_id not in seen:
        chain.append(edge)
        seen.add(edge.parent_id)
        edge = edges.get(edge.parent_id)
    return chain


class Move(msgspec.Struct, frozen=True, gc=False):
    """One step of an operation: a thread, and the path of its rollout at the time of planning."""

    thread_id: str
    path: str


class Moved(msgspec.Struct, frozen=True, gc=False):
    """The new place of a rollout that the holder of its writer lock has moved.

    If the row has the same size, the row and the turn index take the new stamp. If the size differs, they keep the old
    stamp, so that the file is read again.
    """

    thread_id: str
    path: str
    archived: bool
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of several steps in the journal: a cascade, or an update of several parts of a thread, or of one
    that Codex's own row must follow. `moves` are in the order of work. `result` is what was asked for, and the
    receipt once it is `done`."""

    id: str
    kind: OperationKind
    root_id: str
    moves: tuple[Move, ...]
    state: Literal["running", "done"]
    started_at_ms: int
    result: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def thread_ids(self) -> list[str]:
        """The threads in the order of work, each once."""
        return list(dict.fromkeys(move.thread_id for move in self.moves))


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of a call with a `request_id`: a claim while it works (`result` is None), then its outcome.

    An id belongs to a `client` and its `connection` ("" if connections don't tell the client's calls apart). The
    `fingerprint` tells a repeated call from another one with the same id. `process` is the worker that claimed it.
    """

    client: str
    connection: str
    request_id: str
    tool: str
    fingerprint: str
    process: str
    at_ms: int
    result: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.client, self.connection, self.request_id


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction: all of it happens, or nothing.

    Fields:
        threads: rows to insert or replace. A thread with a tombstone is never written again.
        observed: rows to insert or replace because another program changed the files. The store derives events from the
            difference to the old row, so that a change which two processes observe is announced once.
        moved: new places of rollouts in rows that exist; events are derived in the same way.
        forgotten: threads whose rows and edges to remove.
        vanished: threads whose rows alone to remove.
        edges: inserted if the child has no edge yet.
        tombstones: threads that are deleted.
        operation: an operation of the journal to insert or update.
        receipts: outcomes, each of which replaces the claim with its key. A claim (no result) is taken back, since its
            work was refused, unless something else has taken its place.
        seen: the rows, by id, that `threads` and `observed` were made from. If a row has another rollout by now, or
            another version of it, somebody else has written it since, and it stays as it is.
        events: events to append, last.
    """

    threads: tuple[StoredThread, ...] = ()
    observed: tuple[StoredThread, ...] = ()
    moved: tuple[Moved, ...] = ()
    forgotten: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    edges: tuple[SpawnEdge, ...] = ()
    tombstones: tuple[str, ...] = ()
    operation: Operation | None = None
    receipts: tuple[Receipt, ...] = ()
    seen: Mapping[str, StoredThread | None] = field(default_factory=dict[str, "StoredThread | None"])
    events: tuple[ThreadEvent, ...] = ()


ALL_ACTIVE = -(2**62)
"""The horizon of a backfill that has no active rollout left to read."""


@dataclass(frozen=True, slots=True)
class BackfillState:
    """The state of the backfill. `done` and `found` count the rollouts of the running pass."""

    status: Literal["pending", "running", "complete"] = "pending"
    watermark: str | None = None
    owner: str | None = None
    updated_at_ms: int = 0
    completed_at_ms: int | None = None
    done: int = 0
    found: int = 0
    horizon_ms: int | None = None
    """By the names of their rollouts, all active threads that were created after this are indexed. None: unknown."""


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A file by its path, with the stamp that it had when it was read, and the thread whose id it carries."""

    path: str
    stamp: FileStamp
    thread_id: str


READER = 2
"""The version of the reader. Raise it when a version can read more: files that it could not read are tried again."""


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A file without a usable thread, by its path: at which byte reading failed, and why. `stamp` is the stamp that the
    file had. It is None if the system failed rather than the content, so that each sync tries the file again."""

    path: str
    stamp: FileStamp | None
    byte: int
    reason: str
