"""Rows and edges in SQL: each function takes a Session and leaves the transaction to its caller."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Table, bindparam, func, tuple_
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, delete, select, update
from sqlmodel.sql.expression import SelectOfScalar

from mcp_server.models.event import ThreadEvent
from mcp_server.models.rollout import HistoryBase
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.stores.base import Anchor, SpawnEdge, ThreadQuery, ThreadRows
from mcp_server.stores.changes import cwd_forms, derive_events, merged, name_event
from mcp_server.stores.tables import SpawnEdgeRow, ThreadRow

_CHUNK = 5_000  # SQLite binds at most 32,766 variables
_INT64 = 2**63 - 1

_KEYS = {
    "created_at": col(ThreadRow.created_at_ms),
    "updated_at": col(ThreadRow.updated_at_ms),
    "recency_at": col(ThreadRow.recency_at_ms),
}
_id = col(ThreadRow.id)

# ---------------------------------------------------------------------------------------------- rows


def write_threads(session: Session, threads: Sequence[StoredThread]) -> list[ThreadEvent]:
    """Insert or replace rows; returns the events that the differences make."""
    rows = get_many(session, {thread.id for thread in threads})
    events: list[ThreadEvent] = []
    for thread in threads:
        before = rows.get(thread.id)
        rows[thread.id] = merged(before, thread)
        events += derive_events(before, thread)
    _upsert(session, [_values(rows[thread_id]) for thread_id in {thread.id: None for thread in threads}])
    return events


def _upsert(session: Session, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    statement = insert(_THREADS)
    columns = {c.name: statement.excluded[c.name] for c in _THREADS.columns if not c.primary_key}
    session.connection().execute(statement.on_conflict_do_update(index_elements=["id"], set_=columns), rows)


def remove_rows(session: Session, thread_ids: Collection[str]) -> None:
    for ids in chunks(thread_ids):
        session.exec(delete(ThreadRow).where(_id.in_(ids)))


def get(session: Session, thread_id: str) -> StoredThread | None:
    row = session.get(ThreadRow, thread_id)
    return None if row is None else _stored(row)


def get_many(session: Session, thread_ids: Collection[str]) -> dict[str, StoredThread]:
    found: dict[str, StoredThread] = {}
    for ids in chunks(thread_ids):
        found.update((row.id, _stored(row)) for row in session.exec(select(ThreadRow).where(_id.in_(ids))))
    return found


def stamps(session: Session) -> dict[str, tuple[str, FileStamp]]:
    columns = select(_id, col(ThreadRow.path), col(ThreadRow.size), col(ThreadRow.mtime_ns))
    return {key: (path, FileStamp(size, mtime)) for key, path, size, mtime in session.exec(columns)}


def apply_names(session: Session, names: dict[str, str]) -> list[ThreadEvent]:
    """Give each row the name that `names` has for it, None where it has none."""
    held = session.exec(select(_id, col(ThreadRow.name)).order_by(_id))
    changed = [(key, names.get(key)) for key, name in held if name != names.get(key)]
    if changed:
        named = update(_THREADS).where(_THREADS.c.id == bindparam("key")).values(name=bindparam("new"))
        session.connection().execute(named, [{"key": key, "new": name} for key, name in changed])
    return [name_event(thread_id, name) for thread_id, name in changed]


def match_prefix(session: Session, prefix: str, limit: int) -> list[str]:
    begins = _id.between(prefix, prefix + chr(sys.maxunicode))
    return list(session.exec(select(ThreadRow.id).where(prefix <= _id, begins).order_by(_id).limit(limit)))


def match_name(session: Session, name: str, limit: int) -> list[str]:
    order = (col(ThreadRow.archived), _KEYS["updated_at"].desc(), _id.desc())
    return list(session.exec(select(ThreadRow.id).where(ThreadRow.name == name).order_by(*order).limit(limit)))


# ---------------------------------------------------------------------------------------------- lists


def list_threads(session: Session, query: ThreadQuery) -> ThreadRows:
    """One keyset query, and the count."""
    key = _KEYS[query.sort_key]
    order = (key.desc(), _id.desc()) if query.direction == "desc" else (key, _id)
    statement = select(ThreadRow).where(*_filters(query))
    if query.after is not None:
        statement = statement.where(_beyond(key, query.after, query.direction))
    rows = session.exec(statement.order_by(*order).limit(query.limit + 1)).all()
    page = tuple(_stored(row) for row in rows[: query.limit])
    return ThreadRows(page, total=count(session, query), more=len(rows) > query.limit)


def count(session: Session, query: ThreadQuery) -> int:
    return session.exec(select(func.count()).select_from(ThreadRow).where(*_filters(query))).one()


def _beyond(key: Mapped[int], after: Anchor, direction: Literal["asc", "desc"]) -> ColumnElement[bool]:
    at = clamped(after.at_ms)
    if after.thread_id is None:
        return key < at if direction == "desc" else key > at
    place, anchor = tuple_(key, _id), tuple_(at, after.thread_id)
    return place < anchor if direction == "desc" else place > anchor


def _filters(query: ThreadQuery) -> list[ColumnElement[bool]]:
    key = _KEYS[query.sort_key]
    filters: list[ColumnElement[bool]] = []
    if query.archived is not None:
        filters.append(col(ThreadRow.archived).is_(query.archived))
    if query.with_preview:
        filters.append(col(ThreadRow.preview) != "")
    if query.source_kinds is not None:
        filters.append(col(ThreadRow.source_kind).in_(query.source_kinds))
    if query.model_providers is not None:
        filters.append(col(ThreadRow.model_provider).in_(query.model_providers))
    if query.cwds is not None:
        filters.append(col(ThreadRow.cwd).in_(cwd_forms(query.cwds)))
    if query.search_term is not None:
        filters.append(_contains(ThreadRow.name, query.search_term) | _contains(ThreadRow.preview, query.search_term))
    if query.parent_id is not None:
        filters.append(_id.in_(select(SpawnEdgeRow.child_id).where(SpawnEdgeRow.parent_id == query.parent_id)))
    if query.ancestor_id is not None:
        filters.append(_id.in_(_descendants(query.ancestor_id)) & (_id != query.ancestor_id))
    if query.since_ms is not None:
        filters.append(key >= clamped(query.since_ms))
    if query.until_ms is not None:
        filters.append(key <= clamped(query.until_ms))
    return filters


def _contains(column: str | None, term: str) -> ColumnElement[bool]:
    """Case-sensitive and literal (Codex's instr); LIKE is neither in SQLite."""
    return func.coalesce(func.instr(column, term), 0) > 0


def _descendants(ancestor_id: str) -> SelectOfScalar[str]:
    child, parent = col(SpawnEdgeRow.child_id), col(SpawnEdgeRow.parent_id)
    tree = select(child).where(parent == ancestor_id).cte("tree", recursive=True)
    # UNION, not UNION ALL: a row that was there before is not followed again, so a cycle ends
    tree = tree.union(select(child).join(tree, parent == tree.c.child_id))
    return select(tree.c.child_id)


# ---------------------------------------------------------------------------------------------- edges


def add_edges(session: Session, edges: Sequence[SpawnEdge]) -> None:
    """Insert the edges of children that have none; never reparents, never changes a status."""
    if edges:
        rows = [{"child_id": edge.child_id, "parent_id": edge.parent_id, "status": edge.status} for edge in edges]
        session.connection().execute(insert(_EDGES).on_conflict_do_nothing(index_elements=["child_id"]), rows)


def remove_edges(session: Session, child_ids: Collection[str]) -> None:
    """Remove the edges that lead to these children; those to their own children stay."""
    for ids in chunks(child_ids):
        session.exec(delete(SpawnEdgeRow).where(col(SpawnEdgeRow.child_id).in_(ids)))


def children(session: Session, parent_ids: Collection[str]) -> list[SpawnEdge]:
    edges: list[SpawnEdge] = []
    for ids in chunks(parent_ids):
        edges += map(_edge, session.exec(select(SpawnEdgeRow).where(col(SpawnEdgeRow.parent_id).in_(ids))))
    return sorted(edges, key=lambda edge: edge.child_id)


def parent(session: Session, child_id: str) -> SpawnEdge | None:
    row = session.get(SpawnEdgeRow, child_id)
    return None if row is None else _edge(row)


def forks_of(session: Session, thread_id: str) -> list[str]:
    return list(session.exec(select(ThreadRow.id).where(ThreadRow.history_base_id == thread_id).order_by(_id)))


# ---------------------------------------------------------------------------------------------- values and rows

_THREADS = cast("Table", ThreadRow.__table__)  # type: ignore[attr-defined]
_EDGES = cast("Table", SpawnEdgeRow.__table__)  # type: ignore[attr-defined]


def _values(thread: StoredThread) -> dict[str, Any]:
    base = thread.history_base
    special = {
        "size": thread.stamp.size,
        "mtime_ns": thread.stamp.mtime_ns,
        "source_kind": thread.source_kind,
        "history_base_id": base and base.thread_id,
        "history_base_end_ordinal": base and base.end_ordinal_exclusive,
        "history_base_end_offset": base and base.end_byte_offset,
        "git": thread.git and thread.git.model_dump(),
    }
    return {c.name: special[c.name] if c.name in special else getattr(thread, c.name) for c in _THREADS.columns}


def _stored(row: ThreadRow) -> StoredThread:
    base = None
    if row.history_base_id is not None:
        ordinal, offset = row.history_base_end_ordinal or 0, row.history_base_end_offset or 0
        base = HistoryBase(row.history_base_id, ordinal, offset)
    return StoredThread(
        stamp=FileStamp(row.size, row.mtime_ns),
        history_base=base,
        git=None if row.git is None else GitInfo(**row.git),
        **{name: getattr(row, name) for name in _SAME},
    )


_SAME = tuple(name for name in StoredThread.__dataclass_fields__ if name not in ("stamp", "history_base", "git"))


def _edge(row: SpawnEdgeRow) -> SpawnEdge:
    return SpawnEdge(row.parent_id, row.child_id, cast("Literal['open', 'closed']", row.status))


def chunks(ids: Collection[str]) -> Iterator[list[str]]:
    held = list(ids)
    for start in range(0, len(held), _CHUNK):
        yield held[start : start + _CHUNK]


def clamped(value: int) -> int:
    """SQLite's integers have 64 bits; a bound beyond them means the same as the last one within."""
    return max(-_INT64 - 1, min(value, _INT64))
