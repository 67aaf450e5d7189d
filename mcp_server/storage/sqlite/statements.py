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

from mcp_server.models.number import clamped as clamped


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


def is_at_fault(error: Exception) -> bool:
    """Whether a statement failed for what it was to write: a value that a column has no room for."""
    if isinstance(error, sqlite3.ProgrammingError):
        return "binding" in str(error)
    if isinstance(error, sqlite3.IntegrityError):  # a trigger refuses for reasons of its own
        return error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_TRIGGER
    refused = sqlite3.DataError | sqlite3.InterfaceError
    return isinstance(error, refused | OverflowError | UnicodeEncodeError | RecursionError)


def driver(session: Session) -> sqlite3.Connection:
    """The connection that the session's transaction is on."""
    return cast("sqlite3.Connection", session.connection().connection.driver_connection)
