"""The index of turns: how far each history is indexed, and where its turns lie. Each function leaves the transaction
to its caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, insert, select, true, update

from mcp_server.models.history import (
    IndexCheckpoint,
    IndexProgress,
    IndexUpdate,
    ItemSpan,
    ParserState,
    TurnFacts,
    TurnSpan,
)
from mcp_server.models.number import clamped
from mcp_server.models.records import Moved
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import RowMapper, among, insert_new, listed, table, upsert
from mcp_server.storage.sql.tables import HistoryRow, ThreadRow, TurnRow, UnreadRow

_CHECKPOINT = RowMapper(IndexCheckpoint, HistoryRow, version=(FileStamp, "size", "mtime_ns"))
_TURN = RowMapper(TurnSpan, TurnRow, begin=(ParserState, "start", "line", "item", "counted"))
_threads, _histories, _turns, _unread = table(ThreadRow), table(HistoryRow), table(TurnRow), table(UnreadRow)

# ---------------------------------------------------------------------------------------------- checkpoints

_CHECKPOINTS = Prepared(select(*_CHECKPOINT.columns).where(among(_histories.c.thread_id, "ids")))
_OF_ID = _histories.c.thread_id == bindparam("thread_id")
_HISTORY = Prepared(select(_histories.c.number, _histories.c.end).where(_OF_ID))
_INSERT_CHECKPOINT = Prepared(insert(_histories), _CHECKPOINT.names)
_INSERT_TURNS = Prepared(insert(_turns), ("history", *_TURN.names))
_UPDATE_CHECKPOINT = Prepared(update(_histories).where(_histories.c.number == bindparam("history")), _CHECKPOINT.names)
_FORGET = [Prepared(delete(of).where(among(of.c.thread_id, "ids"))) for of in (_histories, _unread)]
_REMOVE_TURNS = Prepared(
    delete(_turns).where(_turns.c.history == bindparam("of"), _turns.c.number >= bindparam("first"))
)


def checkpoints(connection: Connection, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
    """How far these threads are indexed, those that are."""
    rows = _CHECKPOINTS.all(connection, {"ids": list(thread_ids)})
    return {checkpoint.thread_id: checkpoint for checkpoint in map(_CHECKPOINT.value, rows)}


def apply_updates(connection: Connection, updates: Sequence[IndexUpdate]) -> list[int | None]:
    """The numbers of the histories that have taken their updates; None for one that has gone on meanwhile."""
    numbers = [_apply_update(connection, update) for update in updates]
    rows = [
        {"history": number, **_TURN.values(replace(span, facts=_moved(span.facts, -span.begin.start)))}
        for number, update in zip(numbers, updates, strict=True)
        if number is not None
        for span in update.spans
    ]
    if rows:
        _INSERT_TURNS.run_each(connection, rows)
    _settle(connection, [update.checkpoint.thread_id for update in updates])
    return numbers


def _apply_update(connection: Connection, update: IndexUpdate) -> int | None:
    checkpoint = update.checkpoint
    number, end = _HISTORY.first(connection, {"thread_id": checkpoint.thread_id}) or (None, None)
    if update.after is not None and end != update.after:
        return None
    if number is not None and update.after is None:
        forget(connection, [checkpoint.thread_id])
        number = None
    if number is None:
        return _INSERT_CHECKPOINT.insert(connection, _CHECKPOINT.values(checkpoint))
    _UPDATE_CHECKPOINT.run(connection, {"history": number, **_CHECKPOINT.values(checkpoint)})
    _REMOVE_TURNS.run(connection, {"of": number, "first": update.keep})
    return number


def forget(connection: Connection, thread_ids: Collection[str]) -> None:
    """Forget the histories of these threads. Turns and texts go with them."""
    for statement in _FORGET if thread_ids else ():
        statement.run(connection, {"ids": list(thread_ids)})


def forget_all(connection: Connection) -> None:
    """Forget all histories, so that each is read again."""
    connection.execute(delete(_histories))
    everything = select(_threads.c.id, _threads.c.updated_at_ms).where(true())  # as SQLite wants it before ON CONFLICT
    connection.execute(insert_new(UnreadRow).from_select(["thread_id", "updated_at_ms"], everything))


# ---------------------------------------------------------------------------------------------- turns

TURN_COLUMNS = _TURN.columns
"""The columns that `turn_of` takes."""

_OF_THREAD = (
    select(*_TURN.columns)
    .where(_turns.c.history == select(_histories.c.number).where(_OF_ID).scalar_subquery())
    .order_by(_turns.c.number)
)
_BY_NUMBERS = Prepared(_OF_THREAD.where(_turns.c.number >= bindparam("first"), _turns.c.number < bindparam("end")))
_OF_ITEMS = Prepared(
    _OF_THREAD.where(
        _turns.c.size > 0,
        _turns.c["items"] < bindparam("end"),
        _turns.c["items"] + _turns.c.size > bindparam("first"),
    )
)
_BY_ID = Prepared(_OF_THREAD.where(_turns.c.turn_id == bindparam("turn_id")).limit(1))


def with_numbers(connection: Connection, thread_id: str, first: int, end: int) -> list[TurnSpan]:
    """The turns with these numbers, in order."""
    values = {"thread_id": thread_id, "first": clamped(first), "end": clamped(end)}
    return list(map(turn_of, _BY_NUMBERS.all(connection, values)))


def with_items(connection: Connection, thread_id: str, first: int, end: int) -> list[TurnSpan]:
    """The turns that hold the items with these numbers in the thread, in order."""
    values = {"thread_id": thread_id, "first": clamped(first), "end": clamped(end)}
    return list(map(turn_of, _OF_ITEMS.all(connection, values)))


def with_id(connection: Connection, thread_id: str, turn_id: str) -> TurnSpan | None:
    """The first turn with this id."""
    row = _BY_ID.first(connection, {"thread_id": thread_id, "turn_id": turn_id})
    return None if row is None else turn_of(row)


def turn_of(row: Sequence[Any]) -> TurnSpan:
    """The turn of a row that begins with `TURN_COLUMNS`."""
    span = _TURN.value(row)
    return replace(span, facts=_moved(span.facts, span.begin.start))


def _moved(facts: TurnFacts, by: int) -> TurnFacts:
    """Offsets as counted from somewhere else: small numbers take little room."""

    def moved(place: ItemSpan | None) -> ItemSpan | None:
        return place and ItemSpan(place.start + by, place.end + by, place.id)

    chunks = tuple(replace(chunk, start=chunk.start + by) for chunk in facts.chunks)
    return replace(facts, request=moved(facts.request), answer=moved(facts.answer), chunks=chunks)


# ---------------------------------------------------------------------------------------------- what is left to read


def _same_stamp() -> ColumnElement[bool]:
    return and_(_threads.c.size == _histories.c.size, _threads.c.mtime_ns == _histories.c.mtime_ns)


_FOLLOW = Prepared(
    update(_histories)
    .where(_histories.c.thread_id == bindparam("id"), _histories.c.size == bindparam("of_size"))
    .where(_histories.c.mtime_ns != bindparam("moved_at"))
    .where(exists().where(_threads.c.id == bindparam("id"), _same_stamp()))
    .values(mtime_ns=bindparam("moved_at"))
)
_READ = listed("ids").subquery()
_READ_ROWS = _READ.join(_threads, _threads.c.id == _READ.c.id)
_AS_INDEXED = (
    select(_threads.c.id)
    .select_from(_READ_ROWS.join(_histories, _histories.c.thread_id == _threads.c.id))
    .where(_same_stamp())
)
_SETTLED = Prepared(delete(_unread).where(_unread.c.thread_id.in_(_AS_INDEXED)))
_NOTE = Prepared(upsert(UnreadRow))


def follow_moves(connection: Connection, moved: Sequence[Moved]) -> None:
    """Take over the new mtimes of moved files, while their rows still tell what was indexed."""
    if moved:
        rows = [{"id": one.thread_id, "of_size": one.stamp.size, "moved_at": one.stamp.mtime_ns} for one in moved]
        _FOLLOW.run_each(connection, rows)


def note_unread(connection: Connection, threads: Sequence[StoredThread]) -> None:
    """Remember which of these threads have rows that tell of something that is not indexed."""
    if threads:
        _NOTE.run_each(connection, [{"thread_id": one.id, "updated_at_ms": one.updated_at_ms} for one in threads])
        _settle(connection, [thread.id for thread in threads])


def _settle(connection: Connection, thread_ids: Sequence[str]) -> None:
    """Forget that a thread is to be read where its row and its checkpoint have the same stamp."""
    _SETTLED.run(connection, {"ids": thread_ids})


def unread(connection: Connection, limit: int) -> list[str]:
    """Threads whose rollouts are not indexed as their rows tell of them, the last changed first."""
    newest = _unread.c.updated_at_ms.desc(), _unread.c.thread_id.desc()
    return list(connection.scalars(select(_unread.c.thread_id).order_by(*newest).limit(limit)))


def progress(connection: Connection) -> IndexProgress:
    """How many threads are indexed, up to whatever place, and how many are left to read."""
    indexed, unread = (
        connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (_histories, _unread)
    )
    return IndexProgress(indexed, unread)
