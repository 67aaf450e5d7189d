"""The index of turns: how far each history is indexed, and where its turns lie. Each function leaves the transaction
to its caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

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
from mcp_server.models.thread import FileStamp, LastTurn, StoredThread
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import RowMapper, among, insert_new, listed, table, upsert
from mcp_server.storage.sql.tables import HistoryRow, ThreadRow, TurnRow, UnreadRow

_LAST = "last_status", "last_error", "last_answer"
_CHECKPOINT = RowMapper(
    IndexCheckpoint, HistoryRow, version=(FileStamp, "size", "mtime_ns"), last_turn=(LastTurn, *_LAST)
)
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
    """How far these threads are indexed, by thread id, without those that are not."""
    rows = _CHECKPOINTS.all(connection, {"ids": list(thread_ids)})
    return {checkpoint.thread_id: checkpoint for checkpoint in map(_CHECKPOINT.value, rows)}


def apply_updates(connection: Connection, updates: Sequence[IndexUpdate]) -> list[int | None]:
    """Apply updates. Returns the numbers of the histories; None for an update that was refused (`TurnIndex.update`)."""
    numbers = [_apply_update(connection, update) for update in updates]
    rows = (
        {"history": number, **_TURN.values(replace(span, facts=_moved(span.facts, -span.begin.start)))}
        for number, update in zip(numbers, updates, strict=True)
        if number is not None
        for span in update.spans
    )
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
_OF_THREADS = Prepared(
    select(*_TURN.columns, _histories.c.thread_id)
    .select_from(_histories.join(_turns, _turns.c.history == _histories.c.number))
    .where(among(_histories.c.thread_id, "ids"))
    .order_by(_turns.c.history, _turns.c.number)
)
_BY_ID = Prepared(_OF_THREAD.where(_turns.c.turn_id == bindparam("turn_id")).limit(1))


def of_threads(connection: Connection, thread_ids: Collection[str]) -> dict[str, list[TurnSpan]]:
    """All turns of these threads, in order."""
    found: dict[str, list[TurnSpan]] = {}
    for row in _OF_THREADS.all(connection, {"ids": list(thread_ids)}):
        found.setdefault(row[-1], []).append(turn_of(row))
    return found


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
    """The facts with all offsets shifted. They are stored as counted from the turn's start, which takes less room."""

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
_INDEXED = {**{name: _histories.c[name] for name in _LAST}, "turn_count": _histories.c.turns}
_TAKE_OVER = Prepared(
    update(_threads)
    .with_hint("INDEXED BY ix_threads_id", _threads, dialect_name="sqlite")
    .where(among(_threads.c.id, "ids"), _histories.c.thread_id == _threads.c.id, _same_stamp())
    .where(or_(*(_threads.c[name].is_distinct_from(column) for name, column in _INDEXED.items())))
    .values(_INDEXED)
)


def follow_moves(connection: Connection, moved: Sequence[Moved]) -> None:
    """Give checkpoints the new mtimes of moved files. Call it while the rows still have the stamps before the move."""
    if moved:
        rows = [{"id": one.thread_id, "of_size": one.stamp.size, "moved_at": one.stamp.mtime_ns} for one in moved]
        _FOLLOW.run_each(connection, rows)


def note_unread(connection: Connection, threads: Sequence[StoredThread]) -> None:
    """Mark these threads as unread, except those that are indexed in the version in their rows."""
    if threads:
        _NOTE.run_each(connection, [{"thread_id": one.id, "updated_at_ms": one.updated_at_ms} for one in threads])
        _settle(connection, [thread.id for thread in threads])


def _settle(connection: Connection, thread_ids: Sequence[str]) -> None:
    """Unmark the threads whose row and checkpoint have the same stamp, and let their rows tell what the index knows of
    the turns."""
    _SETTLED.run(connection, {"ids": thread_ids})
    _TAKE_OVER.run(connection, {"ids": thread_ids})


def unread(connection: Connection, limit: int) -> list[str]:
    """Threads whose rollouts are not indexed in the version in their rows, the last changed first."""
    newest = _unread.c.updated_at_ms.desc(), _unread.c.thread_id.desc()
    return list(connection.scalars(select(_unread.c.thread_id).order_by(*newest).limit(limit)))


def progress(connection: Connection) -> IndexProgress:
    """How many threads are indexed, at least in part, and how many are still to be read."""
    indexed, unread = (
        connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (_histories, _unread)
    )
    return IndexProgress(indexed, unread)
