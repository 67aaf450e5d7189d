"""Events, operations, receipts, tombstones, the backfill and single values: what no file holds. Each function leaves
the transaction to its caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as replace_fields
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.number import clamped
from mcp_server.models.records import BackfillState, Move, Operation, Receipt
from mcp_server.models.thread import FileStamp
from mcp_server.storage.rules import claimable, may_checkpoint
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import RowMapper, among, insert_new, order_of_insertion, table, upsert
from mcp_server.storage.sql.tables import (
    BackfillRow,
    EventRow,
    MetaRow,
    MoveRow,
    OperationRow,
    ReceiptRow,
    TombstoneRow,
)

_NAMES_STAMP = "names_stamp"

# ---------------------------------------------------------------------------------------------- events

_EVENT = RowMapper(ThreadEvent, EventRow)
_events = table(EventRow)
_APPEND = Prepared(insert(_events), _EVENT.names)
_LAST_SEQ = Prepared(select(func.max(_events.c.seq)))
_FIRST_SEQ = Prepared(select(func.min(_events.c.seq)))


def append_events(connection: Connection, events: Sequence[ThreadEvent], now_ms: int) -> list[ThreadEvent]:
    """Append in order; the log gives seq and time."""
    if not events:
        return []
    _APPEND.run_each(connection, [{**_EVENT.values(event), "at_ms": now_ms} for event in events])
    # The transaction holds the write lock, so the new numbers follow each other (SQLite has no RETURNING below 3.35).
    first = last_seq(connection) - len(events) + 1
    return [replace_fields(event, seq=first + n, at_ms=now_ms) for n, event in enumerate(events)]


def events_after(
    connection: Connection,
    seq: int,
    limit: int,
    thread_ids: Collection[str] | None,
    types: Collection[EventType] | None,
) -> list[ThreadEvent]:
    """Events with a greater seq, oldest first."""
    statement = select(*_EVENT.columns).where(_events.c.seq > clamped(seq))
    values: dict[str, Any] = {}
    if thread_ids is not None:
        statement, values = statement.where(among(_events.c.thread_id, "thread_ids")), {"thread_ids": list(thread_ids)}
    if types is not None:
        statement = statement.where(_events.c.type.in_(types))
    rows = connection.execute(statement.order_by(_events.c.seq).limit(limit), values).all()
    return [_EVENT.value(row) for row in rows]


def last_seq(connection: Connection) -> int:
    """Seq of the newest event, 0 if there is none."""
    (seq,) = _LAST_SEQ.scalars(connection)
    return seq or 0


def first_seq(connection: Connection) -> int:
    """Seq of the oldest event that is there, 0 if there is none."""
    (seq,) = _FIRST_SEQ.scalars(connection)
    return seq or 0


# ---------------------------------------------------------------------------------------------- operations

_OPERATION = RowMapper(Operation, OperationRow)
_MOVE = RowMapper(Move, MoveRow)
_operations, _moves = table(OperationRow), table(MoveRow)
_BY_ID = select(_operations).where(_operations.c.id == bindparam("id"))
_RUNNING = (
    select(_operations).where(_operations.c.state == "running").order_by(_operations.c.started_at_ms, _operations.c.id)
)
_MOVES_OF = Prepared(select(*_MOVE.columns).where(_moves.c.operation_id == bindparam("id")).order_by(_moves.c.position))
_SAVE_OPERATION = Prepared(upsert(OperationRow))
_INSERT_MOVES = Prepared(insert_new(MoveRow))


def save_operation(connection: Connection, operation: Operation) -> None:
    """Insert an operation with its moves, or update its row. The moves stay those that it was planned with."""
    _SAVE_OPERATION.run(connection, _OPERATION.values(operation))
    moves = enumerate(operation.moves)
    rows = [{"operation_id": operation.id, "position": at, **_MOVE.values(move)} for at, move in moves]
    _INSERT_MOVES.run_each(connection, rows)


def operation(connection: Connection, operation_id: str) -> Operation | None:
    """One operation by its id."""
    row = connection.execute(_BY_ID, {"id": operation_id}).mappings().first()
    return None if row is None else _operation(connection, row)


def running_operations(connection: Connection) -> list[Operation]:
    """Operations that were planned and not finished, oldest first."""
    return [_operation(connection, row) for row in connection.execute(_RUNNING).mappings().all()]


def _operation(connection: Connection, row: RowMapping) -> Operation:
    moves = _MOVES_OF.all(connection, {"id": row["id"]})
    return Operation(**{str(name): value for name, value in row.items()}, moves=tuple(map(_MOVE.value, moves)))


def last_operations(connection: Connection, kind: str, thread_ids: Collection[str]) -> dict[str, str]:
    """The id of the newest finished operation of a kind that each thread is among."""
    found = connection.execute(_DONE_MOVES, {"kind": kind, "thread_ids": list(thread_ids)})
    return {row.thread_id: row.operation_id for row in found}


_DONE_MOVES = (
    select(_moves.c.thread_id, _moves.c.operation_id)
    .select_from(_moves.join(_operations, _operations.c.id == _moves.c.operation_id))
    .where(
        among(_moves.c.thread_id, "thread_ids"), _operations.c.state == "done", _operations.c.kind == bindparam("kind")
    )
    .order_by(order_of_insertion(_moves))
)

# ---------------------------------------------------------------------------------------------- receipts, tombstones

_RECEIPT = RowMapper(Receipt, ReceiptRow)
_receipts, _tombstones = table(ReceiptRow), table(TombstoneRow)
_RECEIPTS = Prepared(
    select(*_RECEIPT.columns)
    .where(_receipts.c.client == bindparam("client"), _receipts.c.request_id == bindparam("request_id"))
    .order_by(_receipts.c.at_ms.desc(), _receipts.c.connection)
)
_SAVE_RECEIPT = Prepared(upsert(ReceiptRow))
_BURY = Prepared(insert_new(TombstoneRow))
_DELETED = Prepared(select(_tombstones.c.thread_id).where(among(_tombstones.c.thread_id, "ids")))


def receipts(connection: Connection, client: str, request_id: str) -> list[Receipt]:
    """The receipts of a client's request id, from all its connections, the newest first."""
    rows = _RECEIPTS.all(connection, {"client": client, "request_id": request_id})
    return list(map(_RECEIPT.value, rows))


