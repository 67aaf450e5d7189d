"""What is committed to the state DB, all of it or nothing, and how long that waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlmodel import Session, insert, select

from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change
from mcp_server.storage.memory import index as memory_state
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.sql.tables import MetaRow
from mcp_server.storage.sqlite import schema
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.sqlite.engine import WAL_BYTES
from mcp_server.storage.sqlite.failure import retried
from tests.stores.databases import THREAD, run_sql
from tests.together import together


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite")) as db:
        yield db


def wal_bytes(db: StateDb) -> int:
    wal = schema.wal_stamp(db.path)
    return wal.size if wal else 0


def test_tidying_a_long_wal_checkpoints_it_without_a_commit_that_waits(db: StateDb) -> None:
    def file_bytes() -> int:
        return db.path.stat().st_size

    small, before = ThreadEvent("thread/closed", "a"), file_bytes()
    db.commit(Change(events=(small,)))
    db.tidy()
    assert file_bytes() == before  # it is not worth the while yet
    long = ThreadEvent("thread/closed", "a", {"text": "x" * (WAL_BYTES * 2)})
    db.commit(Change(events=(long,)))
    assert file_bytes() == before
    assert wal_bytes(db) > WAL_BYTES
    with Session(db._engine) as reader:  # pyright: ignore[reportPrivateUsage]
        reader.connection().execute(text("SELECT count(*) FROM events"))
        db.tidy()
    assert file_bytes() > WAL_BYTES
    db.commit(Change(events=(small,)))
    assert wal_bytes(db) <= WAL_BYTES
    assert [event.seq for event in db.events_after(0, limit=9)] == [1, 2, 3]


def test_what_raises_in_a_transaction_rolls_all_of_it_back(db: StateDb) -> None:
    def fail() -> None:
        with db.transaction() as connection:
            connection.execute(insert(MetaRow), {"key": "k", "value": "v"})
            assert connection.scalars(select(MetaRow.key)).all() == ["k"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with db.transaction() as connection:
        assert connection.scalars(select(MetaRow.key)).all() == []
        connection.execute(insert(MetaRow), {"key": "k", "value": "v"})
    assert run_sql(db.path, "SELECT key, value FROM meta") == [("k", '"v"')]


def test_a_change_that_fails_at_its_end_leaves_nothing_behind(db: StateDb) -> None:
    unwritable = ThreadEvent("thread/closed", "a", {"not JSON": object()})
    with pytest.raises(TypeError):
        db.commit(Change(threads=(THREAD,), tombstones=("b",), events=(unwritable,)))
    assert db.get("a") is None
    assert db.deleted(["b"]) == frozenset()
    assert db.last_seq() == 0


def test_a_transaction_keeps_other_writers_out_and_readers_see_what_was_before(db: StateDb) -> None:
    with db.transaction() as connection:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            run_sql(db.path, "PRAGMA busy_timeout=0", "BEGIN IMMEDIATE")
        connection.execute(insert(MetaRow), {"key": "k", "value": 1})
        assert db.read(lambda reader: reader.scalars(select(MetaRow.key)).all()) == []
    assert db.read(lambda reader: reader.scalars(select(MetaRow.key)).all()) == ["k"]


def test_what_two_processes_observe_at_once_is_announced_once(db: StateDb) -> None:
    seen = tuple(replace(THREAD, id=f"{number:02}") for number in range(20))
    with closing(StateDb.open(db.path)) as other:
        together(*(partial(handle.commit, Change(observed=seen)) for handle in (db, other) * 3))
    events = db.events_after(0, limit=99)
    assert [(event.type, event.thread_id) for event in events] == [("thread/started", row.id) for row in seen]


def test_a_locked_database_is_tried_again_within_the_bound() -> None:
    def busy() -> sqlite3.OperationalError:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        return error

    answers: list[Exception | str] = [busy(), busy(), "done"]

    def attempt() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retried(attempt, 5) == "done"
    answers = [busy(), "never reached"]
    with pytest.raises(sqlite3.OperationalError):
        retried(attempt, 0)
    answers = [sqlite3.OperationalError("no such table"), "never reached"]
    with pytest.raises(sqlite3.OperationalError):
        retried(attempt, 5)


def test_at_the_bound_the_memory_store_drops_the_oldest_events() -> None:
    state = MemoryState()
    events = (ThreadEvent("thread/closed", "a"),) * (memory_state.EVENT_LIMIT + 2)
    state.commit(Change(events=events))
    assert [event.seq for event in state.events_after(0, limit=2)] == [3, 4]
    assert state.last_seq() == memory_state.EVENT_LIMIT + 2
