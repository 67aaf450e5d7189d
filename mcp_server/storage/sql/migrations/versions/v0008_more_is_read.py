"""The index of histories now holds more kinds of items, and no base64: all histories are read again. So are rows whose
sandbox may have been misread."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE threads SET mtime_ns = 0 WHERE recorded LIKE '%\"readOnly\"%'")
    op.execute("DELETE FROM histories")
    for table in ("said_text", "tool_text"):
        op.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    op.execute("INSERT OR IGNORE INTO unread SELECT id, updated_at_ms FROM threads")