def claim(connection: Connection, claim: Receipt, abandoned: Receipt | None) -> Receipt:
    """Record a claim if no receipt, or the `abandoned` one, has its key. Returns the receipt that then has it."""
    there = _receipt(connection, claim)
    if there is not None and there != abandoned:
        return there
    _SAVE_RECEIPT.run(connection, _RECEIPT.values(claim))
    return claim


def settle(connection: Connection, receipt: Receipt) -> None:
    """Write an outcome, in place of the receipt with its key. Remove a claim, unless something has taken its place."""
    if receipt.result is not None:
        _SAVE_RECEIPT.run(connection, _RECEIPT.values(receipt))
    elif _receipt(connection, receipt) == receipt:
        connection.execute(delete(_receipts).where(*_has_key(receipt)))


def _receipt(connection: Connection, like: Receipt) -> Receipt | None:
    row = connection.execute(select(*_RECEIPT.columns).where(*_has_key(like))).first()
    return None if row is None else _RECEIPT.value(row)


def _has_key(receipt: Receipt) -> list[ColumnElement[bool]]:
    return [column == getattr(receipt, column.name) for column in _receipts.primary_key]


def add_tombstones(connection: Connection, thread_ids: Collection[str], now_ms: int) -> None:
    """Record that these threads were deleted. A tombstone that is there keeps its time."""
    if thread_ids:
        _BURY.run_each(connection, [{"thread_id": thread_id, "at_ms": now_ms} for thread_id in thread_ids])


def deleted(connection: Connection, thread_ids: Collection[str]) -> frozenset[str]:
    """Which of these threads have a tombstone."""
    if not thread_ids:
        return frozenset()
    return frozenset(_DELETED.scalars(connection, {"ids": list(thread_ids)}))


