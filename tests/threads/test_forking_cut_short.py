"""A fork cut short, by a caller who goes away or a disk that fails: nothing of it stays, or it is stored whole and held
by nobody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from mcp_server.errors import DamagedRollout, StoreFailure, WriteFailed
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.params import Caller, ForkParams, StartParams
from mcp_server.models.thread import FileStamp
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.event_feed import EventFeed
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock

pytestmark = pytest.mark.anyio

CLIENT = Caller()

Pass = Callable[[str], Awaitable[None]]


class Files(RolloutFiles):
    def __init__(self, home: Path, pass_: Pass) -> None:
        super().__init__(home)
        self._pass = pass_

    @asynccontextmanager
    async def drafted(
        self, path: str, parts: AsyncGenerator[bytes]
    ) -> AsyncGenerator[Callable[[], Awaitable[FileStamp]]]:
        async def passed() -> AsyncGenerator[bytes]:
            async for part in parts:
                yield part
                await self._pass("a part is copied")

        async with super().drafted(path, passed()) as put:

            async def put_and_pass() -> FileStamp:
                stamp = await put()
                await self._pass("it has its name")
                return stamp

            yield put_and_pass


class State(MemoryState):
    def __init__(self, pass_: Pass) -> None:
        super().__init__()
        self._pass = pass_

    async def marks(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        await self._pass("its turns are read")
        return await super().marks(thread_ids)


@pytest.mark.parametrize(
    ("moment", "stays"), [("a part is copied", False), ("it has its name", True), ("its turns are read", True)]
)
async def test_a_caller_who_goes_away_leaves_no_fork_loaded_or_half_made(
    tmp_path: Path, moment: str, stays: bool
) -> None:
    scope = anyio.CancelScope()
    passed: list[str] = []

    async def pass_(here: str) -> None:
        passed.append(here)
        if here == moment and forking:
            scope.cancel()
            await checkpoint()

    forking = False
    files, state, locks = Files(tmp_path, pass_), State(pass_), MemoryLocks()
    stores = Stores(files, locks, state, MemoryState(), MemoryRollouts)
    service = ThreadService(stores, EventFeed(), defaults=Defaults(cwd="/work"), now_ms=clock())
    source = (await service.lifecycle.start(StartParams(), CLIENT)).thread.id
    await service.turns.start(source, [{"type": "text", "text": "question", "text_elements": []}])
    forking = True
    with scope:
        await service.lifecycle.fork(ForkParams(source), CLIENT)
    assert scope.cancelled_caught
    assert moment in passed
    assert (service.live.ids(), locks.held()) == ([source], {source})
    found = [file.thread_id for file in await files.files() if file.thread_id != source]
    assert len([path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]) == 1 + stays
    assert len(found) == int(stays)
    rows = [await state.get(thread_id) for thread_id in found if thread_id]
    assert [row.forked_from_id for row in rows if row] == [source] * stays
    told = [event.type for event in await state.events_after(0, limit=100) if event.thread_id != source]
    assert told == ["thread/started", "thread/status/changed", "thread/closed"] * stays


class Broken(Files):
    """Not even what was begun can be taken away."""

    async def remove(self, path: str, dry_run: bool = False) -> None:
        raise WriteFailed(path, "the disk is gone")


@pytest.mark.parametrize("moment", ["a part is copied", "it has its name", "its turns are read"])
async def test_a_fork_that_fails_is_held_by_nobody_even_where_it_can_not_be_taken_away(
    tmp_path: Path, moment: str
) -> None:
    async def fail(here: str) -> None:
        if here == moment and forking:
            raise DamagedRollout("rollout", "can't be read")

    forking = False
    locks = MemoryLocks()
    stores = Stores(Broken(tmp_path, fail), locks, State(fail), MemoryState(), MemoryRollouts)
    service = ThreadService(stores, EventFeed(), defaults=Defaults(cwd="/work"), now_ms=clock())
    source = (await service.lifecycle.start(StartParams(), CLIENT)).thread.id
    await service.turns.start(source, [{"type": "text", "text": "question", "text_elements": []}])
    forking = True
    with pytest.raises(StoreFailure):
        await service.lifecycle.fork(ForkParams(source), CLIENT)
    assert (service.live.ids(), locks.held()) == ([source], {source})
