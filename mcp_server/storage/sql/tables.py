"""The tables of the state DB. A change here needs a revision in `migrations/versions` and a new `REVISION`."""

# pyright: reportAssignmentType=false
# (SQLModel declares __tablename__ as a declared_attr, and takes a string)

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    event,
)
from sqlmodel import Field, SQLModel

REVISION = "0014"


class SchemaVersion(SQLModel, table=True):
    """Alembic's own table, so that a fresh database is stamped without importing alembic."""

    __tablename__ = "alembic_version"
    __table_args__ = (PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),)

    version_num: str = Field(sa_column=Column(String(32), nullable=False))


_GROUP = ("archived", "has_preview", "attached", "source_kind", "model_provider")


class ThreadRow(SQLModel, table=True):
    """A `StoredThread`. Times are Unix milliseconds; `path` is relative to the home.

    Each list is a walk along one of the six indexes below, or a merge of a few such walks: they begin with what a list
    may be restricted to, and go on with what it is sorted by. `number` is what the index of the text refers to.
    """

    __tablename__ = "threads"
    __table_args__ = (
        Index("ix_threads_created", *_GROUP, "created_at_ms", "id"),
        Index("ix_threads_updated", *_GROUP, "updated_at_ms", "id"),
        Index("ix_threads_recency", *_GROUP, "recency_at_ms", "id"),
        Index("ix_threads_cwd_created", "cwd", *_GROUP, "created_at_ms", "id"),
        Index("ix_threads_cwd_updated", "cwd", *_GROUP, "updated_at_ms", "id"),
        Index("ix_threads_cwd_recency", "cwd", *_GROUP, "recency_at_ms", "id"),
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
    forked_from_id: str | None
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
    git: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True)))
    recorded: dict[str, Any] = Field(sa_type=JSON)
    attached_to_id: str | None = Field(index=True)
    attached: bool = Field(
        sa_column=Column(Boolean, Computed("attached_to_id IS NOT NULL", persisted=False), nullable=False),
    )


class ThreadCountRow(SQLModel, table=True):
    """How many rows of `threads` there are of each kind. Triggers keep it, in the transaction that changes the rows."""

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
    """A spelling of a working directory that some row has, or had, and what `canonical_cwd` makes of it."""

    __tablename__ = "cwds"
    __table_args__ = (Index("ix_cwds_place", "place"), {"sqlite_with_rowid": False})

    cwd: str = Field(primary_key=True)
    place: str


class SpawnEdgeRow(SQLModel, table=True):
    """No foreign key: an edge may name threads without a row, and outlives rows (as in Codex)."""

    __tablename__ = "spawn_edges"
    # A walk down a tree reads this alone.
    __table_args__ = (Index("ix_spawn_edges_parent", "parent_id", "child_id", "status"),)

    child_id: str = Field(primary_key=True)
    parent_id: str
    status: str


class HistoryRow(SQLModel, table=True):
    """A `IndexCheckpoint`. No foreign key: a history may be read before its thread has a row."""

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
    open_calls: list[str] = Field(sa_type=JSON)


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
    facts: bytes = Field(sa_type=LargeBinary)


class TextRow(SQLModel, table=True):
    """Where a `TextChunk` lies. The text itself is nowhere but in the rollout; `said_text` and `tool_text` have its
    runs of three characters under the same number."""

    __tablename__ = "texts"

    number: int = Field(sa_column=Column(Integer, primary_key=True))
    history: int = Field(foreign_key="histories.number", ondelete="CASCADE", index=True)
    turn: int = Field(sa_type=BigInteger)
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)


class UnreadRow(SQLModel, table=True):
    """A thread whose row tells of more, or of something else, than is indexed of its history."""

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
    """`seq` is AUTOINCREMENT, so that no number is given twice, even if rows are removed."""

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
    __tablename__ = "operations"
    __table_args__ = (Index("ix_operations_state", "state", "started_at_ms", "id"),)

    id: str = Field(primary_key=True)
    kind: str
    root_id: str
    state: str
    started_at_ms: int = Field(sa_type=BigInteger)
    result: dict[str, Any] = Field(sa_type=JSON)


