from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from mcp_server.storage.contracts import Leases, RolloutStore, StateStore
from tests.contract.homes import HOMES, Home


@pytest.fixture(params=HOMES)
def new_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Home]]:
    """Opens one empty home after the other."""
    folders = (tmp_path / f"home{number}" for number in count())
    with ExitStack() as stack:
        yield lambda: stack.enter_context(HOMES[request.param](next(folders)))


@pytest.fixture
def home(new_home: Callable[[], Home]) -> Home:
    return new_home()


@pytest.fixture
def store(home: Home) -> RolloutStore:
    """Its rollouts."""
    return home.rollouts


@pytest.fixture
def state(home: Home) -> StateStore:
    return home.state


@pytest.fixture
def new_state(new_home: Callable[[], Home]) -> Callable[[], StateStore]:
    return lambda: new_home().state


@pytest.fixture
def owner(home: Home) -> Callable[[], Leases]:
    """Makes one more owner of leases."""
    return home.leases
