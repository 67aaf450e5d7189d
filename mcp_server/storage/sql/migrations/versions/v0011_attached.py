"""Lists and counts distinguish attached threads: forks are read again from their files, which say if they are attached.
Messages between turns are searched: histories are read again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_GROUP = ["archived", "has_preview", "attached", "source_kind", "model_provider"]
_INDEXES = {
    "ix_threads_id": ["id"],
    "ix_threads_created": [*_GROUP, "created_at_ms", "id"],
    "ix_threads_updated": [*_GROUP, "updated_at_ms", "id"],
    "ix_threads_recency": [*_GROUP, "recency_at_ms", "id"],
    "ix_threads_cwd_created": ["cwd", *_GROUP, "created_at_ms", "id"],
    "ix_threads_cwd_updated": ["cwd", *_GROUP, "updated_at_ms", "id"],
    "ix_threads_cwd_recency": ["cwd", *_GROUP, "recency_at_ms", "id"],
    "ix_threads_parent_thread_id": ["parent_thread_id"],
    "ix_threads_name": ["name"],
    "ix_threads_history_base_id": ["history_base_id"],
    "ix_threads_attached_to_id": ["attached_to_id"],
}
_COUNTED = [*_GROUP, "cwd"]
_NAMES = ", ".join(_COUNTED)
_OLD = ", ".join(f"old.{name}" for name in _COUNTED)
_NEW = ", ".join(f"new.{name}" for name in _COUNTED)
_SAME = " AND ".join(f"{name} = old.{name}" for name in _COUNTED)
_ONE_LESS = f"UPDATE thread_counts SET n = n - 1 WHERE {_SAME}; DELETE FROM thread_counts WHERE {_SAME} AND n = 0;"
_ONE_MORE = (
    f"INSERT INTO thread_counts ({_NAMES}, n) VALUES ({_NEW}, 1) ON CONFLICT ({_NAMES}) DO UPDATE SET n = n + 1;"
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
_TRIGGERS = (
    f"CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN {_ONE_MORE} {_TEXT_COMES} END",
    f"CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN {_ONE_LESS} {_TEXT_GOES} END",
    "CREATE TRIGGER threads_recount "
    "AFTER UPDATE OF archived, preview, attached_to_id, source_kind, model_provider, cwd ON threads "
    f"WHEN ({_OLD}) IS NOT ({_NEW}) BEGIN {_ONE_LESS} {_ONE_MORE} END",
    "CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    f"BEGIN {_TEXT_GOES} {_TEXT_COMES} END",
    f"CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN {_NAME_COMES} END",
    f"CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN {_NAME_GOES} END",
    "CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name "
    f"BEGIN {_NAME_GOES} {_NAME_COMES} END",
)


def upgrade() -> None:
    # The triggers and the indexes go with the old table. The indexes of the text know rows by number, and stay.
    op.rename_table("threads", "threads_before")
    columns = [column for column in _threads() if column.computed is None]
    names = ", ".join(column.name for column in columns if column.name != "attached_to_id")
    for name in _INDEXES.keys() - {"ix_threads_attached_to_id"}:
        op.drop_index(name, "threads_before")
    op.create_table("threads", *_threads(), sa.PrimaryKeyConstraint("number"))
    op.execute(f"INSERT INTO threads ({names}) SELECT {names} FROM threads_before")
    op.execute("UPDATE threads SET mtime_ns = 0 WHERE forked_from_id IS NOT NULL AND history_mode = 'paginated'")
    op.drop_table("threads_before")
    for name, indexed in _INDEXES.items():
        op.create_index(name, "threads", indexed, unique=name == "ix_threads_id")
    op.drop_table("thread_counts")
    _create_counts()
    op.execute(f"INSERT INTO thread_counts ({_NAMES}, n) SELECT {_NAMES}, count(*) FROM threads GROUP BY {_NAMES}")
    for statement in _TRIGGERS:
        op.execute(statement)
    op.execute("DELETE FROM histories")
    for table in ("said_text", "tool_text"):
        op.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    op.execute("INSERT OR IGNORE INTO unread SELECT id, updated_at_ms FROM threads")


def _column(name: str, kind: Any = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.String(), nullable=nullable)


def _threads() -> list[sa.Column[Any]]:
    return [
        _column("number", sa.Integer()),
        _column("id"),
        _column("path"),
        _column("size", sa.BigInteger()),
        _column("mtime_ns", sa.BigInteger()),
        _column("archived", sa.Boolean()),
        _column("created_at_ms", sa.BigInteger()),
        _column("updated_at_ms", sa.BigInteger()),
        _column("recency_at_ms", sa.BigInteger()),
        _column("archived_at_ms", sa.BigInteger(), nullable=True),
        _column("session_id", nullable=True),
        _column("parent_thread_id", nullable=True),
        _column("forked_from_id", nullable=True),
        _column("preview"),
        sa.Column("has_preview", sa.Boolean(), sa.Computed("preview != ''", persisted=False), nullable=False),
        _column("name", nullable=True),
        _column("source", sa.JSON()),
        _column("source_kind"),
        _column("thread_source", nullable=True),
        _column("agent_nickname", nullable=True),
        _column("agent_role", nullable=True),
        _column("model_provider"),
        _column("cwd"),
        _column("cli_version"),
        _column("originator", nullable=True),
        _column("history_mode"),
        _column("history_base_id", nullable=True),
        _column("history_base_end_ordinal", sa.BigInteger(), nullable=True),
        _column("history_base_end_offset", sa.BigInteger(), nullable=True),
        _column("git", sa.JSON(none_as_null=True), nullable=True),
        _column("recorded", sa.JSON()),
        _column("attached_to_id", nullable=True),
        sa.Column("attached", sa.Boolean(), sa.Computed("attached_to_id IS NOT NULL", persisted=False), nullable=False),
    ]


def _create_counts() -> None:
    op.create_table(
        "thread_counts",
        _column("archived", sa.Boolean()),
        _column("has_preview", sa.Boolean()),
        _column("attached", sa.Boolean()),
        _column("source_kind"),
        _column("model_provider"),
        _column("cwd"),
        _column("n", sa.Integer()),
        sa.PrimaryKeyConstraint(*_COUNTED),
        sqlite_with_rowid=False,
    )
