"""Compares the files of a home with its rows, and keeps what is known about files without a row: those that can't be
read, and copies of threads. Each function leaves the transaction to its caller."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    except_,
    func,
    select,
    tuple_,
    union,
)

from mcp_server.codex.files import RolloutRef
from mcp_server.models.records import READER, Copy, Unreadable
from mcp_server.models.thread import FileStamp
from mcp_server.storage.query import COUNTED, Count, Difference
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import RowMapper, among, table, upsert
from mcp_server.storage.sql.tables import CopyRow, ThreadRow, UnreadableRow
from mcp_server.storage.sql.threads import rollouts_at
from mcp_server.storage.sqlite.engine import driver

_STAMP = FileStamp, "size", "mtime_ns"
_UNREADABLE = RowMapper(Unreadable, UnreadableRow, stamp=_STAMP)
_COPY = RowMapper(Copy, CopyRow, stamp=_STAMP)
_threads, _unreadable, _copies = table(ThreadRow), table(UnreadableRow), table(CopyRow)

# ---------------------------------------------------------------------------------------------- files and rows

_listed = Table(
    "listed",
    MetaData(),
    Column("path", String, primary_key=True),
    Column("size", BigInteger),
    Column("mtime_ns", BigInteger),
    prefixes=["TEMP"],
    sqlite_with_rowid=False,
)


def compare(connection: Connection, files: Iterable[RolloutRef]) -> Difference:
    """Compare in SQLite, with the files in a temporary table: as objects, the rows of 100,000 threads would take 70 MB,
    and their files 40."""
    _listed.create(connection, checkfirst=False)
    try:
        listed = ((file.path, file.stamp.size, file.stamp.mtime_ns) for file in files)
        # Raw: 100,000 files in 0.25 s, one by one as a walk finds them; 0.5 s as an expression.
        driver(connection).executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", listed)
        return Difference(
            frozenset(connection.scalars(_CHANGED)),
            dict(connection.execute(_GONE).all()),
            frozenset(connection.scalars(_LAPSED)),
        )
    finally:
        _listed.drop(connection, checkfirst=False)


def _as_listed(known: Table) -> Select[tuple[str]]:
    """The paths that a table has with the same stamps as the files."""
    same = and_(*(known.c[column.name] == column for column in _listed.columns))
    return select(known.c.path).select_from(known.join(_listed, same))


_KNOWN = union(
    _as_listed(_threads),
    _as_listed(_unreadable).where(_unreadable.c.reader == READER),
    _as_listed(_copies).where(_copies.c.thread_id.in_(select(_threads.c.id))),
).subquery()
_CHANGED = except_(select(_listed.c.path), select(_KNOWN.c.path))
_GONE = (
    select(_threads.c.id, _threads.c.path)
    .select_from(_threads.outerjoin(_listed, _listed.c.path == _threads.c.path))
    .where(tuple_(_threads.c.size, _threads.c.mtime_ns).is_distinct_from(tuple_(_listed.c.size, _listed.c.mtime_ns)))
)
_LAPSED = union(
    *(select(known.c.path).where(known.c.path.not_in(select(_listed.c.path))) for known in (_unreadable, _copies))
)


_path = _threads.c.path
_IN_FOLDER = Prepared(
    select(_path, _threads.c.size, _threads.c.mtime_ns).where(
        _path > bindparam("least"),
        _path < bindparam("most"),
        func.instr(func.substr(_path, bindparam("name_at")), "/") == 0,
    )
)


def compare_folders(connection: Connection, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
    """Compare the rows with the rollouts that lie directly in these folders. A file whose stamp is None matches any row
    with its path."""
    files, gone = set[str](), set[str]()
    for folder, there in folders.items():
        values = {"least": f"{folder}/", "most": f"{folder}0", "name_at": len(folder) + 2}  # 0 comes after /
        rows = {path: stamp for path, *stamp in _IN_FOLDER.all(connection, values)}
        files.update(there.keys() - rows)
        gone.update(rows.keys() - there)
        both = there.keys() & rows.keys()
        files.update(path for path in both if (stamp := there[path]) and FileStamp(*rows[path]) != stamp)
    return Difference(frozenset(files), {key: one.path for key, one in rollouts_at(connection, gone).items()})


# ---------------------------------------------------------------------------------------------- what can't be read

_ALL_UNREADABLE = Prepared(select(*_UNREADABLE.columns).order_by(_unreadable.c.path))


def note_unreadable(connection: Connection, found: Sequence[Unreadable], settled: Collection[str]) -> None:
    """Remember these files in place of earlier records of them, and forget those at the `settled` paths."""
    _settle(connection, _unreadable, settled)
    if found:
        connection.execute(upsert(UnreadableRow), [{**_UNREADABLE.values(one), "reader": READER} for one in found])


def unreadable(connection: Connection) -> list[Unreadable]:
    """All files that are remembered as unreadable, by path."""
    return [_UNREADABLE.value(row) for row in _ALL_UNREADABLE.all(connection)]


# ---------------------------------------------------------------------------------------------- copies

_COPIES = select(*_COPY.columns).order_by(_copies.c.path)
_COPIES_OF = Prepared(_COPIES.where(among(_copies.c.thread_id, "ids")))
_FIRST_COPIES = select(_copies.c.path).limit(COUNTED + 1).subquery("few")
_FORGET_COPIES = Prepared(delete(_copies).where(among(_copies.c.thread_id, "ids")))
_COUNT_COPIES = Prepared(select(func.count()).select_from(_FIRST_COPIES))


def note_copies(connection: Connection, found: Sequence[Copy], settled: Collection[str]) -> None:
    """Remember these copies in place of earlier records of them, and forget those at the `settled` paths."""
    _settle(connection, _copies, settled)
    if found:
        connection.execute(upsert(CopyRow), [_COPY.values(copy) for copy in found])


def copies(connection: Connection, thread_ids: Collection[str] | None) -> list[Copy]:
    """All copies that are remembered, or those of these threads, by path."""
    if thread_ids is None:
        return [_COPY.value(row) for row in connection.execute(_COPIES)]
    return [_COPY.value(row) for row in _COPIES_OF.all(connection, {"ids": list(thread_ids)})]


def count_copies(connection: Connection) -> Count:
    """How many copies are remembered."""
    (n,) = _COUNT_COPIES.scalars(connection)
    return Count(min(n, COUNTED), minimum=n > COUNTED)


def forget_copies(connection: Connection, thread_ids: Collection[str]) -> None:
    """Forget the copies of these threads."""
    if thread_ids:
        _FORGET_COPIES.run(connection, {"ids": list(thread_ids)})


def forget_all(connection: Connection) -> None:
    """Forget all unreadable files and copies, so that each is read again."""
    connection.execute(delete(_unreadable))
    connection.execute(delete(_copies))


def _settle(connection: Connection, known: Table, paths: Collection[str]) -> None:
    if paths:
        connection.execute(delete(known).where(among(known.c.path, "paths")), {"paths": list(paths)})
