"""What can't be read, in SQL: each function takes a connection and leaves the transaction to its caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from mcp_server.models.thread import FileStamp
from mcp_server.storage.sqlite.statements import fetch_all, run, run_each, run_listed
from mcp_server.storage.unreadable import READER, Unreadable

SAME = f"SELECT path FROM unreadable JOIN listed USING (path, size, mtime_ns) WHERE reader = {READER}"
"""The paths of a table `listed` that are known to be unreadable as they are."""

LAPSED = "SELECT path FROM unreadable WHERE path NOT IN (SELECT path FROM listed)"
"""The paths that are remembered and gone."""


def note(connection: Connection, found: Sequence[Unreadable], settled: Collection[str]) -> None:
    run_listed(connection, "DELETE FROM unreadable WHERE path IN (SELECT value FROM json_each(?))", settled)
    sql = "INSERT OR REPLACE INTO unreadable (path, size, mtime_ns, reader, byte, reason) VALUES (?, ?, ?, ?, ?, ?)"
    rows = [
        (one.path, one.stamp and one.stamp.size, one.stamp and one.stamp.mtime_ns, READER, one.offset, one.reason)
        for one in found
    ]
    if rows:
        run_each(connection, sql, rows)


def everything(connection: Connection) -> list[Unreadable]:
    rows = fetch_all(connection, "SELECT path, size, mtime_ns, byte, reason FROM unreadable ORDER BY path")
    return [
        Unreadable(path, None if size is None else FileStamp(size, mtime_ns), offset, reason)
        for path, size, mtime_ns, offset, reason in rows
    ]


def forget_all(connection: Connection) -> None:
    run(connection, "DELETE FROM unreadable")
