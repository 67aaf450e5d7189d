"""A disk that fails, under stores whose callers try again.

A contract says of most calls that they are whole or leave nothing. So a call that failed may be repeated, and must then
do what it would have done at first. Here each call is repeated until it gets through: the n-th try fails at its n-th
write to the disk, or statement to the database. What holds on such a disk holds whatever failed calls leave behind.
"""

from __future__ import annotations

import errno
import inspect
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import Engine, event

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.files import RolloutRef
from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import RolloutStore

T = TypeVar("T")

_WRITES = ("write", "fsync", "link", "rename", "replace", "unlink", "utime", "mkdir")
# What no disk is asked for.
_QUICK = {"path_of", "absolute", "held"}


class FailingDisk:
    """Fails writes of one thread, while it is told to."""

    def __init__(self) -> None:
        self._here = threading.local()
        """`left`: how many writes of this thread until one fails; 0 for none."""
        self.failures = 0

    @classmethod
    @contextmanager
    def installed(cls) -> Generator[FailingDisk]:
        """Under all stores that are used within."""
        disk = cls()
        factory = _failing_connection(disk)

        def on_connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
            options["factory"] = factory

        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            for name in _WRITES:
                patch.setattr(os, name, disk._failing(getattr(os, name)))
            event.listen(Engine, "do_connect", on_connect)
            stack.callback(event.remove, Engine, "do_connect", on_connect)
            yield disk

    def under(self, contract: type[T], store: T) -> T:
        """The same store, each call to which is repeated until it gets through."""
        return cast("T", _Repeating(contract, store, self))

    def repeated(self, call: Callable[[], T]) -> T:
        """Let the n-th try fail at its n-th write, until one makes fewer."""
        for number in count(1):
            self._here.left = number
            try:
                result = call()
                if self._here.left or not _has_failed(result):
                    return result
            except StoreFailure:
                if self._here.left:
                    raise
            finally:
                self._here.left = 0
        raise AssertionError

    def is_due(self) -> bool:
        """Whether this write is to fail."""
        left = getattr(self._here, "left", 0)
        self._here.left = max(0, left - 1)
        self.failures += left == 1
        return left == 1

    def _failing(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_due():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return write(*args, **kwargs)

        return call


def _failing_connection(disk: FailingDisk) -> type[sqlite3.Connection]:
    def check() -> None:
        if disk.is_due():
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    class Cursor(sqlite3.Cursor):
        def execute(self, *args: Any) -> sqlite3.Cursor:
            check()
            return super().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            check()
            return super().executemany(*args)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, *args: Any) -> sqlite3.Cursor:
            return self.cursor().execute(*args)

        def executemany(self, *args: Any) -> sqlite3.Cursor:
            return self.cursor().executemany(*args)

        def commit(self) -> None:
            check()
            super().commit()

    return Connection


def _has_failed(result: object) -> bool:
    """Of a call for many files, what fails for one of them stands in its place."""
    return isinstance(result, list) and any(isinstance(one, StoreFailure) for one in cast("list[object]", result))


class _Repeating:
    def __init__(self, contract: type, store: Any, disk: FailingDisk) -> None:
        self._store, self._disk = store, disk
        if contract is RolloutStore:
            self.bounds: ReadingBounds = store.bounds
        for name, _ in inspect.getmembers(contract, inspect.isfunction):
            if not name.startswith("_") and not hasattr(_Repeating, name):
                method = getattr(store, name)
                setattr(self, name, method if name in _QUICK else self._repeated(method))

    def _repeated(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._disk.repeated(partial(method, *args, **kwargs))

        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from self._disk.repeated(lambda: list(method(*args, **kwargs)))

        return stream if inspect.isgeneratorfunction(method) else call

    @contextmanager
    def snapshot(self) -> Generator[None]:
        with ExitStack() as stack:
            self._disk.repeated(lambda: stack.enter_context(self._store.snapshot()))
            yield

    @contextmanager
    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> Generator[Callable[[], RolloutRef]]:
        """Whoever can't make a draft a rollout begins with another draft."""
        come: list[bytes] = []

        def all_parts() -> Generator[bytes]:
            yield from come
            for part in parts:
                come.append(part)
                yield part

        def anew() -> RolloutRef:
            with self._store.drafted(rollout, all_parts()) as put:
                return put()

        with ExitStack() as stack:
            put = self._disk.repeated(lambda: stack.enter_context(self._store.drafted(rollout, all_parts())))
            ways = iter([put])
            yield lambda: self._disk.repeated(lambda: next(ways, anew)())

    @contextmanager
    def drafted_many(
        self, rollouts: Sequence[tuple[RolloutRef, Generator[bytes]]]
    ) -> Generator[Callable[[], list[RolloutRef]]]:
        """The same with several drafts."""
        whole = [(rollout, list(parts)) for rollout, parts in rollouts]

        def drafts() -> list[tuple[RolloutRef, Generator[bytes]]]:
            return [(rollout, (part for part in parts)) for rollout, parts in whole]

        def anew() -> list[RolloutRef]:
            with self._store.drafted_many(drafts()) as put:
                return put()

        with ExitStack() as stack:
            put = self._disk.repeated(lambda: stack.enter_context(self._store.drafted_many(drafts())))
            ways = iter([put])
            yield lambda: self._disk.repeated(lambda: next(ways, anew)())
