"""The tables of the state DB. A change here needs a revision in `migrations/versions` and a new `REVISION`."""

# pyright: reportAssignmentType=false
# (SQLModel declares __tablename__ as a declared_attr, and takes a string)

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
)
from sqlmodel import Field, SQLModel

from mcp_server.models.history import TurnFacts
from mcp_server.models.thread import GitInfo
from mcp_server.storage.sql.rows import JsonBytesOf, JsonOf

REVISION = "0017"


class SchemaVersion(SQLModel, table=True):
    """Alembic's own table, so that a fresh database is stamped without importing alembic."""

    __tablename__ = "alembic_version"
    __table_args__ = (PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),)

    version_num: str = Field(sa_column=Column(String(32), nullable=False))


GROUP = ("archived", "has_preview", "attached", "source_kind", "model_provider")
"""The columns with few distinct values that lists filter by. Rows that agree in them form a group."""


class ThreadRow(SQLModel, table=True):
    """A `StoredThread`. Times are Unix milliseconds; `path` is relative to the home.

    A list walks along one of the six indexes below, or merges several such walks: an index begins with what a list is
    restricted to, and goes on with what it is sorted by. The index of texts knows a row by its `number`.
    """

    __tablename__ = "threads"
    __table_args__ = (
        Index("ix_threads_created", *GROUP, "created_at_ms", "id"),
        Index("ix_threads_updated", *GROUP, "updated_at_ms", "id"),
        Index("ix_threads_recency", *GROUP, "recency_at_ms", "id"),
        Index("ix_threads_cwd_created", "cwd", *GROUP, "created_at_ms", "id"),
        Index("ix_threads_cwd_updated", "cwd", *GROUP, "updated_at_ms", "id"),
        Index("ix_threads_cwd_recency", "cwd", *GROUP, "recency_at_ms", "id"),
    )

    number: int | None = Field(default=None, primary_key=True)
    id: str = Field(index=True, unique=True)
    path: str = Field(index=True)
    size: int = Field(sa_type=BigInteger)
    mtime_ns: int = Field(sa_type=BigInteger)
    archived: bool
    created_at_ms: int = Field(sa_type=BigInteger)
    updated_at_ms: int = Field(sa_type=BigInteger)
    recency_at_ms: int = Field(sa_type=BigInteger)
    archived_at_ms: int | None = Field(sa_type=BigInteger)
    session_id: str | None
    parent_thread_id: str | None = Field(index=True)
    forked_from_id: str | None = Field(index=True)
    preview: str
    has_preview: bool = Field(
        sa_column=Column(Boolean, Computed("preview != ''", persisted=False), nullable=False),
    )
    name: str | None = Field(index=True)
    source: Any = Field(sa_type=JSON)
    source_kind: str
    thread_source: str | None
    agent_nickname: str | None
    agent_role: str | None
    model_provider: str
    cwd: str
    cli_version: str
    originator: str | None
    history_mode: str
    history_base_id: str | None = Field(index=True)
    history_base_end_ordinal: int | None = Field(sa_type=BigInteger)
    history_base_end_offset: int | None = Field(sa_type=BigInteger)
    git: Any = Field(sa_column=Column(JsonOf(GitInfo)))
    recorded: dict[str, Any] = Field(sa_type=JSON)
    attached_to_id: str | None = Field(index=True)
    attached: bool = Field(
        sa_column=Column(Boolean, Computed("attached_to_id IS NOT NULL", persisted=False), nullable=False),
    )
    last_status: str | None = Field(index=True)
    last_error: str | None
    last_answer: str | None
    turn_count: int | None


class ThreadCountRow(SQLModel, table=True):
    """How many rows of `threads` have these values. Triggers keep it, in the transaction that changes the rows."""

    __tablename__ = "thread_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    archived: bool = Field(primary_key=True)
    has_preview: bool = Field(primary_key=True)
    attached: bool = Field(primary_key=True)
    source_kind: str = Field(primary_key=True)
    model_provider: str = Field(primary_key=True)
    cwd: str = Field(primary_key=True)
    n: int


class CwdRow(SQLModel, table=True):
    """A working directory as some row spells it, or once did. `place` is its one spelling by `canonical_cwd`."""

    __tablename__ = "cwds"
    __table_args__ = (Index("ix_cwds_place", "place"), {"sqlite_with_rowid": False})

    cwd: str = Field(primary_key=True)
    place: str


class SpawnEdgeRow(SQLModel, table=True):
    """A `SpawnEdge`. No foreign key: an edge may name threads without a row, and outlives rows (as in Codex)."""

    __tablename__ = "spawn_edges"
    # A walk down a tree reads this index alone.
    __table_args__ = (Index("ix_spawn_edges_parent", "parent_id", "child_id", "status"),)

    child_id: str = Field(primary_key=True)
    parent_id: str
    status: str


