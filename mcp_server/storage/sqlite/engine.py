"""SQLite under SQLAlchemy: connections, transactions, and how statements of both dialects are compiled for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, URL, Connection, Engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable
from sqlmodel import create_engine

from mcp_server.storage.sql.rows import from_json, to_json
from mcp_server.storage.sql.threads import WRITTEN
from mcp_server.storage.sqlite.bounds import STATE_BOUNDS

WAL_BYTES = 16 << 20
"""How long the WAL may be before `StateDb.tidy` checkpoints it."""


def connect(path: Path, busy_seconds: float = STATE_BOUNDS.busy_seconds) -> Engine:
    """An engine whose transactions begin with the statement in the execution option `begin`: with BEGIN if it is not
    set, with none if it is None."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_seconds},
        json_serializer=to_json,
        json_deserializer=from_json,
        enable_from_linting=False,  # it does not know the joins of `_Compiler`
    )
    engine.dialect.statement_compiler = _Compiler
    engine.dialect.colspecs = {**engine.dialect.colspecs, JSON: _Json}
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


_CREATE_WRITTEN = str(CreateTable(WRITTEN).compile(dialect=SQLiteDialect()))


class _Compiler(SQLiteCompiler):
    """We keep no statistics, so SQLite would guess. This compiler joins tables in the order in which they are written,
    and puts a hint (INDEXED BY) after the name of its table."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text

    def visit_join(self, join: Any, asfrom: bool = False, from_linter: Any = None, **kwargs: Any) -> str:
        left, right = (self.process(side, asfrom=True, **kwargs) for side in (join.left, join.right))
        way = "LEFT" if join.isouter else "CROSS"
        return f"{left} {way} JOIN {right} ON {self.process(join.onclause, **kwargs)}"


class _Json(sqlite.JSON):
    """Decodes a value in one call, where SQLAlchemy makes three: a page of threads has 150 such values."""

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        def process(value: Any) -> Any:
            # In a column of this type, SQLite turns a text that looks like a number into one.
            return from_json(value) if isinstance(value, str) else value

        return process


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself, least of all around DDL
    connection.execute("PRAGMA synchronous=NORMAL")
    # 64 MB. The commit that reaches it has to checkpoint the whole WAL; `StateDb.tidy` does so before.
    connection.execute("PRAGMA wal_autocheckpoint=16000")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(_CREATE_WRITTEN)


def _on_begin(connection: Connection) -> None:
    begin: str | None = connection.get_execution_options().get("begin", "BEGIN")
    if begin is not None:
        driver(connection).execute(begin)


@contextmanager
def plain_errors() -> Generator[None]:
    """Raise errors of the driver, and of the encoding of values, without SQLAlchemy's wrapper."""
    try:
        yield
    except StatementError as error:
        raise error if error.orig is None else error.orig from None


class Transactions:
    """Transactions on an engine, for several OS threads. Connections are kept from one transaction to the next, so that
    each takes 0.01 ms, instead of 0.05 ms with a connection from the pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(begin=None)
        # Last in, first out: each connection caches pages, and drops them once another connection has written.
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def begin(self, *, immediate: bool = False) -> Generator[Connection]:
        """A transaction that is committed at the end, or rolled back if the block raises. An `immediate` one takes the
        write lock as it begins. It has `plain_errors`."""
        with plain_errors():
            connection = self._taken()
            try:
                with connection.begin():
                    driver(connection).execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
                    yield connection
            except BaseException:
                connection.close()
                raise
        self._idle.append(connection)
        if self._closed:
            self.close()

    def _taken(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        return self._engine.connect()

    def close(self) -> None:
        """Give the connections back to the pool, those in use at the end of their transactions."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's connection below SQLAlchemy's."""
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, sqlite3.Connection)
    return driver_connection
