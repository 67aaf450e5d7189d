"""Lists whose cost does not grow: indexes for every filter and order, counts and a text index kept by triggers.

The rows of `threads` are derived from the rollouts, so they are dropped and the index is built again.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_GROUP = ["archived", "has_preview", "source_kind", "model_provider"]
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
_STATEMENTS = (
    "CREATE VIRTUAL TABLE threads_text USING fts5(name, preview, content='threads', content_rowid='number', "
    "tokenize='trigram case_sensitive 1', detail='none', columnsize=0)",
    f"CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN {_ONE_MORE} {_TEXT_COMES} END",
    f"CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN {_ONE_LESS} {_TEXT_GOES} END",
    f"CREATE TRIGGER threads_recount AFTER UPDATE ON threads WHEN ({_OLD}) IS NOT ({_NEW}) "
    f"BEGIN {_ONE_LESS} {_ONE_MORE} END",
    "CREATE TRIGGER threads_reword AFTER UPDATE ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    f"BEGIN {_TEXT_GOES} {_TEXT_COMES} END",
)


def upgrade() -> None:
    op.drop_table("threads")
    op.drop_table("backfill")
    _create_threads()
    _create_counts()
    _create_backfill()
    for name, columns in _INDEXES.items():
        op.create_index(name, "threads", columns, unique=name == "ix_threads_id")
    for statement in _STATEMENTS:
        op.execute(statement)


def _column(name: str, kind: Any = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.String(), nullable=nullable)


def _create_threads() -> None:
    op.create_table(
        "threads",
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
        sa.PrimaryKeyConstraint("number"),
    )


def _create_counts() -> None:
    op.create_table(
        "thread_counts",
        _column("archived", sa.Boolean()),
        _column("has_preview", sa.Boolean()),
        _column("source_kind"),
        _column("model_provider"),
        _column("cwd"),
        _column("n", sa.Integer()),
        sa.PrimaryKeyConstraint("archived", "has_preview", "source_kind", "model_provider", "cwd"),
        sqlite_with_rowid=False,
    )


def _create_backfill() -> None:
    op.create_table(
        "backfill",
        _column("id", sa.Integer()),
        _column("status"),
        _column("watermark", nullable=True),
        _column("owner", nullable=True),
        _column("updated_at_ms", sa.BigInteger()),
        _column("completed_at_ms", sa.BigInteger(), nullable=True),
        _column("done", sa.Integer()),
        _column("found", sa.Integer()),
        _column("horizon_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_backfill_single"),
    )
