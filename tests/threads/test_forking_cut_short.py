"""A fork cut short, by a caller who goes away or a disk that fails: nothing of it stays, or it is stored whole and held
by nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import DamagedRollout, StoreFailure, WriteFailed
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.params import Caller, ForkParams, StartParams
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock, files_stores

CLIENT = Caller()

Pass = Callable[[str], None]


class Files(RolloutFiles):
    def __init__(self, home: Path, pass_: Pass) -> None:
        super().__init__(home)
        self._pass = pass_

    @contextmanager
    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> Generator[Callable[[], RolloutRef]]:
        def passed() -> Generator[bytes]:
            for part in parts:
                yield part
                self._pass("a part is copied")

        with super().drafted(rollout, passed()) as put:

            def put_and_pass() -> RolloutRef:
                written = put()
                self._pass("it has its name")
                return written

            yield put_and_pass


class State(MemoryState):
    def __init__(self, pass_: Pass) -> None:
        super().__init__()
        self._pass = pass_

    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        self._pass("its turns are read")
        return super().checkpoints(thread_ids)


class Broken(Files):
    """Not even what was begun can be taken away."""

    def remove(self, rollout: RolloutRef, dry_run: bool = False) -> None:
        raise WriteFailed(rollout.path, "the disk is gone")


@pytest.mark.parametrize("moment", ["a part is copied", "it has its name", "its turns are read"])
def test_a_fork_that_fails_is_held_by_nobody_even_where_it_can_not_be_taken_away(tmp_path: Path, moment: str) -> None:
    def fail(here: str) -> None:
        if here == moment and forking:
            raise DamagedRollout("rollout", "can't be read")

    forking = False
    locks = MemoryLocks()
    stores = files_stores(Broken(tmp_path, fail), locks, State(fail))
    service = ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=clock())
    source = (service.lifecycle.start(StartParams(), CLIENT)).thread.id
    service.turns.start(source, [{"type": "text", "text": "question", "text_elements": []}])
    forking = True
    with pytest.raises(StoreFailure):
        service.lifecycle.fork(ForkParams(source), CLIENT)
    assert (service.loaded.ids(), locks.held()) == ([source], {source})
