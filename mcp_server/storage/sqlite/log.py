"""Events, operations, receipts, tombstones and the backfill in SQL: each function takes a Session and leaves the
transaction to its caller."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, cast

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import Session, col, select

from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.records import BackfillState, Move, Operation, OperationKind, Receipt
from mcp_server.models.thread import FileStamp
from mcp_server.storage.rules import claimable, may_checkpoint
from mcp_server.storage.sql.tables import (
    BackfillRow,
    EventRow,
    MetaRow,
    MoveRow,
    OperationRow,
    ReceiptRow,
    TombstoneRow,
)
from mcp_server.storage.sqlite.statements import clamped, fetch_all, fetch_listed, fetch_one, run, run_each

_NAMES_STAMP = "names_stamp"

# ---------------------------------------------------------------------------------------------- events


def append_events(session: Session, events: Sequence[ThreadEvent], now_ms: int) -> list[ThreadEvent]:
    """Append in order; the log gives seq and time."""
    if not events:
        return []
    before = last_seq(session)
    rows = [(now_ms, event.type, event.thread_id, _json(event.payload)) for event in events]
    run_each(session, "INSERT INTO events (at_ms, type, thread_id, payload) VALUES (?, ?, ?, ?)", rows)
    # the transaction holds the write lock, so what is newer is ours (SQLite has no RETURNING below 3.35)
    seqs = fetch_all(session, "SELECT seq FROM events WHERE seq > ? ORDER BY seq", (before,))
    return [
        ThreadEvent(event.type, event.thread_id, event.payload, seq, now_ms)
        for event, (seq,) in zip(events, seqs, strict=True)
    ]


def _json(payload: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(payload).decode()
    except (ValueError, OverflowError):  # lone surrogates and numbers beyond 64 bits, which JSON has room for
        return json.dumps(payload)


def events_after(
    session: Session, seq: int, limit: int, thread_id: str | None, types: Collection[EventType] | None
) -> list[ThreadEvent]:
    statement = select(EventRow).where(col(EventRow.seq) > clamped(seq))
    if thread_id is not None:
        statement = statement.where(EventRow.thread_id == thread_id)
    if types is not None:
        statement = statement.where(col(EventRow.type).in_(types))
    rows = session.exec(statement.order_by(col(EventRow.seq)).limit(limit))
    return [ThreadEvent(cast("EventType", r.type), r.thread_id, r.payload, r.seq or 0, r.at_ms) for r in rows]


def last_seq(session: Session) -> int:
    return fetch_one(session, "SELECT max(seq) FROM events")[0] or 0


# ---------------------------------------------------------------------------------------------- operations


def save_operation(session: Session, operation: Operation) -> None:
    """Its moves are those that it was planned with: they are written once."""
    told = (operation.kind, operation.root_id, operation.state, operation.started_at_ms, json.dumps(operation.result))
    update = "UPDATE operations SET kind = ?, root_id = ?, state = ?, started_at_ms = ?, result = ? WHERE id = ?"
    if run(session, update, (*told, operation.id)).rowcount:
        return
    insert = "INSERT INTO operations (kind, root_id, state, started_at_ms, result, id) VALUES (?, ?, ?, ?, ?, ?)"
    run(session, insert, (*told, operation.id))
    rows = [(operation.id, place, move.thread_id, move.path) for place, move in enumerate(operation.moves)]
    if rows:
        insert = "INSERT INTO operation_moves (operation_id, position, thread_id, path) VALUES (?, ?, ?, ?)"
        run_each(session, insert, rows)


def operation(session: Session, operation_id: str) -> Operation | None:
    row = session.get(OperationRow, operation_id)
    return None if row is None else _operation(session, row)


def running_operations(session: Session) -> list[Operation]:
    running = select(OperationRow).where(OperationRow.state == "running")
    oldest = running.order_by(col(OperationRow.started_at_ms), col(OperationRow.id))
    return [_operation(session, row) for row in session.exec(oldest).all()]


def moved_with(session: Session, kind: str, thread_id: str) -> set[str]:
    done = (  # CROSS JOIN: the moves of one thread are few
        "FROM operation_moves AS move CROSS JOIN operations AS operation ON operation.id = move.operation_id "
        "WHERE operation.state = 'done' AND operation.kind = ? AND move.thread_id = "
    )
    # Rows are numbered as they are recorded; the index on the thread has these numbers, so what is older costs nothing.
    newest = f"SELECT move.operation_id {done} ? ORDER BY move.rowid DESC LIMIT 1"
    last = fetch_one(session, newest, (kind, thread_id))
    if last is None:
        return set()
    later = f"SELECT 1 {done} moved.thread_id AND move.rowid > moved.rowid"
    moved = f"SELECT thread_id FROM operation_moves AS moved WHERE operation_id = ? AND NOT EXISTS ({later})"
    return {moved_id for (moved_id,) in fetch_all(session, moved, (*last, kind))}


def _operation(session: Session, row: OperationRow) -> Operation:
    moves = session.exec(select(MoveRow).where(MoveRow.operation_id == row.id).order_by(col(MoveRow.position)))
    return Operation(
        id=row.id,
        kind=cast("OperationKind", row.kind),
        root_id=row.root_id,
        moves=tuple(Move(move.thread_id, move.path) for move in moves),
        state=cast("Literal['running', 'done']", row.state),
        started_at_ms=row.started_at_ms,
        result=row.result,
    )


# ---------------------------------------------------------------------------------------------- receipts, tombstones


def receipts(session: Session, client: str, request_id: str) -> list[Receipt]:
    mine = select(ReceiptRow).where(ReceiptRow.client == client, ReceiptRow.request_id == request_id)
    newest = mine.order_by(col(ReceiptRow.at_ms).desc(), col(ReceiptRow.connection))
    return [Receipt(**row.model_dump()) for row in session.exec(newest)]


def claim(session: Session, claim: Receipt, abandoned: Receipt | None) -> Receipt:
    row = session.get(ReceiptRow, claim.key)
    if row is not None and (there := Receipt(**row.model_dump())) != abandoned:
        return there
    save_receipt(session, claim)
    return claim


def save_receipt(session: Session, receipt: Receipt) -> None:
    session.merge(ReceiptRow(**asdict(receipt)))


def release_claim(session: Session, claim: Receipt) -> None:
    row = session.get(ReceiptRow, claim.key)
    if row is not None and Receipt(**row.model_dump()) == claim:
        session.delete(row)


def add_tombstones(session: Session, thread_ids: Collection[str], now_ms: int) -> None:
    _insert_new(session, TombstoneRow, "thread_id", [{"thread_id": key, "at_ms": now_ms} for key in thread_ids])


def deleted(session: Session, thread_ids: Collection[str]) -> frozenset[str]:
    sql = "SELECT thread_id FROM tombstones WHERE thread_id IN (SELECT value FROM json_each(?))"
    return frozenset(row[0] for row in fetch_listed(session, sql, thread_ids))


def _insert_new(session: Session, table: type[TombstoneRow], key: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        statement = insert(cast("Table", table.__table__))  # type: ignore[attr-defined]
        session.connection().execute(statement.on_conflict_do_nothing(index_elements=[key]), rows)


# ---------------------------------------------------------------------------------------------- names, backfill


def names_stamp(session: Session) -> FileStamp | None:
    row = session.get(MetaRow, _NAMES_STAMP)
    return None if row is None or row.value is None else FileStamp(**row.value)


def save_names_stamp(session: Session, stamp: FileStamp | None) -> None:
    value = None if stamp is None else {"size": stamp.size, "mtime_ns": stamp.mtime_ns}
    session.merge(MetaRow(key=_NAMES_STAMP, value=value))


def backfill(session: Session) -> BackfillState:
    row = session.get(BackfillRow, 1)
    return BackfillState() if row is None else BackfillState(**row.model_dump(exclude={"id"}))


def claim_backfill(session: Session, owner: str, now_ms: int, lease_ms: int) -> bool:
    state = backfill(session)
    if not claimable(state, now_ms, lease_ms):
        return False
    _save_backfill(session, replace(state, status="running", owner=owner, updated_at_ms=now_ms))
    return True


def reopen_backfill(session: Session) -> None:
    if backfill(session).status == "complete":
        _save_backfill(session, BackfillState())


def checkpoint_backfill(session: Session, state: BackfillState) -> None:
    if may_checkpoint(backfill(session), state):
        _save_backfill(session, state)


def _save_backfill(session: Session, state: BackfillState) -> None:
    columns = {name: getattr(state, name) for name in BackfillState.__dataclass_fields__}
    session.merge(BackfillRow(id=1, **columns))
