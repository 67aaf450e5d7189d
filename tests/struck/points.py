"""The places at which a process is struck: every store call, every durable step of the files, every SQL statement.

Lives in a process of its own, which ends with the strike or soon after: what is patched here is patched for good.
"""

from __future__ import annotations

import errno
import functools
import inspect
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import dbapi2
from typing import Any, Literal

from mcp_server.storage.contracts import Leases, RolloutStore, StateStore
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.sqlite.database import StateDb

Kind = Literal["call", "step", "half", "statement"]

Strike = Callable[[int, Kind, str], None]
"""Told the number of the point (1 is the first), its kind and its name."""

_STORES = ((RolloutFiles, RolloutStore), (StateDb, StateStore), (CodexWriterLocks, Leases))
_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime"}
_WRITES = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE", "COMMIT")
_SQLITE_SAYS = {
    "ENOSPC": "database or disk is full",
    "EIO": "disk I/O error",
    "EACCES": "attempt to write a readonly database",
    "EROFS": "attempt to write a readonly database",
}

real_write, real_connect = os.write, sqlite3.connect


class Points:
    """Counts the points that are reached while armed, and tells `strike` of each."""

    def __init__(self, home: Path) -> None:
        self._home = f"{home}{os.sep}"
        self._lock = threading.Lock()
        self.reached = self.statements = self.calls = 0
        self.armed = False
        self._strike: Strike | None = None

    def reach(self, kind: Kind, name: str) -> None:
        if not self.armed or self._strike is None:
            return
        with self._lock:
            self.reached += 1
            self.statements += kind == "statement"
            self.calls += kind == "call"
            number = self.reached
        self._strike(number, kind, name)

    def install(self, strike: Strike) -> None:
        self._strike = strike
        for store, contract in _STORES:
            for name, _ in inspect.getmembers(contract, inspect.isfunction):
                if not name.startswith("_"):
                    setattr(store, name, self._around(name, getattr(store, name)))
        os.write, os.fsync = self._write, self._before_sync(os.fsync)
        sys.addaudithook(self._audit)
        dbapi2.connect = sqlite3.connect = self._connect  # the one that SQLAlchemy takes, and our own

    def _around(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.reach("call", f"before {name}")
            result = method(*args, **kwargs)
            self.reach("call", f"after {name}")
            return result

        @functools.wraps(method)
        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            self.reach("call", f"before {name}")
            yield from method(*args, **kwargs)

        return stream if inspect.isgeneratorfunction(method) else call

    def _write(self, fd: int, data: Any, /) -> int:
        """Half of it, then a point: where a kernel that is stopped leaves a write."""
        half = len(data) // 2
        if not self.armed or not half:
            return real_write(fd, data)
        written = real_write(fd, data[:half])
        self.reach("half", "half of a write")
        return written + real_write(fd, data[half:])

    def _before_sync(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def before(fd: int) -> None:
            self.reach("step", "fsync")
            sync(fd)

        return before

    def _audit(self, step: str, args: tuple[Any, ...]) -> None:
        if not self.armed or step not in _STEPS:
            return
        if step == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else ""
        if step == "os.truncate" or (path.startswith(self._home) and ".sqlite" not in path):
            self.reach("step", step)

    def _connect(self, *args: Any, **options: Any) -> _Connection:
        connection = real_connect(*args, **options, factory=_Connection)
        connection.reach = self.reach
        return connection


class _Connection(sqlite3.Connection):
    """Tells of each statement that writes, and of the commit of a transaction that does."""

    reach: Callable[[Kind, str], None]
    _writes = False

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(_Cursor)

    def execute(self, statement: str, *values: Any) -> Any:
        return self.cursor().execute(statement, *values)

    def executemany(self, statement: str, *values: Any) -> Any:
        return self.cursor().executemany(statement, *values)

    def commit(self) -> None:
        self.tell("COMMIT")
        super().commit()

    def tell(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._writes = statement == "BEGIN IMMEDIATE"
        if self._writes and statement.startswith(_WRITES):
            self.reach("statement", " ".join(statement.split()[:3]))


class _Cursor(sqlite3.Cursor):
    def execute(self, statement: str, *values: Any) -> _Cursor:
        self._tell(statement)
        return super().execute(statement, *values)

    def executemany(self, statement: str, *values: Any) -> _Cursor:
        self._tell(statement)
        return super().executemany(statement, *values)

    def _tell(self, statement: str) -> None:
        if isinstance(self.connection, _Connection):
            self.connection.tell(statement)


class Disk:
    """A disk that fails from the n-th point on, with the error of that name, until it is mended."""

    def __init__(self, number: int, error: str) -> None:
        self._number, self._error = number, error
        self.failed = self.mended = False

    def strike(self, reached: int, kind: Kind, name: str) -> None:
        if self.mended or reached < self._number or kind == "call":
            return
        if self._error == "ENOSPC" and name in ("os.remove", "os.truncate", "os.utime", "fsync", "os.rmdir"):
            return  # needs no room
        self.failed = True
        if kind == "statement":
            raise sqlite3.OperationalError(_SQLITE_SAYS[self._error])
        number = int(getattr(errno, self._error))
        raise OSError(number, os.strerror(number))
