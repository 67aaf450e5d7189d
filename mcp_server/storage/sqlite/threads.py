"""Rows and edges in SQL: each function takes a connection and leaves the transaction to its caller."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import Connection, Table
from sqlmodel import col, select

from mcp_server.codex.files import RolloutFile
from mcp_server.models.cwd import canonical_cwd
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.records import Moved, SpawnEdge, chain_of
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.models.value import plain
from mcp_server.storage.query import Difference
from mcp_server.storage.rules import Known, derive_events, merged, move_events, name_event
from mcp_server.storage.sql.tables import ThreadRow
from mcp_server.storage.sqlite import copies as copy_rows
from mcp_server.storage.sqlite import unreadable as unreadable_rows
from mcp_server.storage.sqlite.statements import driver, fetch_all, fetch_listed, fetch_one, run, run_each, run_listed

_id = col(ThreadRow.id)
_THREADS = cast("Table", ThreadRow.__table__)  # type: ignore[attr-defined]

# ---------------------------------------------------------------------------------------------- rows


def write_threads(connection: Connection, threads: Sequence[StoredThread]) -> list[ThreadEvent]:
    """Insert rows, or change what is different in them; returns the events that the differences make."""
    held = {row[_AT["id"]]: row for row in _rows(connection, {thread.id for thread in threads})}
    before: dict[str, Known] = {thread_id: _known(row) for thread_id, row in held.items()}
    rows: dict[str, StoredThread] = {}
    events: list[ThreadEvent] = []
    for thread in threads:
        events += derive_events(before.get(thread.id), thread)
        rows[thread.id] = before[thread.id] = merged(before.get(thread.id), thread)
    # A statement that names a column writes all indexes that have it, whether the value is another one or not.
    writings: dict[str, list[tuple[Any, ...]]] = {}
    for thread_id, thread in rows.items():
        values = _values(thread)
        writings.setdefault(_writing(held.get(thread_id), values), []).append(values)
    writings.pop("", None)
    for sql, values in writings.items():
        _write(connection, sql, _COLUMNS, values)
    cwds = {thread.cwd for thread in rows.values()}
    run_each(connection, "INSERT OR IGNORE INTO cwds VALUES (?, ?)", [(cwd, canonical_cwd(cwd)) for cwd in cwds])
    return events


def move_rows(connection: Connection, moved: Sequence[Moved], now_ms: int) -> list[ThreadEvent]:
    """Point rows to where their files have gone; returns the events of what was archived or unarchived."""
    sql = "SELECT id, archived FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    before: dict[str, int] = dict(fetch_listed(connection, sql, [one.thread_id for one in moved]))
    rows = [
        (one.thread_id, one.path, one.archived, now_ms if one.archived else None, one.stamp.size, one.stamp.mtime_ns)
        for one in moved
        if one.thread_id in before
    ]
    if not rows:
        return []
    _write(connection, _MOVE, ("id", "path", "archived", "archived_at_ms", "size", "mtime_ns"), rows)
    return [
        event
        for one in moved
        if one.thread_id in before
        for event in move_events(one.thread_id, bool(before[one.thread_id]), one.archived)
    ]


def _write(connection: Connection, sql: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement that takes all rows over from `written`: for each statement whose triggers write, SQLite copies
    every page that it changes."""
    run(connection, f"CREATE TEMP TABLE IF NOT EXISTS written ({', '.join(_COLUMNS)})")
    run_each(
        connection, f"INSERT INTO temp.written ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows
    )
    run(connection, sql)
    run(connection, "DELETE FROM temp.written")


def _writing(before: Sequence[Any] | None, after: tuple[Any, ...]) -> str:
    """The statement that takes rows like this one over from `written`; none if it is as it was."""
    if before is None:
        return f"INSERT INTO threads ({', '.join(_COLUMNS)}) SELECT * FROM temp.written ORDER BY rowid"
    changes = ", ".join(
        f"{name} = written.{name}" for name, value, old in zip(_COLUMNS, after, before, strict=True) if value != old
    )
    return _UPDATE.format(changes) if changes else ""


def remove_rows(connection: Connection, thread_ids: Collection[str]) -> None:
    run_listed(connection, "DELETE FROM threads WHERE id IN (SELECT value FROM json_each(?))", thread_ids)