class HistoryRow(SQLModel, table=True):
    """An `IndexCheckpoint`. No foreign key: a history may be indexed before its thread has a row."""

    __tablename__ = "histories"

    number: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    thread_id: str = Field(unique=True)
    size: int = Field(sa_type=BigInteger)
    mtime_ns: int = Field(sa_type=BigInteger)
    base: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    check: str
    turns: int
    items: int
    next_item: int
    next_ordinal: int = Field(sa_type=BigInteger)
    open_calls: Any = Field(sa_column=Column(JsonOf(tuple[str, ...]), nullable=False))
    last_status: str | None
    last_error: str | None
    last_answer: str | None


class TurnRow(SQLModel, table=True):
    """A `TurnSpan`; `facts` is its `TurnFacts` in JSON, with offsets counted from `start`."""

    __tablename__ = "turns"
    __table_args__ = (
        Index("ix_turns_turn_id", "history", "turn_id"),
        Index("ix_turns_start", "history", "start"),
        {"sqlite_with_rowid": False},
    )

    history: int = Field(primary_key=True, foreign_key="histories.number", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    turn_id: str
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    line: int
    item: int
    counted: int
    items: int
    size: int
    facts: Any = Field(sa_column=Column(JsonBytesOf(TurnFacts), nullable=False))


class TextRow(SQLModel, table=True):
    """Where a `TextChunk` lies. Only the rollout has the text; `said_text` and `tool_text` have its trigrams under the
    same number, `said_words` and `tool_words` its words."""

    __tablename__ = "texts"

    number: int = Field(sa_column=Column(Integer, primary_key=True))
    history: int = Field(foreign_key="histories.number", ondelete="CASCADE", index=True)
    turn: int = Field(sa_type=BigInteger)
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)


class UnreadRow(SQLModel, table=True):
    """A thread whose history is not indexed, or in another version than that in its row."""

    __tablename__ = "unread"

    thread_id: str = Field(primary_key=True)
    updated_at_ms: int = Field(sa_type=BigInteger, index=True)


class UnreadableRow(SQLModel, table=True):
    """An `Unreadable`; `reader` is the `READER` that could not read it."""

    __tablename__ = "unreadable"

    path: str = Field(primary_key=True)
    size: int | None = Field(sa_type=BigInteger)
    mtime_ns: int | None = Field(sa_type=BigInteger)
    reader: int
    byte: int = Field(sa_type=BigInteger)
    reason: str


class CopyRow(SQLModel, table=True):
    """A `Copy`."""

    __tablename__ = "copies"

    path: str = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger)
    mtime_ns: int = Field(sa_type=BigInteger)
    thread_id: str = Field(index=True)


class EventRow(SQLModel, table=True):
    """A `ThreadEvent`. AUTOINCREMENT gives no `seq` twice, even if rows are removed."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_thread", "thread_id", "seq"), {"sqlite_autoincrement": True})

    seq: int | None = Field(
        default=None, sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    )
    at_ms: int = Field(sa_type=BigInteger)
    type: str
    thread_id: str
    payload: dict[str, Any] = Field(sa_type=JSON)


class OperationRow(SQLModel, table=True):
    """An `Operation`, without its moves."""

    __tablename__ = "operations"
    __table_args__ = (Index("ix_operations_state", "state", "started_at_ms", "id"),)

    id: str = Field(primary_key=True)
    kind: str
    root_id: str
    state: str
    started_at_ms: int = Field(sa_type=BigInteger)
    result: dict[str, Any] = Field(sa_type=JSON)


class MoveRow(SQLModel, table=True):
    """A `Move` of an operation, by its position."""

    __tablename__ = "operation_moves"

    operation_id: str = Field(primary_key=True, foreign_key="operations.id", ondelete="CASCADE")
    position: int = Field(primary_key=True)
    thread_id: str = Field(index=True)
    path: str


class ReceiptRow(SQLModel, table=True):
    """A `Receipt`. A claim has no result yet."""

    __tablename__ = "receipts"
    __table_args__ = (Index("ix_receipts_request", "client", "request_id", "at_ms"),)

    client: str = Field(primary_key=True)
    connection: str = Field(primary_key=True)
    request_id: str = Field(primary_key=True)
    tool: str
    fingerprint: str
    process: str
    at_ms: int = Field(sa_type=BigInteger)
    result: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))


class TombstoneRow(SQLModel, table=True):
    """A thread that was deleted, and is never indexed again."""

    __tablename__ = "tombstones"

    thread_id: str = Field(primary_key=True)
    at_ms: int = Field(sa_type=BigInteger)


class BackfillRow(SQLModel, table=True):
    """The `BackfillState`, in a single row."""

    __tablename__ = "backfill"
    __table_args__ = (CheckConstraint("id = 1", name="ck_backfill_single"),)

    id: int = Field(primary_key=True)
    status: str
    watermark: str | None
    owner: str | None
    updated_at_ms: int = Field(sa_type=BigInteger)
    completed_at_ms: int | None = Field(sa_type=BigInteger)
    done: int
    found: int
    horizon_ms: int | None = Field(sa_type=BigInteger)


class MetaRow(SQLModel, table=True):
    """Single values, by key."""

    __tablename__ = "meta"

    key: str = Field(primary_key=True)
    value: Any = Field(sa_type=JSON)
