"""The turn of a match is found by its offset, however many the thread has."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_turns_start", "turns", ["history", "start"])
