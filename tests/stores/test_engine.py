"""Transactions on an engine of SQLite: one state from beginning to end, all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from mcp_server.storage.sql.rows import table
from mcp_server.storage.sql.tables import MetaRow, MoveRow
from mcp_server.storage.sqlite import schema
from mcp_server.storage.sqlite.bounds import STATE_BOUNDS
from mcp_server.storage.sqlite.engine import Transactions, connect
from tests.stores.databases import run_sql

meta = table(MetaRow)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    schema.open_file(tmp_path / "threadstore.sqlite", STATE_BOUNDS)[0].dispose()
    return tmp_path / "threadstore.sqlite"


@pytest.fixture
def transactions(path: Path) -> Iterator[Transactions]:
    engine = connect(path)
    with closing(Transactions(engine)) as transactions:
        yield transactions
    engine.dispose()


def put(connection: Connection, key: str, value: str) -> None:
    connection.execute(insert(meta), {"key": key, "value": value})


def keys(connection: Connection) -> list[str]:
    return list(connection.scalars(select(meta.c.key)))


def test_a_reader_sees_one_state_and_keeps_no_lock(path: Path, transactions: Transactions) -> None:
    with transactions.begin() as reader:
        assert keys(reader) == []
        run_sql(path, """INSERT INTO meta VALUES ('k', '"v"')""")
        assert keys(reader) == []
    assert run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]  # 0: nobody was in the way


def test_a_block_that_raises_leaves_nothing_and_its_connection_is_used_again(
    path: Path, transactions: Transactions
) -> None:
    with pytest.raises(ZeroDivisionError), transactions.begin(immediate=True) as connection:  # noqa: PT012
        put(connection, "k", "v")
        raise ZeroDivisionError
    assert run_sql(path, "SELECT * FROM meta") == []
    with transactions.begin(immediate=True) as connection:
        put(connection, "k", "v")
    assert run_sql(path, "SELECT key FROM meta") == [("k",)]


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_works(path: Path, transactions: Transactions) -> None:
    with pytest.raises(sqlite3.IntegrityError), transactions.begin(immediate=True) as connection:  # noqa: PT012
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        orphan = {"operation_id": "no operation", "position": 0, "thread_id": "a", "path": "a"}
        connection.execute(insert(table(MoveRow)), orphan)
    assert run_sql(path, "SELECT * FROM operation_moves") == []
    with transactions.begin(immediate=True) as connection:
        put(connection, "k", "v")
    assert run_sql(path, "SELECT key FROM meta") == [("k",)]


@pytest.mark.parametrize("value", ["text", {"a": [1, 2.5, None, True]}, [1 << 64, float("nan"), "\ud800"]])
def test_a_json_column_gives_back_what_was_put_into_it(transactions: Transactions, value: object) -> None:
    with transactions.begin(immediate=True) as connection:
        connection.execute(insert(meta), {"key": "k", "value": value})
        assert repr(connection.scalar(select(meta.c.value))) == repr(value)


def test_a_value_that_is_no_json_raises_as_its_encoding_does(transactions: Transactions) -> None:
    with pytest.raises(TypeError), transactions.begin(immediate=True) as connection:
        connection.execute(insert(meta), {"key": "k", "value": object()})


def test_what_the_driver_raises_comes_as_the_driver_raised_it(transactions: Transactions) -> None:
    with (
        pytest.raises(sqlite3.OperationalError, match="no such table"),
        transactions.begin(immediate=True) as connection,
    ):
        connection.execute(text("SELECT * FROM nowhere"))
