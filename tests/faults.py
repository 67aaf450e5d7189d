"""Faults at store calls: stores that stop an operation at its n-th call, as a kill would, or fail it, or cancel it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from mcp_server.storage.codex_rows import CodexRows
from mcp_server.storage.contracts import Leases, RolloutStore, StateStore

T = TypeVar("T")

_CONTRACTS = (RolloutStore, StateStore, Leases, CodexRows)


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the program's own may swallow it."""


@dataclass
class Faults:
    """Counts the calls of all stores that it wraps; before the `at`-th (1 is the first; 0 never), or before one named
    `stop`, it raises what `error` gives. An `error` that gives None has done its own harm, and the call goes on."""

    at: int = 0
    error: Callable[[], BaseException | None] = Killed
    calls: list[str] = field(default_factory=list[str])
    raised: bool = False
    stop: str = ""

    def wrap(self, store: T) -> T:
        """The same store with the calls of its contract counted; it has nothing beside its contract."""
        (contract,) = (contract for contract in _CONTRACTS if contract in type(store).__mro__)
        return cast("T", _Counted(store, contract, self))

    def count(self, name: str) -> None:
        self.calls.append(name)
        if (len(self.calls) == self.at or name == self.stop) and (error := self.error()) is not None:
            self.raised = True
            raise error

    def counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, counted."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.count(name)
            return method(*args, **kwargs)

        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            self.count(name)
            yield from method(*args, **kwargs)

        @contextmanager
        def within(*args: Any, **kwargs: Any) -> Generator[Any]:
            self.count(name)
            with method(*args, **kwargs) as given:
                yield self.counted(f"{name}, given", given)

        plain = inspect.unwrap(method)
        if inspect.isgeneratorfunction(plain):
            return stream if plain is method else within
        return call


# What no disk is asked for.
_QUICK = {"path_of", "absolute", "held"}


class _Counted:
    def __init__(self, store: object, contract: type, faults: Faults) -> None:
        for name, _ in inspect.getmembers(contract, inspect.isfunction):
            if not name.startswith("_"):
                method = getattr(store, name)
                setattr(self, name, method if name in _QUICK else faults.counted(name, method))
        if contract is RolloutStore:
            self.bounds = cast("RolloutStore", store).bounds
