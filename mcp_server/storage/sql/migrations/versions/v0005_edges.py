"""Trees are walked along one index, which holds all of an edge."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_spawn_edges_parent_id", "spawn_edges")
    op.create_index("ix_spawn_edges_parent", "spawn_edges", ["parent_id", "child_id", "status"])
