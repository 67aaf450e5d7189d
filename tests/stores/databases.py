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


_MADE_SINCE = {"0009": ("DROP TABLE cwds",)}
"""What takes back each revision that has made something, so far as the tests go back."""


def set_back(path: Path, revision: str) -> None:
    """Make a database one that an older version has left."""
    made = [statement for since, statements in _MADE_SINCE.items() if since > revision for statement in statements]
    run_sql(path, *made, f"UPDATE alembic_version SET version_num = '{revision}'")
