"""Rows are found by the thread that they were forked from, so that a tree shows its forks."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_threads_forked_from_id", "threads", ["forked_from_id"])
