"""What is remembered of copies, in SQL: each function takes a connection and leaves the transaction to its caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from mcp_server.models.thread import FileStamp
from mcp_server.storage.copies import Copy
from mcp_server.storage.query import COUNTED, Count
from mcp_server.storage.sqlite.statements import fetch_all, fetch_listed, fetch_one, run, run_each, run_listed

SAME = "SELECT path FROM copies JOIN listed USING (path, size, mtime_ns) WHERE thread_id IN (SELECT id FROM threads)"
"""The paths of a table `listed` that are known as copies of threads, as they are."""

LAPSED = "SELECT path FROM copies WHERE path NOT IN (SELECT path FROM listed)"
"""The paths that are remembered and gone."""

_SELECT = "SELECT path, size, mtime_ns, thread_id FROM copies"


def note(connection: Connection, found: Sequence[Copy], settled: Collection[str]) -> None:
    run_listed(connection, "DELETE FROM copies WHERE path IN (SELECT value FROM json_each(?))", settled)
    sql = "INSERT OR REPLACE INTO copies (path, size, mtime_ns, thread_id) VALUES (?, ?, ?, ?)"
    if rows := [(copy.path, copy.stamp.size, copy.stamp.mtime_ns, copy.thread_id) for copy in found]:
        run_each(connection, sql, rows)


def copies(connection: Connection, thread_ids: Collection[str] | None) -> list[Copy]:
    if thread_ids is None:
        rows = fetch_all(connection, f"{_SELECT} ORDER BY path")
    else:
        of_these = f"{_SELECT} WHERE thread_id IN (SELECT value FROM json_each(?)) ORDER BY path"
        rows = fetch_listed(connection, of_these, thread_ids)
    return [Copy(path, FileStamp(size, mtime_ns), thread_id) for path, size, mtime_ns, thread_id in rows]


def count(connection: Connection) -> Count:
    n = fetch_one(connection, "SELECT count(*) FROM (SELECT 1 FROM copies LIMIT ?)", (COUNTED + 1,))[0]
    return Count(min(n, COUNTED), minimum=n > COUNTED)


def forget(connection: Connection, thread_ids: Collection[str]) -> None:
    run_listed(connection, "DELETE FROM copies WHERE thread_id IN (SELECT value FROM json_each(?))", thread_ids)


def forget_all(connection: Connection) -> None:
    run(connection, "DELETE FROM copies")
