"""The homes that keep the contracts: each passes all tests of this package. One more is one more entry in `HOMES`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from mcp_server.storage.contracts import Leases, RolloutStore, StateStore
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.sqlite.database import StateDb
from tests.contract.failing_disk import FailingDisk


class Home(Protocol):
    """One home, empty at first. `rollouts` and `state` keep five of the contracts."""

    outlives_its_process: bool
    indexes_texts: bool
    """Whether `places` leaves out what surely doesn't hold the words."""
    takes_many_calls: bool
    """Whether thousands of calls end within the time that a test has."""

    @property
    def rollouts(self) -> RolloutStore: ...

    @property
    def state(self) -> StateStore: ...

    def leases(self) -> Leases:
        """Those of one more process."""
        ...

    def reopen(self) -> None:
        """Close the stores, and open them as the next process does."""
        ...


class FilesHome:
    outlives_its_process = True
    indexes_texts = True
    takes_many_calls = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: StateDb | None = None
        self.rollouts: RolloutStore = RolloutFiles(folder)

    @property
    def state(self) -> StateStore:
        if self._state is None:
            self._state = StateDb.open(self._folder / "threadstore.sqlite")
        return self._state

    def leases(self) -> Leases:
        return CodexWriterLocks(self._folder)

    def reopen(self) -> None:
        self.close()
        self.rollouts = RolloutFiles(self._folder)

    def close(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            state.close()


class MemoryHome:
    outlives_its_process = False
    indexes_texts = False
    takes_many_calls = True

    def __init__(self) -> None:
        self.rollouts: RolloutStore = MemoryRollouts()
        self.state: StateStore = MemoryState()
        self._registry: dict[str, tuple[MemoryLocks, int]] = {}

    def leases(self) -> Leases:
        return MemoryLocks(self._registry)

    def reopen(self) -> None:
        raise NotImplementedError("it ends with its process")


class HomeOnAFailingDisk:
    """Another home, every call to which fails at each write that it makes, and is repeated until it gets through."""

    takes_many_calls = False

    def __init__(self, home: Home, disk: FailingDisk) -> None:
        self._home, self._disk = home, disk
        self.outlives_its_process = home.outlives_its_process
        self.indexes_texts = home.indexes_texts

    @property
    def rollouts(self) -> RolloutStore:
        return self._disk.under(RolloutStore, self._home.rollouts)

    @property
    def state(self) -> StateStore:
        return self._disk.under(StateStore, self._home.state)

    def leases(self) -> Leases:
        return self._disk.under(Leases, self._home.leases())

    def reopen(self) -> None:
        self._home.reopen()


@contextmanager
def _files(folder: Path) -> Generator[Home]:
    home = FilesHome(folder)
    yield home
    home.close()


@contextmanager
def _memory(folder: Path) -> Generator[Home]:
    yield MemoryHome()


@contextmanager
def _failing_files(folder: Path) -> Generator[Home]:
    with FailingDisk.installed() as disk, _files(folder) as home:
        yield HomeOnAFailingDisk(home, disk)


HOMES: dict[str, Callable[[Path], AbstractContextManager[Home]]] = {
    "files": _files,
    "memory": _memory,
    "files on a failing disk": _failing_files,
}
