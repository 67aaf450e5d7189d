"""Rows tell how their last turns stand, what the agent said last, and how many turns there are. All histories are read
again for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LAST = ("last_status", "last_error", "last_answer")
_STATEMENTS = (
    "DELETE FROM histories",
    *(
        f"INSERT INTO {index} ({index}) VALUES ('delete-all')"
        for index in ("said_text", "tool_text", "said_words", "tool_words")
    ),
    "INSERT OR IGNORE INTO unread SELECT id, updated_at_ms FROM threads",
)


def upgrade() -> None:
    for name in _LAST:
        op.add_column("threads", sa.Column(name, sa.String(), nullable=True))
        op.add_column("histories", sa.Column(name, sa.String(), nullable=True))
    op.add_column("threads", sa.Column("turn_count", sa.Integer(), nullable=True))
    op.create_index("ix_threads_last_status", "threads", ["last_status"])
    for statement in _STATEMENTS:
        op.execute(statement)
