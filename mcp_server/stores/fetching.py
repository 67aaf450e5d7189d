"""Statements that only look, in SQLite's own words.

They go straight to the driver: SQLAlchemy describes each result anew, column by column, and that takes longer than most
looks. What they find is seen within the session's transaction.
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


def driver(session: Session) -> sqlite3.Connection:
    """The connection that the session's transaction is on."""
    return cast("sqlite3.Connection", session.connection().connection.driver_connection)


def clamped(value: int) -> int:
    """SQLite's integers have 64 bits; a bound beyond them means the same as the last one within."""
    return max(-_INT64 - 1, min(value, _INT64))
