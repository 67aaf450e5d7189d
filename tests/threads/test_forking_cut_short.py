"""A caller who goes away while a fork is copied: nothing of the fork stays."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable

import anyio
import pytest

from mcp_server.models.params import Caller, ForkParams, StartParams
from mcp_server.models.thread import FileStamp
from mcp_server.stores.memory_rollouts import MemoryLocks, MemoryRollouts
from mcp_server.stores.memory_state import MemoryState
from mcp_server.threads.events import EventFeed
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock

pytestmark = pytest.mark.anyio

CLIENT = Caller(connection="c")


class SlowDisk(MemoryRollouts):
    """Takes a part, tells so, and is never done with it."""

    def __init__(self, taking: Callable[[], None]) -> None:
        super().__init__()
        self._taking = taking

    async def create_from(self, path: str, parts: AsyncIterable[bytes]) -> FileStamp:
        async for _ in parts:
            self._taking()
            await anyio.sleep_forever()
        raise AssertionError("a fork has parts")


async def test_a_fork_whose_caller_goes_away_is_not_loaded_and_not_locked() -> None:
    scope = anyio.CancelScope()
    rollouts, locks = SlowDisk(scope.cancel), MemoryLocks()
    stores = Stores(rollouts, locks, MemoryState(), MemoryState(), MemoryRollouts)
    service = ThreadService(stores, EventFeed(), defaults=Defaults(cwd="/work"), now_ms=clock())
    source = (await service.lifecycle.start(StartParams(), CLIENT)).thread.id
    await service.turns.start(source, [{"type": "text", "text": "question", "text_elements": []}])
    with scope:
        await service.lifecycle.fork(ForkParams(thread_id=source), CLIENT)
    assert scope.cancelled_caught
    assert service.live.ids() == [source]
    assert locks.held() == {source}
    assert [file.path for file in await rollouts.files()] == [service.live.require(source).thread.path]
