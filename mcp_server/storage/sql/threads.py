"""Rows of threads and edges between them. Each function leaves the transaction to its caller."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)

from mcp_server.codex.files import RolloutRef
from mcp_server.models.cwd import canonical_cwd
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.records import Moved, SpawnEdge, chain_of
from mcp_server.models.thread import FileStamp, LastTurn, StoredThread
from mcp_server.storage.rules import Known, derive_events, merged, move_events, name_event
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import AnySelect, RowMapper, among, insert_new, listed, order_of_insertion, table
from mcp_server.storage.sql.tables import CwdRow, SpawnEdgeRow, ThreadRow

_THREAD = RowMapper(
    StoredThread,
    ThreadRow,
    stamp=(FileStamp, "size", "mtime_ns"),
    history_base=(HistoryBase, "history_base_id", "history_base_end_ordinal", "history_base_end_offset"),
    last_turn=(LastTurn, "last_status", "last_error", "last_answer"),
)
_threads = table(ThreadRow)

# ---------------------------------------------------------------------------------------------- reading rows

_BY_IDS = Prepared(select(*_THREAD.columns, _threads.c.source_kind).where(among(_threads.c.id, "ids")))
_BY_NUMBERS = Prepared(select(*_THREAD.columns, _threads.c.number).where(among(_threads.c.number, "numbers")))
_STAMPS = select(_threads.c.id, _threads.c.path, _threads.c.size, _threads.c.mtime_ns)
_STAMPS_OF, _STAMPS_AT = (Prepared(_STAMPS.where(among(of, "of"))) for of in (_threads.c.id, _threads.c.path))
_NAMES = select(_threads.c.id, _threads.c.name)
_NAMES_OF = Prepared(_NAMES.where(among(_threads.c.id, "ids")))


def get(connection: Connection, thread_id: str) -> StoredThread | None:
    """The row of a thread."""
    return get_many(connection, [thread_id]).get(thread_id)


def get_many(connection: Connection, thread_ids: Collection[str]) -> dict[str, StoredThread]:
    """The rows of these threads, by thread id."""
    found = map(_THREAD.value, _BY_IDS.all(connection, {"ids": list(thread_ids)}))
    return {thread.id: thread for thread in found}


def get_numbered(connection: Connection, numbers: Sequence[int]) -> list[StoredThread]:
    """The rows with these numbers, in their order."""
    found = {row[-1]: row for row in _BY_NUMBERS.all(connection, {"numbers": list(numbers)})}
    return [_THREAD.value(found[number]) for number in numbers]


def known_rollouts(connection: Connection, thread_ids: Collection[str] | None) -> dict[str, RolloutRef]:
    """The rollouts that the rows of these threads, or of all, name, by thread id."""
    if thread_ids is None:
        return _rollouts(connection.execute(_STAMPS))
    return _rollouts(_STAMPS_OF.all(connection, {"of": list(thread_ids)}))


def rollouts_at(connection: Connection, paths: Collection[str]) -> dict[str, RolloutRef]:
    """The rollouts that rows name at one of these paths, by thread id."""
    return _rollouts(_STAMPS_AT.all(connection, {"of": list(paths)}))


def _rollouts(rows: Iterable[Sequence[Any]]) -> dict[str, RolloutRef]:
    return {thread_id: RolloutRef(path, FileStamp(size, mtime_ns)) for thread_id, path, size, mtime_ns in rows}


def written_last(connection: Connection, limit: int) -> dict[str, FileStamp]:
    """Paths and stamps of the rollouts with the newest mtimes. Looks at every row."""
    rows = connection.execute(_STAMPS.order_by(_threads.c.mtime_ns.desc()).limit(limit))
    return {one.path: one.stamp for one in _rollouts(rows).values()}


def largest(connection: Connection, limit: int) -> dict[str, int]:
    """The sizes of the largest rollouts, by thread id, the largest first. Looks at every row."""
    size, thread_id = _threads.c.size, _threads.c.id
    rows = connection.execute(select(thread_id, size).order_by(size.desc(), thread_id.desc()).limit(limit))
    return dict(rows.all())


def names(connection: Connection) -> dict[str, str]:
    """The names that rows have, by thread id."""
    return dict(connection.execute(_NAMES.where(_threads.c.name.is_not(None))).all())


def matching(connection: Connection, prefix: str | None, name: str | None, limit: int) -> list[str]:
    """Ids that begin with a prefix, sorted; or of the threads with exactly this name: active ones first, then the last
    changed."""
    if prefix is not None:
        within = _threads.c.id.between(prefix, prefix + chr(sys.maxunicode))
        return list(connection.scalars(select(_threads.c.id).where(within).order_by(_threads.c.id).limit(limit)))
    order = _threads.c.archived, _threads.c.updated_at_ms.desc(), _threads.c.id.desc()
    return list(connection.scalars(select(_threads.c.id).where(_threads.c.name == name).order_by(*order).limit(limit)))


def forks_of(connection: Connection, thread_id: str) -> list[str]:
    """Ids of the forks that borrow this thread's bytes, sorted."""
    forks = select(_threads.c.id).where(_threads.c.history_base_id == thread_id)
    return list(connection.scalars(forks.order_by(_threads.c.id)))


