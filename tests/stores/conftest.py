"""The state stores that pass the same tests. A third one is one more line in `STATES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.sqlite.database import StateDb


def _memory(folder: Path, stack: ExitStack) -> StateStore:
    return MemoryState()


def _sqlite(folder: Path, stack: ExitStack) -> StateStore:
    db = StateDb.open(folder / "threadstore.sqlite")
    stack.callback(db.close)
    return db


STATES = {"memory": _memory, "sqlite": _sqlite}


@pytest.fixture(params=STATES)
def new_state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], StateStore]]:
    """Opens one empty store after the other."""
    folders = (tmp_path / str(number) for number in count())
    with ExitStack() as stack:
        yield lambda: STATES[request.param](next(folders), stack)


@pytest.fixture
def state(new_state: Callable[[], StateStore]) -> StateStore:
    return new_state()
