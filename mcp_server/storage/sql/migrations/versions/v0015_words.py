"""An index of words beside that of trigrams. All histories are read again for it.

The tables are made as in a new database. A revision that makes them otherwise copies these statements here first.
"""

from __future__ import annotations

from alembic import op

from mcp_server.storage.sqlite.triggers import CREATE_WORDS, WORDS_OF_THREADS

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_READ_AGAIN = (
    "DELETE FROM histories",
    "INSERT INTO said_text (said_text) VALUES ('delete-all')",
    "INSERT INTO tool_text (tool_text) VALUES ('delete-all')",
    "INSERT OR IGNORE INTO unread SELECT id, updated_at_ms FROM threads",
)


def upgrade() -> None:
    for statement in CREATE_WORDS:
        op.execute(statement)
    for index, column in WORDS_OF_THREADS.items():
        op.execute(
            f"INSERT INTO {index} (rowid, {column}) SELECT number, {column} FROM threads WHERE {column} IS NOT NULL"
        )
    for statement in _READ_AGAIN:
        op.execute(statement)