# ---------------------------------------------------------------------------------------------- what is kept no longer

_oldest = select(_events.c.seq).order_by(_events.c.seq).limit(bindparam("most"))
_OLD_EVENTS = (
    _events.c.seq.in_(_oldest),
    _events.c.at_ms < bindparam("before_ms"),
    _events.c.seq <= select(func.max(_events.c.seq)).scalar_subquery() - bindparam("kept"),
)
_received = _receipts.c.at_ms
# Of the time of the receipt behind those that go in one step, if there are so many.
_NEXT = Prepared(
    select(_received).where(_received < bindparam("before_ms")).order_by(_received).offset(bindparam("most")).limit(1)
)


def has_old(connection: Connection, before_ms: int, kept: int) -> bool:
    """Whether `prune` would remove anything."""
    values = {"before_ms": before_ms, "kept": max(1, kept), "most": 1}
    if connection.execute(select(_events.c.seq).where(*_OLD_EVENTS), values).first():
        return True
    return connection.execute(select(_received).where(_received < before_ms).limit(1)).first() is not None


def prune(connection: Connection, before_ms: int, kept: int, most: int) -> bool:
    """Remove events and receipts from before this time, the oldest first, about `most` of each. So many events are
    `kept` however old they are, the last one always. Returns whether there may be more."""
    values = {"before_ms": before_ms, "kept": max(1, kept), "most": most}
    events = connection.execute(delete(_events).where(*_OLD_EVENTS), values).rowcount
    following = _NEXT.scalars(connection, values)
    until = following[0] + 1 if following else before_ms  # many may have the same time
    receipts = connection.execute(delete(_receipts).where(_received < until)).rowcount
    return max(events, receipts) >= most


# ---------------------------------------------------------------------------------------------- single values

_BACKFILL = RowMapper(BackfillState, BackfillRow)
_meta = table(MetaRow)
_SETTING = Prepared(select(_meta.c.value).where(_meta.c.key == bindparam("key")))
_SAVE_SETTING = Prepared(upsert(MetaRow))
_THE_BACKFILL = Prepared(select(*_BACKFILL.columns))
_SAVE_BACKFILL = Prepared(upsert(BackfillRow))


def setting(connection: Connection, key: str) -> Any:
    """A single value by its key, None if there is none."""
    return next(iter(_SETTING.scalars(connection, {"key": key})), None)


def save_setting(connection: Connection, key: str, value: Any) -> None:
    """Record a single value, in place of an earlier one."""
    _SAVE_SETTING.run(connection, {"key": key, "value": value})


def names_stamp(connection: Connection) -> FileStamp | None:
    """The stamp of session_index.jsonl that the names in the rows were taken from."""
    value = setting(connection, _NAMES_STAMP)
    return None if value is None else FileStamp(**value)


def save_names_stamp(connection: Connection, stamp: FileStamp | None) -> None:
    save_setting(connection, _NAMES_STAMP, stamp)


def backfill(connection: Connection) -> BackfillState:
    """How far the index has been built."""
    row = _THE_BACKFILL.first(connection)
    return BackfillState() if row is None else _BACKFILL.value(row)


def claim_backfill(connection: Connection, owner: str, now_ms: int, lease_ms: int) -> bool:
    """Become the one worker, if nobody is or the lease has run out."""
    state = backfill(connection)
    if not claimable(state, now_ms, lease_ms):
        return False
    _save_backfill(connection, replace(state, status="running", owner=owner, updated_at_ms=now_ms))
    return True


def reopen_backfill(connection: Connection) -> None:
    """Make a completed backfill pending again."""
    if backfill(connection).status == "complete":
        _save_backfill(connection, BackfillState())


def checkpoint_backfill(connection: Connection, state: BackfillState) -> None:
    """Record progress, unless another worker has taken over."""
    if may_checkpoint(backfill(connection), state):
        _save_backfill(connection, state)


def _save_backfill(connection: Connection, state: BackfillState) -> None:
    _SAVE_BACKFILL.run(connection, {"id": 1, **_BACKFILL.values(state)})
