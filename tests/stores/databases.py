"""A row of a state DB, and its file as SQLite alone sees it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mcp_server.models.thread import FileStamp, StoredThread

THREAD = StoredThread("a", "sessions/a.jsonl", FileStamp(1, 1), False, 1, 1, 1, preview="hello")


def run_sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement."""
    rows: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


_KNOWN = ("names_words", "said_words")
_OF_COLUMNS = ("names_words", "first_words")
_LAST = ("last_status", "last_error", "last_answer")
_MADE_SINCE = {
    "0009": ("DROP TABLE cwds",),
    "0015": (
        *(f"DROP TRIGGER {index}_{when}" for index in _OF_COLUMNS for when in ("insert", "delete", "change")),
        *(f"DROP TABLE {index}_known" for index in _KNOWN),
        *(f"DROP TABLE {index}" for index in (*_OF_COLUMNS, "said_words", "tool_words")),
    ),
    "0017": (
        "DROP INDEX ix_threads_last_status",
        *(f"ALTER TABLE {of} DROP COLUMN {name}" for of in ("threads", "histories") for name in _LAST),
        "ALTER TABLE threads DROP COLUMN turn_count",
    ),
}
"""What takes back each revision that has made something, so far as the tests go back."""


def set_back(path: Path, revision: str) -> None:
    """Make a database one that an older version has left."""
    made = [statement for since, statements in _MADE_SINCE.items() if since > revision for statement in statements]
    run_sql(path, *made, f"UPDATE alembic_version SET version_num = '{revision}'")
