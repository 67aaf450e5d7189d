"""The disk that fails does so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change
from tests.contract.failing_disk import FailingDisk
from tests.contract.homes import FilesHome, Home, HomeOnAFailingDisk
from tests.stores.rollout_text import META, PATH_A, A

EVENT = Change(events=(ThreadEvent("thread/closed", "a"),))
CALLS: dict[str, tuple[Callable[[Home], object], int]] = {
    "create": (lambda home: home.rollouts.create(RolloutRef(PATH_A), META), 5),
    "commit": (lambda home: home.state.commit(EVENT), 3),
    "get": (lambda home: home.state.get("a"), 2),
    "acquire": (lambda home: home.leases().acquire([A]), 3),
}


@pytest.mark.parametrize(("call", "least"), CALLS.values(), ids=CALLS)
def test_a_call_fails_at_each_of_its_writes_and_statements(
    tmp_path: Path, call: Callable[[Home], object], least: int
) -> None:
    with FailingDisk.installed() as disk:
        files = FilesHome(tmp_path)
        call(HomeOnAFailingDisk(files, disk))
        files.close()
    assert disk.failures >= least