# ---------------------------------------------------------------------------------------------- writing rows

WRITTEN = Table(
    "written",
    MetaData(),
    *(Column(column.name, column.type) for column in _threads.columns if column.computed is None),
    prefixes=["TEMP"],
)
"""New values for rows. Each connection has its own such table, which is empty between transactions.

One statement inserts or updates all rows from it: if a trigger writes, SQLite copies each page that a statement
changes. A move of 1,000 threads thus takes 35 ms; with a statement for each thread it would take 90 ms."""


_CLEAR_WRITTEN = Prepared(delete(WRITTEN))
_REMOVE = Prepared(delete(_threads).where(among(_threads.c.id, "ids")))
_NOTE_CWDS = Prepared(insert_new(CwdRow))
_ARCHIVED = Prepared(select(_threads.c.id, _threads.c.archived).where(among(_threads.c.id, "ids")))


def upsert_threads(connection: Connection, given: Sequence[StoredThread]) -> list[ThreadEvent]:
    """Insert rows, or change what is different in them; returns the events that the differences make."""
    if not given:
        return []
    rows = _BY_IDS.named(connection, {"ids": [thread.id for thread in given]})
    held: dict[str, Any] = {row.id: row for row in rows}
    before: dict[str, Known] = dict(held)
    after: dict[str, StoredThread] = {}
    events: list[ThreadEvent] = []
    for thread in given:
        events += derive_events(before.get(thread.id), thread)
        after[thread.id] = before[thread.id] = merged(before.get(thread.id), thread)
    new: list[dict[str, Any]] = []
    # A statement that sets a column writes all indexes that have it, even if the value stays the same.
    changed: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for thread_id, thread in after.items():
        values = _THREAD.values(thread)
        if (row := held.get(thread_id)) is None:
            new.append(values)
        else:
            changed[tuple(name for name, value in values.items() if value != getattr(row, name))].append(values)
    if new:
        _write(connection, _insert(_THREAD.names), _THREAD.names, new)
    changed.pop((), None)
    for columns, changes in changed.items():
        _write(connection, _update_of(columns), ("id", *columns), changes)
    cwds = {thread.cwd for thread in after.values()}
    _NOTE_CWDS.run_each(connection, [{"cwd": cwd, "place": canonical_cwd(cwd)} for cwd in cwds])
    return events


def move_rows(connection: Connection, moved: Sequence[Moved], now_ms: int) -> list[ThreadEvent]:
    """Give rows the new places of their files. Returns the events of those that were archived or unarchived."""
    if not moved:
        return []
    before: dict[str, bool] = dict(_ARCHIVED.all(connection, {"ids": [one.thread_id for one in moved]}))
    there = [one for one in moved if one.thread_id in before]
    _write(
        connection,
        _MOVE,
        ("id", "path", "archived", "archived_at_ms", "size", "mtime_ns"),
        [
            {
                "id": one.thread_id,
                "path": one.path,
                "archived": one.archived,
                "archived_at_ms": now_ms if one.archived else None,
                "size": one.stamp.size,
                "mtime_ns": one.stamp.mtime_ns,
            }
            for one in there
        ],
    )
    return [event for one in there for event in move_events(one.thread_id, before[one.thread_id], one.archived)]


def apply_names(connection: Connection, wanted: dict[str, str]) -> list[ThreadEvent]:
    """Give each row its name in `wanted`, or none if it has none there; returns the events of the changes."""
    # Only rows that have a name or get one: reading all rows would take seconds if there are very many.
    of_wanted: dict[str, str | None] = dict(_NAMES_OF.all(connection, {"ids": list(wanted)}))
    held = of_wanted | names(connection)
    changed = [(key, wanted.get(key)) for key, name in sorted(held.items()) if name != wanted.get(key)]
    _write(connection, _update_of(("name",)), ("id", "name"), [{"id": key, "name": name} for key, name in changed])
    return [name_event(thread_id, name) for thread_id, name in changed]