def get(connection: Connection, thread_id: str) -> StoredThread | None:
    row = fetch_one(connection, f"{_SELECT} id = ?", (thread_id,))
    return None if row is None else _stored(row)


def get_many(connection: Connection, thread_ids: Collection[str]) -> dict[str, StoredThread]:
    return {row[_AT["id"]]: _stored(row) for row in _rows(connection, thread_ids)}


def _rows(connection: Connection, thread_ids: Collection[str]) -> Sequence[Any]:
    return fetch_listed(connection, f"{_SELECT} id IN (SELECT value FROM json_each(?))", thread_ids)


def get_numbered(connection: Connection, numbers: Sequence[int]) -> list[StoredThread]:
    """The rows with these numbers, in their order."""
    sql = f"{_SELECT.replace(' FROM', ', number FROM')} number IN (SELECT value FROM json_each(?))"
    found = {row[-1]: row for row in fetch_listed(connection, sql, numbers)}
    return [_stored(found[number]) for number in numbers]


def compare(connection: Connection, walk: Callable[[], Iterable[RolloutFile]]) -> Difference:
    """Done by SQLite, in a table of its own that the walk fills: as objects, the rows of 100,000 threads would take
    70 MB, and their files 40."""
    sqlite = driver(connection)
    sqlite.execute("CREATE TEMP TABLE listed (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID")
    try:
        files = ((file.path, file.stamp.size, file.stamp.mtime_ns) for file in walk())
        sqlite.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", files)
        same = "SELECT path FROM threads JOIN listed USING (path, size, mtime_ns)"
        known = f"{same} UNION {unreadable_rows.SAME} UNION {copy_rows.SAME}"
        changed = sqlite.execute(f"SELECT path FROM listed EXCEPT SELECT path FROM ({known})")
        gone = sqlite.execute(
            "SELECT id, threads.path FROM threads LEFT JOIN listed USING (path) "
            "WHERE (threads.size, threads.mtime_ns) IS NOT (listed.size, listed.mtime_ns)"
        )
        lapsed = sqlite.execute(f"{unreadable_rows.LAPSED} UNION {copy_rows.LAPSED}")
        return Difference(
            frozenset(path for (path,) in changed), dict(gone.fetchall()), frozenset(path for (path,) in lapsed)
        )
    finally:
        sqlite.execute("DROP TABLE listed")


