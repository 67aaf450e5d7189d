"""Statements in SQLite's own words.

They go straight to the driver: SQLAlchemy describes each result anew, column by column, and that takes longer than most
looks. What they find and write is within the session's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, cast

from sqlmodel import Session

_INT64 = 2**63 - 1


def fetch_all(session: Session, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """What a statement finds, as tuples."""
    return driver(session).execute(sql, values).fetchall()


def fetch_one(session: Session, sql: str, values: Sequence[Any] = ()) -> Any:
    """The first row that a statement finds, or None."""
    return driver(session).execute(sql, values).fetchone()


def fetch_listed(session: Session, sql: str, values: Collection[Any]) -> list[Any]:
    """What a statement finds that takes a list as JSON, however long; nothing for an empty one."""
    return fetch_all(session, sql, (json.dumps(list(values)),)) if values else []


def run(session: Session, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Run a statement that writes."""
    return driver(session).execute(sql, values)


def run_each(session: Session, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement that writes, once for each row of values."""
    driver(session).executemany(sql, rows)


def run_listed(session: Session, sql: str, values: Collection[Any]) -> None:
    """Run a statement that writes and takes a list as JSON, however long; not at all for an empty one."""
    if values:
        run(session, sql, (json.dumps(list(values)),))


def driver(session: Session) -> sqlite3.Connection:
    """The connection that the session's transaction is on."""
    return cast("sqlite3.Connection", session.connection().connection.driver_connection)


def clamped(value: int) -> int:
    """SQLite's integers have 64 bits; a bound beyond them means the same as the last one within."""
    return max(-_INT64 - 1, min(value, _INT64))
