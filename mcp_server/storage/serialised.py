"""Makes methods run one at a time: for objects that several OS threads share, and whose state is a few dicts."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

C = TypeVar("C", bound=type)
P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


class _Lock(AbstractContextManager[None]):
    """Reentrant. A deep copy of its object gets one of its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __deepcopy__(self, _: dict[int, Any]) -> _Lock:
        return _Lock()


def whole(owner: object) -> AbstractContextManager[None]:
    """Hold the object's lock: meanwhile no other OS thread runs a serialised method of it."""
    return owner.__dict__.setdefault("_one_at_a_time", _Lock())


def one_at_a_time(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Make a method run alone among all such methods of its object. It may call others of them."""

    @wraps(method)
    def alone(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        with whole(self):
            return method(self, *args, **kwargs)

    return alone


def serialised(cls: C) -> C:
    """Make all public methods of a class run one at a time, except generators: their body runs after the call."""
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        if not inspect.isgeneratorfunction(inspect.unwrap(method)):
            setattr(cls, name, one_at_a_time(method))
    return cls
