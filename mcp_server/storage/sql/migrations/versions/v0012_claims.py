"""Receipts belong to a client, and begin as claims. Older ones name no client, so they are dropped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("receipts")
    op.create_table(
        "receipts",
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("client", "connection", "request_id"),
    )
    op.create_index("ix_receipts_request", "receipts", ["client", "request_id", "at_ms"])
