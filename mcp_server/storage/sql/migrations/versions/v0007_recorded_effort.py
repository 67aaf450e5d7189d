"""A recorded effort that is no text counts as none: rows that hold one are read from their files again."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A search in the text of the JSON: SQLite's JSON functions refuse some values that Python's decoder accepts. The colon
# is escaped, since SQLAlchemy takes it for the beginning of a parameter.
_EFFORT = '"reasoning_effort"\\:'


def upgrade() -> None:
    op.execute(
        f"UPDATE threads SET mtime_ns = 0 WHERE recorded LIKE '%{_EFFORT}%' "
        f"AND recorded NOT LIKE '%{_EFFORT}null%' AND recorded NOT LIKE '%{_EFFORT}\"%'"
    )
