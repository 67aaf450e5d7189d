"""Rows are found by the path of their rollout, so that a folder is compared only with the rows of its files."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_threads_path", "threads", ["path"])
