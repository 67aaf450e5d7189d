"""Statements in SQLite's own words.

They go straight to the driver: SQLAlchemy describes each result anew, column by column, and that takes longer than most
looks. What they find and write is within the connection's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection

from mcp_server.models.number import clamped as clamped
from mcp_server.storage.sqlite.engine import driver as driver


def fetch_all(connection: Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """What a statement finds, as tuples."""
    return driver(connection).execute(sql, values).fetchall()


def fetch_one(connection: Connection, sql: str, values: Sequence[Any] = ()) -> Any:
    """The first row that a statement finds, or None."""
    return driver(connection).execute(sql, values).fetchone()


def fetch_listed(connection: Connection, sql: str, values: Collection[Any]) -> list[Any]:
    """What a statement finds that takes a list as JSON, however long; nothing for an empty one."""
    return fetch_all(connection, sql, (json.dumps(list(values)),)) if values else []


def run(connection: Connection, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Run a statement that writes."""
    return driver(connection).execute(sql, values)


def run_each(connection: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement that writes, once for each row of values."""
    driver(connection).executemany(sql, rows)


def run_listed(connection: Connection, sql: str, values: Collection[Any]) -> None:
    """Run a statement that writes and takes a list as JSON, however long; not at all for an empty one."""
    if values:
        run(connection, sql, (json.dumps(list(values)),))
