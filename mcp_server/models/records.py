"""What a state store keeps beside rows and histories: edges, the journal, receipts, the progress of the build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from mcp_server.models.event import ThreadEvent
from mcp_server.models.thread import FileStamp, StoredThread

OperationKind = Literal["archive", "unarchive", "delete", "name", "git"]
EdgeStatus = Literal["open", "closed"]


class SpawnEdge(msgspec.Struct, frozen=True, gc=False):
    """Parent and child of a sub-agent tree. A child has one parent; `open` and `closed` are followed alike."""

    parent_id: str
    child_id: str
    status: EdgeStatus = "open"


def chain_of(edges: Mapping[str, SpawnEdge], thread_id: str) -> list[SpawnEdge]:
    """The edge from a thread's parent, that from the parent's, and so on, of edges by child id; a cycle ends before its
    second round."""
    chain: list[SpawnEdge] = []
    seen = {thread_id}
    edge = edges.get(thread_id)
    while edge is not None and edge.parent_id not in seen:
        chain.append(edge)
        seen.add(edge.parent_id)
        edge = edges.get(edge.parent_id)
    return chain


class Move(msgspec.Struct, frozen=True, gc=False):
    """One step of an operation: a thread and the path its rollout had when the operation was planned."""

    thread_id: str
    path: str


class Moved(msgspec.Struct, frozen=True, gc=False):
    """Where a thread's rollout lies, now that the holder of its writer lock has moved it. A row of another size is not
    taken to tell of it: it keeps its stamp, so the next look at the thread reads the file again. One of the same size
    does, whatever the new mtime is, and so does what is indexed of the history."""

    thread_id: str
    path: str
    archived: bool
    stamp: FileStamp


@dataclass(frozen=True, slots=True)
class Operation:
    """What takes several steps, in the journal: a cascade, or a change of a name or of git info that Codex's own row is
    to follow. `moves` are in the order of work; `result` is the receipt once it is `done`, and until then what was
    asked for."""

    id: str
    kind: OperationKind
    root_id: str
    moves: tuple[Move, ...]
    state: Literal["running", "done"]
    started_at_ms: int
    result: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def thread_ids(self) -> list[str]:
        """In the order of work, each once."""
        return list(dict.fromkeys(move.thread_id for move in self.moves))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is on record of a call with a `request_id`: a claim before its work (`result` is None), its outcome after.

    `client` and `connection` say whose the id is ("" where no connection sets the client's calls apart), `fingerprint`
    tells the same call from another with the same id, `process` is the worker that has claimed it.
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

    `threads` replace their rows; `observed` do the same for what somebody else did to the files, and the store derives
    the events from the difference to the row (none for a row that is already so: two processes may observe the same
    change, and it is announced once). Rows follow what was `moved`, if they are there, with events in the same way. A
    thread with a tombstone is never written again. Rows and edges go with `forgotten`, rows alone with `vanished`.
    Edges are inserted if the child has none. Events are appended last.
    """

    threads: tuple[StoredThread, ...] = ()
    observed: tuple[StoredThread, ...] = ()
    moved: tuple[Moved, ...] = ()
    forgotten: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    edges: tuple[SpawnEdge, ...] = ()
    tombstones: tuple[str, ...] = ()
    operation: Operation | None = None
    events: tuple[ThreadEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class BackfillState:
    """How far the index has been built. `done` and `found` count rollouts of the running pass."""

    status: Literal["pending", "running", "complete"] = "pending"
    watermark: str | None = None
    owner: str | None = None
    updated_at_ms: int = 0
    completed_at_ms: int | None = None
    done: int = 0
    found: int = 0
    horizon_ms: int | None = None
    """All active threads created after this are indexed, so far as the names of the rollouts tell; None: not said."""
