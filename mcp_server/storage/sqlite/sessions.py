"""Sessions that are kept from one transaction to the next.

A new one takes a connection of the pool, and writes the beginning and the end of its transaction into SQLAlchemy's
books: longer than most looks into the database. Here a transaction begins and ends in SQLite alone.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal

from sqlalchemy import Engine
from sqlmodel import Session

from mcp_server.storage.sqlite.statements import driver

Begin = Literal["BEGIN", "BEGIN IMMEDIATE"]


class Sessions:
    """As many sessions as are used at the same time, each on a connection of the engine's pool, which must not begin
    transactions itself. May be used by several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Last in, first out: each connection keeps pages of its own, and drops them where another has written.
        self._idle: list[Session] = []
        self._closed = False

    @contextmanager
    def transaction(self, begin: Begin) -> Generator[Session]:
        """A transaction of SQLite: committed at the end, or rolled back if the block raises. An immediate one takes the
        write lock as it begins, so that what it reads can't change before it writes."""
        session = self._taken()
        try:
            connection = driver(session)
            connection.execute(begin)
            yield session
            session.flush()
            connection.execute("COMMIT")
            session.expunge_all()  # what it holds may be another's by the next time
        except BaseException:
            session.close()  # the pool rolls back what is not committed
            raise
        self._idle.append(session)
        if self._closed:
            self.close()

    def _taken(self) -> Session:
        with suppress(IndexError):
            return self._idle.pop()
        return Session(self._engine)

    def close(self) -> None:
        """Give all connections back, and those that are in use as they come to their end."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
