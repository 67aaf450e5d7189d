"""Which spellings of a working directory mean the same place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mcp_server.models.cwd import canonical_cwd

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    cwds = op.create_table(
        "cwds",
        sa.Column("cwd", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("cwd"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cwds_place", "cwds", ["place"])
    rows = op.get_bind().execute(sa.text("SELECT DISTINCT cwd FROM threads")).scalars().all()
    op.bulk_insert(cwds, [{"cwd": cwd, "place": canonical_cwd(cwd)} for cwd in rows])