def remove_rows(connection: Connection, thread_ids: Collection[str]) -> None:
    """Remove the rows of these threads, not their edges."""
    if thread_ids:
        _REMOVE.run(connection, {"ids": list(thread_ids)})


def _write(
    connection: Connection, statement: Prepared, columns: tuple[str, ...], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run a statement that takes these columns of the rows from `written`."""
    if rows:
        _into_written(columns).run_each(connection, rows)
        statement.run(connection)
        _CLEAR_WRITTEN.run(connection)


@cache
def _into_written(columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(WRITTEN), columns)


@cache
def _insert(columns: tuple[str, ...]) -> Prepared:
    in_order = select(*(WRITTEN.c[name] for name in columns)).order_by(order_of_insertion(WRITTEN))
    return Prepared(insert(_threads).from_select(list(columns), in_order))


@cache
def _update_of(columns: tuple[str, ...]) -> Prepared:
    return Prepared(_UPDATE.values({name: WRITTEN.c[name] for name in columns}))


_UPDATE = (
    update(_threads)
    .where(_threads.c.id == WRITTEN.c.id)
    .with_hint("INDEXED BY ix_threads_id", _threads, dialect_name="sqlite")
)
_SAME_SIZE = _threads.c.size == WRITTEN.c.size
_MOVE = Prepared(
    _UPDATE.values(
        path=WRITTEN.c.path,
        archived=WRITTEN.c.archived,
        archived_at_ms=WRITTEN.c.archived_at_ms,
        # If the size differs, keep the old stamp so that the file is read again.
        mtime_ns=case((_SAME_SIZE, WRITTEN.c.mtime_ns), else_=_threads.c.mtime_ns),
        updated_at_ms=case((_SAME_SIZE, WRITTEN.c.mtime_ns // 1_000_000), else_=_threads.c.updated_at_ms),
    )
)

# ---------------------------------------------------------------------------------------------- edges

_EDGE = RowMapper(SpawnEdge, SpawnEdgeRow)
_edges = table(SpawnEdgeRow)
_ADD_EDGES = Prepared(insert_new(SpawnEdgeRow))
_REMOVE_EDGES = Prepared(delete(_edges).where(among(_edges.c.child_id, "ids")))


def add_edges(connection: Connection, edges: Sequence[SpawnEdge]) -> None:
    """Insert the edges of children that have none. Never changes a parent or a status."""
    if edges:
        _ADD_EDGES.run_each(connection, map(_EDGE.values, edges))


def remove_edges(connection: Connection, child_ids: Collection[str]) -> None:
    """Remove the edges that lead to these children; those to their own children stay."""
    if child_ids:
        _REMOVE_EDGES.run(connection, {"ids": list(child_ids)})


def edges_below(connection: Connection, thread_ids: Collection[str]) -> list[SpawnEdge]:
    """The edges below these threads, each once, by child id."""
    return [_EDGE.value(row) for row in _EDGES_BELOW.all(connection, {"ids": list(thread_ids)})]


def edges_above(connection: Connection, thread_id: str) -> list[SpawnEdge]:
    """The edges from a thread up to its root, the nearest first."""
    found = [_EDGE.value(row) for row in _EDGES_ABOVE.all(connection, {"id": thread_id})]
    return chain_of({edge.child_id: edge for edge in found}, thread_id)


def _tree(roots: AnySelect) -> CTE:
    """The ids of `roots` and of all threads below them. UNION drops repeated rows, so that cycles end; a damaged index
    may have some."""
    tree = roots.cte("tree", recursive=True)
    return tree.union(select(_edges.c.child_id).select_from(tree.join(_edges, _edges.c.parent_id == tree.c.id)))


def ids_below(name: str) -> AnySelect:
    """The ids of the threads below the one that is the parameter of this name."""
    root: BindParameter[str] = bindparam(name, type_=String)
    tree = _tree(select(root.label("id")))
    return select(tree.c.id).where(tree.c.id != root)


def _edges_below() -> AnySelect:
    tree = _tree(listed("ids"))
    return (
        select(*_EDGE.columns)
        .select_from(tree.join(_edges, _edges.c.parent_id == tree.c.id))
        .order_by(_edges.c.child_id)
    )


def _edges_above() -> AnySelect:
    chain = select(*_EDGE.columns).where(_edges.c.child_id == bindparam("id")).cte("chain", recursive=True)
    above = _edges.alias("above")
    step = select(*(above.c[column.name] for column in _EDGE.columns))
    return select(chain.union(step.select_from(chain.join(above, above.c.child_id == chain.c.parent_id))))


_EDGES_BELOW, _EDGES_ABOVE = Prepared(_edges_below()), Prepared(_edges_above())
