"""A thread that is archived, or brought back, while a verb reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.errors import DamagedRollout
from mcp_server.models.params import Caller, ReadParams, StartParams
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock, files_stores


class AwayAtTheFirstReads(RolloutFiles):
    """Rollouts that are elsewhere while they are opened, as often as asked, and back before anybody looks again."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.home, self.times_away = home, 0

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        self._open_elsewhere(rollout)
        return super().lines(rollout, start, end)

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self._open_elsewhere(rollout)
        return super().read(rollout, ranges)

    def _open_elsewhere(self, rollout: RolloutRef) -> None:
        if self.times_away:
            self.times_away -= 1
            here = self.home / rollout.path
            away = here.rename(here.with_suffix(".away"))
            try:
                super().read(rollout, [(0, 1)])
            finally:
                away.rename(here)


@pytest.fixture
def rollouts(tmp_path: Path) -> AwayAtTheFirstReads:
    return AwayAtTheFirstReads(tmp_path)


@pytest.fixture
def service(rollouts: AwayAtTheFirstReads) -> ThreadService:
    return ThreadService(
        files_stores(rollouts, MemoryLocks(), MemoryState()), defaults=Defaults(cwd="/work"), now_ms=clock()
    )


@pytest.fixture
def thread_id(service: ThreadService) -> str:
    caller = Caller(connection="client")
    thread_id = service.lifecycle.start(StartParams(), caller).thread.id
    service.turns.start(thread_id, [{"type": "text", "text": "here", "text_elements": []}])
    service.turns.complete(thread_id, "completed", None, None)
    return thread_id


def test_a_thread_that_was_moved_and_came_back_to_its_path_is_read(
    service: ThreadService, rollouts: AwayAtTheFirstReads, thread_id: str
) -> None:
    rollouts.times_away = 2
    read = service.reader.read(ReadParams(thread_id, True, "full"))

    assert rollouts.times_away == 0
    assert "here" in str(read)


def test_a_thread_that_never_comes_back_is_gone(
    service: ThreadService, rollouts: AwayAtTheFirstReads, thread_id: str
) -> None:
    rollouts.times_away = 1_000
    with pytest.raises(DamagedRollout, match="is gone"):
        service.reader.read(ReadParams(thread_id, True, "full"))
