"""Faults at store calls: a wrapper that stops an operation at its n-th call, as a kill would."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the program's own may swallow it."""


@dataclass
class Faults:
    """Counts the calls of all stores that it wraps, and raises before the `at`-th (1 is the first; 0 never)."""

    at: int = 0
    error: Callable[[], BaseException] = Killed
    calls: list[str] = field(default_factory=list[str])

    def wrap(self, store: T) -> T:
        """The same store, with its public methods counted."""
        return cast("T", _Wrapped(store, self))

    def count(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) == self.at:
            raise self.error()


class _Wrapped:
    def __init__(self, store: object, faults: Faults) -> None:
        self._store, self._faults = store, faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not inspect.iscoroutinefunction(value):
            return value

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._faults.count(name)
            return await value(*args, **kwargs)

        return counted
