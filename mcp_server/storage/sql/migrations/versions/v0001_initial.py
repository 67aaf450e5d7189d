"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_threads_created": ("threads", ["archived", "created_at_ms", "id"]),
    "ix_threads_updated": ("threads", ["archived", "updated_at_ms", "id"]),
    "ix_threads_recency": ("threads", ["archived", "recency_at_ms", "id"]),
    "ix_threads_parent_thread_id": ("threads", ["parent_thread_id"]),
    "ix_threads_name": ("threads", ["name"]),
    "ix_threads_history_base_id": ("threads", ["history_base_id"]),
    "ix_spawn_edges_parent_id": ("spawn_edges", ["parent_id"]),
    "ix_events_thread": ("events", ["thread_id", "seq"]),
    "ix_operations_state": ("operations", ["state", "started_at_ms", "id"]),
    "ix_operation_moves_thread_id": ("operation_moves", ["thread_id"]),
}
_TABLES = (
    "threads",
    "spawn_edges",
    "events",
    "operation_moves",
    "operations",
    "receipts",
    "tombstones",
    "backfill",
    "meta",
)


def upgrade() -> None:
    _create_threads()
    _create_journal()
    _create_single_rows()
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _column(name: str, kind: Any = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.String(), nullable=nullable)


def _create_threads() -> None:
    op.create_table(
        "threads",
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "spawn_edges",
        _column("child_id"),
        _column("parent_id"),
        _column("status"),
        sa.PrimaryKeyConstraint("child_id"),
    )


def _create_journal() -> None:
    op.create_table(
        "events",
        _column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        _column("at_ms", sa.BigInteger()),
        _column("type"),
        _column("thread_id"),
        _column("payload", sa.JSON()),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "operations",
        _column("id"),
        _column("kind"),
        _column("root_id"),
        _column("state"),
        _column("started_at_ms", sa.BigInteger()),
        _column("result", sa.JSON()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "operation_moves",
        _column("operation_id"),
        _column("position", sa.Integer()),
        _column("thread_id"),
        _column("path"),
        sa.PrimaryKeyConstraint("operation_id", "position"),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "receipts",
        _column("request_id"),
        _column("tool"),
        _column("fingerprint"),
        _column("result", sa.JSON()),
        _column("saved_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_table(
        "tombstones",
        _column("thread_id"),
        _column("at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("thread_id"),
    )


def _create_single_rows() -> None:
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
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_backfill_single"),
    )
    op.create_table(
        "meta",
        _column("key"),
        _column("value", sa.JSON()),
        sa.PrimaryKeyConstraint("key"),
    )