class MoveRow(SQLModel, table=True):
    """The moves of an operation, by position."""

    __tablename__ = "operation_moves"

    operation_id: str = Field(primary_key=True, foreign_key="operations.id", ondelete="CASCADE")
    position: int = Field(primary_key=True)
    thread_id: str = Field(index=True)
    path: str


class ReceiptRow(SQLModel, table=True):
    """Claims have no result yet."""

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
    __tablename__ = "tombstones"

    thread_id: str = Field(primary_key=True)
    at_ms: int = Field(sa_type=BigInteger)


class BackfillRow(SQLModel, table=True):
    """A single row."""

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


# ---------------------------------------------------------------------------------------------- kept by SQLite itself

_COUNTED = (*_GROUP, "cwd")


def _of(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in _COUNTED)


def _one_less() -> str:
    same = " AND ".join(f"{name} = old.{name}" for name in _COUNTED)
    return f"UPDATE thread_counts SET n = n - 1 WHERE {same}; DELETE FROM thread_counts WHERE {same} AND n = 0;"


def _one_more() -> str:
    names = ", ".join(_COUNTED)
    return (
        f"INSERT INTO thread_counts ({names}, n) VALUES ({_of('new')}, 1) "
        f"ON CONFLICT ({names}) DO UPDATE SET n = n + 1;"
    )


_TEXT_GOES = (
    "INSERT INTO threads_text (threads_text, rowid, name, preview) "
    "VALUES ('delete', old.number, old.name, old.preview);"
)
_TEXT_COMES = "INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview);"
_NAME_GOES = (
    "INSERT INTO names_text (names_text, rowid, name) "
    "SELECT 'delete', old.number, old.name || '\n\n' WHERE old.name IS NOT NULL;"
)
_NAME_COMES = "INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '\n\n' WHERE new.name IS NOT NULL;"
_GRAMS = "tokenize='trigram', detail='none', columnsize=0"

KEPT_BY_SQLITE = (
    # Which rows hold three characters in a row, anywhere in name or preview: candidates, which the rows then confirm.
    "CREATE VIRTUAL TABLE threads_text USING fts5(name, preview, content='threads', content_rowid='number', "
    "tokenize='trigram case_sensitive 1', detail='none', columnsize=0)",
    f"CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN {_one_more()} {_TEXT_COMES} END",
    f"CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN {_one_less()} {_TEXT_GOES} END",
    # A trigger is limited to the columns that it keeps: one that writes to the text index costs every change as much as
    # all the rest of it, even where nothing follows. (has_preview follows from preview, attached from
    # attached_to_id.)
    "CREATE TRIGGER threads_recount "
    "AFTER UPDATE OF archived, preview, attached_to_id, source_kind, model_provider, cwd ON threads "
    f"WHEN ({_of('old')}) IS NOT ({_of('new')}) BEGIN {_one_less()} {_one_more()} END",
    "CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    f"BEGIN {_TEXT_GOES} {_TEXT_COMES} END",
    # The same of names alone, whatever their case, and of what was said and done: without the texts.
    f"CREATE VIRTUAL TABLE names_text USING fts5(name, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE said_text USING fts5(text, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE tool_text USING fts5(text, content='', {_GRAMS})",
    "CREATE VIRTUAL TABLE names_text_grams USING fts5vocab('names_text', 'row')",
    "CREATE VIRTUAL TABLE said_text_grams USING fts5vocab('said_text', 'row')",
    "CREATE VIRTUAL TABLE tool_text_grams USING fts5vocab('tool_text', 'row')",
    f"CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN {_NAME_COMES} END",
    f"CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN {_NAME_GOES} END",
    # In one trigger, since the order of several is SQLite's: what both names hold must go before it comes.
    "CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name "
    f"BEGIN {_NAME_GOES} {_NAME_COMES} END",
)
"""What no model can say: the text index, and the triggers that keep it and the counts."""

for _statement in KEPT_BY_SQLITE:
    event.listen(SQLModel.metadata, "after_create", DDL(_statement.replace("%", "%%")))
