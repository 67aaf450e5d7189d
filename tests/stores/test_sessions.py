"""Sessions that are kept from one transaction to the next hold nothing over: no lock, no row, no change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlmodel import Session, select

from mcp_server.storage.sql.tables import MetaRow
from mcp_server.storage.sqlite import schema
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.sqlite.sessions import Sessions
from mcp_server.storage.sqlite.statements import driver, run
from tests.stores.databases import run_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    StateDb.open(tmp_path / "threadstore.sqlite").close()
    return tmp_path / "threadstore.sqlite"


@pytest.fixture
def sessions(path: Path) -> Iterator[Sessions]:
    engine = schema.connect(path)
    with closing(schema.sessions_of(engine)) as sessions:
        yield sessions
    engine.dispose()


def put(session: Session, key: str, value: str) -> None:
    session.merge(MetaRow(key=key, value=value))


def value_of(session: Session, key: str) -> str | None:
    row = session.get(MetaRow, key)
    return None if row is None else row.value


def test_one_session_serves_transactions_that_come_one_after_the_other(sessions: Sessions) -> None:
    with sessions.transaction("BEGIN IMMEDIATE") as first:
        put(first, "k", "v")
    with sessions.transaction("BEGIN") as second:
        assert second is first
        assert value_of(second, "k") == "v"


def test_what_waits_in_the_session_is_written_before_the_commit(path: Path, sessions: Sessions) -> None:
    with sessions.transaction("BEGIN IMMEDIATE") as session:
        session.add(MetaRow(key="k", value="v"))
    assert run_sql(path, "SELECT value FROM meta") == [('"v"',)]


def test_a_row_that_another_changed_meanwhile_is_read_anew(path: Path, sessions: Sessions) -> None:
    with sessions.transaction("BEGIN IMMEDIATE") as session:
        put(session, "k", "old")
        assert value_of(session, "k") == "old"
    run_sql(path, """UPDATE meta SET value = '"new"'""")
    with sessions.transaction("BEGIN") as session:
        assert value_of(session, "k") == "new"


def test_a_look_sees_one_state_and_keeps_no_lock(path: Path, sessions: Sessions) -> None:
    with sessions.transaction("BEGIN") as session:
        assert session.exec(select(MetaRow.key)).all() == []
        run_sql(path, """INSERT INTO meta VALUES ('k', '"v"')""")
        assert session.exec(select(MetaRow.key)).all() == []
    assert run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]  # 0: nobody was in the way


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE"])
def test_what_raises_is_rolled_back_and_its_session_not_used_again(
    path: Path, sessions: Sessions, begin: schema.Begin
) -> None:
    failed: list[Session] = []
    with pytest.raises(ZeroDivisionError), sessions.transaction(begin) as session:  # noqa: PT012
        failed.append(session)
        run(session, """INSERT INTO meta VALUES ('k', '"v"')""")
        session.add(MetaRow(key="l", value="v"))
        raise ZeroDivisionError
    assert run_sql(path, "SELECT * FROM meta") == []
    with sessions.transaction(begin) as session:
        assert session is not failed[0]
        assert value_of(session, "l") is None


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_works(path: Path, sessions: Sessions) -> None:
    with pytest.raises(sqlite3.IntegrityError), sessions.transaction("BEGIN IMMEDIATE") as session:  # noqa: PT012
        run(session, "PRAGMA defer_foreign_keys=ON")
        run(session, "INSERT INTO operation_moves VALUES ('no operation', 0, 'a', 'a')")
    assert run_sql(path, "SELECT * FROM operation_moves") == []
    with sessions.transaction("BEGIN IMMEDIATE") as session:
        put(session, "k", "v")
    assert run_sql(path, "SELECT key FROM meta") == [("k",)]


def test_those_at_the_same_time_have_sessions_of_their_own(sessions: Sessions) -> None:
    inside, done = Event(), Event()

    def hold() -> None:
        with sessions.transaction("BEGIN"):
            inside.set()
            done.wait()

    holder = Thread(target=hold)
    holder.start()
    inside.wait()
    with sessions.transaction("BEGIN IMMEDIATE") as session:
        put(session, "k", "v")
    done.set()
    holder.join()


def test_once_closed_each_connection_is_given_back_as_its_work_ends(path: Path, sessions: Sessions) -> None:
    with sessions.transaction("BEGIN") as session:
        connection = driver(session)
        sessions.close()
        assert session.exec(select(MetaRow.key)).all() == []
    assert not connection.in_transaction
    assert not session.in_transaction()