def compare_folders(connection: Connection, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
    files, gone = set[str](), set[str]()
    for folder, listed in folders.items():
        within = f"{folder}/", f"{folder}0", len(folder) + 2  # 0 comes after /
        known = {path for (path,) in fetch_all(connection, f"SELECT path {_WITHIN}", within)}
        files.update(listed.keys() - known)
        gone.update(known - listed.keys())
        looked_at = {path: stamp for path, stamp in listed.items() if stamp is not None}
        stamped = fetch_all(connection, f"SELECT path, size, mtime_ns {_WITHIN}", within) if looked_at else ()
        for path, size, mtime_ns in stamped:
            if path in looked_at and looked_at[path] != FileStamp(size, mtime_ns):
                files.add(path)
    return Difference(frozenset(files), {key: path for key, (path, _) in rows_at(connection, gone).items()})


_WITHIN = "FROM threads WHERE path > ? AND path < ? AND instr(substr(path, ?), '/') = 0"


def written_last(connection: Connection, limit: int) -> dict[str, FileStamp]:
    sql = "SELECT path, size, mtime_ns FROM threads ORDER BY mtime_ns DESC LIMIT ?"
    return {path: FileStamp(size, mtime_ns) for path, size, mtime_ns in fetch_all(connection, sql, (limit,))}


def stamps(connection: Connection, thread_ids: Collection[str] | None) -> dict[str, tuple[str, FileStamp]]:
    if thread_ids is None:
        return _stamps(driver(connection).execute(_STAMPS))
    return _stamps(fetch_listed(connection, f"{_STAMPS} WHERE id IN (SELECT value FROM json_each(?))", thread_ids))


def rows_at(connection: Connection, paths: Collection[str]) -> dict[str, tuple[str, FileStamp]]:
    return _stamps(fetch_listed(connection, f"{_STAMPS} WHERE path IN (SELECT value FROM json_each(?))", paths))


def largest(connection: Connection, limit: int) -> dict[str, int]:
    return dict(fetch_all(connection, "SELECT id, size FROM threads ORDER BY size DESC, id DESC LIMIT ?", (limit,)))


_STAMPS = "SELECT id, path, size, mtime_ns FROM threads"


def _stamps(rows: Iterable[Sequence[Any]]) -> dict[str, tuple[str, FileStamp]]:
    return {key: (path, FileStamp(size, mtime_ns)) for key, path, size, mtime_ns in rows}


def names(connection: Connection) -> dict[str, str]:
    return dict(fetch_all(connection, "SELECT id, name FROM threads WHERE name IS NOT NULL"))


def apply_names(connection: Connection, names: dict[str, str]) -> list[ThreadEvent]:
    """Give each row the name that `names` has for it, None where it has none."""
    # Those that have a name or get one: to look at all rows would take seconds where there are very many.
    listed = "SELECT id, name FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    held = dict(fetch_listed(connection, listed, names))
    held |= dict(fetch_all(connection, "SELECT id, name FROM threads WHERE name IS NOT NULL"))
    changed = [(key, names.get(key)) for key, name in sorted(held.items()) if name != names.get(key)]
    if changed:
        run_each(connection, "UPDATE threads SET name = ? WHERE id = ?", [(name, key) for key, name in changed])
    return [name_event(thread_id, name) for thread_id, name in changed]


def match_prefix(connection: Connection, prefix: str, limit: int) -> list[str]:
    begins = _id.between(prefix, prefix + chr(sys.maxunicode))
    return list(connection.scalars(select(ThreadRow.id).where(prefix <= _id, begins).order_by(_id).limit(limit)))


def match_name(connection: Connection, name: str, limit: int) -> list[str]:
    order = (col(ThreadRow.archived), col(ThreadRow.updated_at_ms).desc(), _id.desc())
    return list(connection.scalars(select(ThreadRow.id).where(ThreadRow.name == name).order_by(*order).limit(limit)))


# ---------------------------------------------------------------------------------------------- edges


def add_edges(connection: Connection, edges: Sequence[SpawnEdge]) -> None:
    """Insert the edges of children that have none; never reparents, never changes a status."""
    if edges:
        sql = "INSERT INTO spawn_edges (child_id, parent_id, status) VALUES (?, ?, ?) ON CONFLICT (child_id) DO NOTHING"
        rows = [(edge.child_id, edge.parent_id, edge.status) for edge in edges]
        run_each(connection, sql, rows)


def remove_edges(connection: Connection, child_ids: Collection[str]) -> None:
    """Remove the edges that lead to these children; those to their own children stay."""
    run_listed(connection, "DELETE FROM spawn_edges WHERE child_id IN (SELECT value FROM json_each(?))", child_ids)


def edges_below(connection: Connection, thread_ids: Collection[str]) -> list[SpawnEdge]:
    return [SpawnEdge(*row) for row in fetch_listed(connection, _EDGES_BELOW, thread_ids)]


_TREE = (
    "WITH RECURSIVE tree(id) AS (SELECT value FROM json_each(?) "
    # UNION, not UNION ALL: a row that was there before is not followed again, so a cycle ends; one may close anywhere
    # if the index is damaged. CROSS JOIN: for an order SQLite would go through the edges of all trees.
    "UNION SELECT child_id FROM tree CROSS JOIN spawn_edges ON parent_id = tree.id)"
)
_EDGES_BELOW = (
    f"{_TREE} SELECT parent_id, child_id, status FROM tree CROSS JOIN spawn_edges ON parent_id = tree.id "
    "ORDER BY child_id"
)
IDS_BELOW = f"{_TREE} SELECT id FROM tree WHERE id != ?"
"""The ids of the threads below another; it takes `below_values`."""


def below_values(thread_id: str) -> list[str]:
    return [json.dumps([thread_id]), thread_id]


def edges_above(connection: Connection, thread_id: str) -> list[SpawnEdge]:
    return chain_of(
        {edge[1]: SpawnEdge(*edge) for edge in fetch_all(connection, _EDGES_ABOVE, (thread_id,))}, thread_id
    )


_EDGES_ABOVE = (
    "WITH RECURSIVE chain(parent_id, child_id, status) AS ("
    "SELECT parent_id, child_id, status FROM spawn_edges WHERE child_id = ? "
    "UNION SELECT above.parent_id, above.child_id, above.status FROM chain "
    "CROSS JOIN spawn_edges AS above ON above.child_id = chain.parent_id) SELECT * FROM chain"
)


def forks_of(connection: Connection, thread_id: str) -> list[str]:
    return list(connection.scalars(select(ThreadRow.id).where(ThreadRow.history_base_id == thread_id).order_by(_id)))


# ---------------------------------------------------------------------------------------------- values and rows

_COLUMNS = [c.name for c in _THREADS.columns if c.computed is None and not c.primary_key]
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM threads WHERE "
_UPDATE = "UPDATE threads INDEXED BY ix_threads_id SET {} FROM temp.written WHERE threads.id = written.id"
_MOVE = _UPDATE.format(
    "path = written.path, archived = written.archived, archived_at_ms = written.archived_at_ms, "
    "mtime_ns = iif(threads.size = written.size, written.mtime_ns, threads.mtime_ns), "
    "updated_at_ms = iif(threads.size = written.size, written.mtime_ns / 1000000, threads.updated_at_ms)"
)
_AT = {name: place for place, name in enumerate(_COLUMNS)}
# What a StoredThread and a row call the same and hold the same.
_SAME = [name for name in StoredThread.__struct_fields__ if name in _AT and name not in ("source", "git", "recorded")]
_same_of_thread = attrgetter(*_SAME)
# The fields of a StoredThread in their order, each by the column that holds it or its first part.
_HELD_IN = {"stamp": "size", "history_base": "history_base_id"}
_NOT_HELD = ("section", "section_entered_at_ms")  # which are its last
_fields_of = itemgetter(
    *(_AT[_HELD_IN.get(name, name)] for name in StoredThread.__struct_fields__ if name not in _NOT_HELD)
)
_STAMP, _ARCHIVED, _SOURCE, _RECORDED, _BASE, _GIT = map(
    StoredThread.__struct_fields__.index, ("stamp", "archived", "source", "recorded", "history_base", "git")
)


def _values(thread: StoredThread) -> tuple[Any, ...]:
    base = thread.history_base
    values = dict(zip(_SAME, _same_of_thread(thread), strict=True))
    values["size"] = thread.stamp.size
    values["mtime_ns"] = thread.stamp.mtime_ns
    values["source_kind"] = thread.source_kind
    values["source"] = _json(thread.source)
    values["recorded"] = _json(thread.recorded)
    values["git"] = None if thread.git is None else _json(plain(thread.git))
    values["history_base_id"] = base and base.thread_id
    values["history_base_end_ordinal"] = base and base.end_ordinal_exclusive
    values["history_base_end_offset"] = base and base.end_byte_offset
    return tuple([values[name] for name in _COLUMNS])


class _Known(NamedTuple):
    """What of a row decides about the change of it; to make a thread of each would take most of the time."""

    path: str
    archived: bool
    name: str | None
    recency_at_ms: int
    preview: str


def _known(row: Sequence[Any]) -> _Known:
    archived = bool(row[_AT["archived"]])
    return _Known(row[_AT["path"]], archived, row[_AT["name"]], row[_AT["recency_at_ms"]], row[_AT["preview"]])


def _stored(row: Sequence[Any]) -> StoredThread:
    fields = list(_fields_of(row))
    fields[_STAMP] = FileStamp(fields[_STAMP], row[_AT["mtime_ns"]])
    fields[_ARCHIVED] = bool(fields[_ARCHIVED])
    fields[_SOURCE] = _parsed(fields[_SOURCE])
    fields[_RECORDED] = _parsed(fields[_RECORDED])
    if (base_id := fields[_BASE]) is not None:
        ordinal, offset = row[_AT["history_base_end_ordinal"]], row[_AT["history_base_end_offset"]]
        fields[_BASE] = HistoryBase(base_id, ordinal or 0, offset or 0)
    if (git := fields[_GIT]) is not None:
        fields[_GIT] = msgspec.convert(_parsed(git), GitInfo)
    return StoredThread(*fields)


_json = json.JSONEncoder(separators=(",", ":")).encode


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value  # SQLite makes a number of text that reads like one
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return json.loads(value)  # which takes NaN and lone surrogates too
