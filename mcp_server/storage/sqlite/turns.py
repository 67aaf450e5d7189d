"""The index of histories in SQL: each function takes a connection and leaves the transaction to its caller."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from mcp_server.models.history import IndexCheckpoint, IndexUpdate, ItemSpan, ParserState, TurnFacts, TurnSpan
from mcp_server.models.records import Moved
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.sql.rows import table
from mcp_server.storage.sql.tables import HistoryRow, UnreadRow
from mcp_server.storage.sqlite.statements import clamped, fetch_all, fetch_listed, fetch_one, run, run_each, run_listed

# What a row holds of a `IndexCheckpoint` as it is: its fields between the stamp and the open calls, in their order.
_MARK = ("base", "end", "check", "turns", "items", "next_item", "next_ordinal")

_COLUMNS = ("size", "mtime_ns", "open_calls", *_MARK)
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_INSERT_MARK = f"INSERT INTO histories (thread_id, {_NAMES}) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
_UPDATE_MARK = f"UPDATE histories SET ({_NAMES}) = ({', '.join('?' * len(_COLUMNS))}) WHERE number = ?"
_TURN = ("history", "number", "turn_id", "start", "end", "line", "item", "counted", "items", "size", "facts")
_INSERT_TURN = (
    f"INSERT INTO turns ({', '.join(f'{chr(34)}{name}{chr(34)}' for name in _TURN)}) "
    f"VALUES ({', '.join('?' * len(_TURN))})"
)

SPAN = ", ".join(f'u."{name}"' for name in _TURN[1:])
"""The columns of a row `u` that `span_of_row` takes."""
_facts = msgspec.json.Decoder(TurnFacts)  # MessagePack has no room for some numbers that JSON has

# ---------------------------------------------------------------------------------------------- marks


def marks(connection: Connection, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
    sql = f"SELECT thread_id, {_NAMES} FROM histories WHERE thread_id IN (SELECT value FROM json_each(?))"
    return {row[0]: _mark(*row) for row in fetch_listed(connection, sql, thread_ids)}


def _mark(thread_id: str, size: int, mtime_ns: int, open_calls: str, *mark: Any) -> IndexCheckpoint:
    calls = () if open_calls == "[]" else tuple(json.loads(open_calls))
    return IndexCheckpoint(thread_id, FileStamp(size, mtime_ns), *mark, open_calls=calls)


def step(connection: Connection, steps: Sequence[IndexUpdate]) -> list[int | None]:
    """The numbers of the histories that have taken their steps in; None for one that has gone on meanwhile."""
    numbers = [_step(connection, step) for step in steps]
    rows = [
        _values(number, span)
        for number, step in zip(numbers, steps, strict=True)
        if number is not None
        for span in step.spans
    ]
    if rows:
        run_each(connection, _INSERT_TURN, rows)
    _settle(connection, [step.mark.thread_id for step in steps])
    return numbers


def _step(connection: Connection, step: IndexUpdate) -> int | None:
    mark = step.mark
    before = fetch_one(connection, 'SELECT number, "end" FROM histories WHERE thread_id = ?', (mark.thread_id,))
    if step.after is not None and (before is None or before[1] != step.after):
        return None
    if before is not None and step.after is None:
        run(connection, "DELETE FROM histories WHERE number = ?", (before[0],))
        before = None
    values = (mark.stamp.size, mark.stamp.mtime_ns, json.dumps(mark.open_calls), *(getattr(mark, n) for n in _MARK))
    if before is None:
        return run(connection, _INSERT_MARK, (mark.thread_id, *values)).lastrowid
    run(connection, _UPDATE_MARK, (*values, before[0]))
    run(connection, "DELETE FROM turns WHERE history = ? AND number >= ?", (before[0], step.keep))
    return int(before[0])


def forget(connection: Connection, thread_ids: Collection[str]) -> None:
    """Turns and texts go with their histories."""
    for name in ("histories", "unread"):
        run_listed(connection, f"DELETE FROM {name} WHERE thread_id IN (SELECT value FROM json_each(?))", thread_ids)


# ---------------------------------------------------------------------------------------------- spans


def spans(connection: Connection, thread_id: str, first: int, end: int) -> list[TurnSpan]:
    return _spans(connection, thread_id, "u.number >= ? AND u.number < ?", clamped(first), clamped(end))


def last_turns(connection: Connection, thread_id: str, most: int) -> tuple[IndexCheckpoint | None, list[TurnSpan]]:
    mark = marks(connection, [thread_id]).get(thread_id)
    return mark, spans(connection, thread_id, max(0, mark.turns - most), mark.turns) if mark and most else []


def spans_of_items(connection: Connection, thread_id: str, first: int, end: int) -> list[TurnSpan]:
    within = "u.size > 0 AND u.items < ? AND u.items + u.size > ?"
    return _spans(connection, thread_id, within, clamped(end), clamped(first))


def span_of(connection: Connection, thread_id: str, turn_id: str) -> TurnSpan | None:
    return next(iter(_spans(connection, thread_id, "u.turn_id = ?", turn_id)), None)


def _spans(connection: Connection, thread_id: str, condition: str, *values: Any) -> list[TurnSpan]:
    history = "(SELECT number FROM histories WHERE thread_id = ?)"
    sql = f"SELECT {SPAN} FROM turns u WHERE u.history = {history} AND {condition} ORDER BY u.number"
    return [span_of_row(*row) for row in fetch_all(connection, sql, (thread_id, *values))]


def _values(history: int, span: TurnSpan) -> tuple[Any, ...]:
    """A row, in the order of `_TURN`."""
    place = span.begin
    facts = msgspec.json.encode(_moved(span.facts, -place.start))
    where = (place.start, span.end, place.line, place.item, place.counted)
    return (history, span.number, span.turn_id, *where, span.items, span.size, facts)


def span_of_row(
    number: int,
    turn_id: str,
    start: int,
    end: int,
    line: int,
    item: int,
    counted: int,
    items: int,
    size: int,
    told: bytes,
) -> TurnSpan:
    """The turn that a row tells of, its columns in the order of `SPAN`."""
    facts = _moved(_facts.decode(told), start)
    return TurnSpan(number, turn_id, ParserState(start, line, item, counted), end, items, size, facts)


def _moved(facts: TurnFacts, by: int) -> TurnFacts:
    """Offsets as counted from somewhere else: small numbers take little room."""

    def moved(place: ItemSpan | None) -> ItemSpan | None:
        return place and ItemSpan(place.start + by, place.end + by, place.id)

    pieces = tuple(msgspec.structs.replace(piece, start=piece.start + by) for piece in facts.chunks)
    return msgspec.structs.replace(facts, request=moved(facts.request), answer=moved(facts.answer), chunks=pieces)


def forget_all(connection: Connection) -> None:
    """Every history is to be read again."""
    run(connection, "DELETE FROM histories")
    for name in ("said_text", "tool_text"):
        run(connection, f"INSERT INTO {name} ({name}) VALUES ('delete-all')")
    run(connection, "INSERT OR IGNORE INTO unread SELECT id, updated_at_ms FROM threads")


# ---------------------------------------------------------------------------------------------- what is left to read


def follow(connection: Connection, moved: Sequence[Moved]) -> None:
    """Take over the new mtimes of moved files, while their rows still tell what was indexed."""
    statement = (
        "UPDATE histories SET mtime_ns = ?1 WHERE thread_id = ?2 AND size = ?3 AND mtime_ns != ?1 AND EXISTS "
        "(SELECT 1 FROM threads t WHERE t.id = ?2 AND (t.size, t.mtime_ns) = (histories.size, histories.mtime_ns))"
    )
    if moved:
        rows = [(one.stamp.mtime_ns, one.thread_id, one.stamp.size) for one in moved]
        run_each(connection, statement, rows)


def note(connection: Connection, threads: Sequence[StoredThread]) -> None:
    """Remember which of these threads have rows that tell of something that is not indexed."""
    if not threads:
        return
    statement = (
        "INSERT INTO unread (thread_id, updated_at_ms) VALUES (?, ?) "
        "ON CONFLICT (thread_id) DO UPDATE SET updated_at_ms = excluded.updated_at_ms"
    )
    run_each(connection, statement, [(thread.id, thread.updated_at_ms) for thread in threads])
    _settle(connection, [thread.id for thread in threads])


def _settle(connection: Connection, thread_ids: Sequence[str]) -> None:
    """Forget that a thread is to be read where its row and its mark have the same stamp."""
    run_listed(
        connection,
        "DELETE FROM unread WHERE thread_id IN (SELECT t.id FROM json_each(?) asked "
        "CROSS JOIN threads t ON t.id = asked.value CROSS JOIN histories h ON h.thread_id = t.id "
        "WHERE (t.size, t.mtime_ns) = (h.size, h.mtime_ns))",
        thread_ids,
    )


def unread(connection: Connection, limit: int) -> list[str]:
    newest = "SELECT thread_id FROM unread ORDER BY updated_at_ms DESC, thread_id DESC LIMIT ?"
    return [thread_id for (thread_id,) in fetch_all(connection, newest, (limit,))]


def unread_count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(table(UnreadRow))).scalar_one()


def indexed_count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(table(HistoryRow))).scalar_one()
