"""The state DB is taken over while the server works: what happens meanwhile is in its rows and its log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from mcp_server.codex.files import RolloutFile
from mcp_server.models.event import ThreadEvent
from mcp_server.models.params import Caller, StartParams
from mcp_server.models.records import Change
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import Look
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.event_feed import EventFeed
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock

pytestmark = pytest.mark.anyio


class Busy(MemoryState):
    """Something else is done while it takes its first change."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    looking: Callable[[], Awaitable[object]] | None = None

    async def get_with_file(self, thread_id: str, look: Look) -> tuple[StoredThread | None, RolloutFile | None]:
        if self.looking is not None:
            await self.looking()
            self.looking = None
        return await super().get_with_file(thread_id, look)

    async def commit(self, change: Change) -> list[ThreadEvent]:
        events = await super().commit(change)
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            await work()
        return events


async def written() -> tuple[ThreadService, str]:
    """A thread of a server that has no state DB yet."""
    stores = Stores(MemoryRollouts(), MemoryLocks(), None, MemoryState(), MemoryRollouts)
    service = ThreadService(stores, EventFeed(), defaults=Defaults(cwd="/work"), now_ms=clock())
    thread_id = (await service.lifecycle.start(StartParams(), Caller(connection="c"))).thread.id
    await service.turns.start(thread_id, [{"type": "text", "text": "question", "text_elements": []}])
    return service, thread_id


async def check(service: ThreadService, state: MemoryState, thread_id: str) -> None:
    row = await state.get(thread_id)
    assert row is not None
    assert row.archived
    told = [event.type for event in await state.events_after(0, limit=100)]
    assert told.count("thread/archived") == 1
    assert service.catalog.state is state


async def test_an_archive_within_the_change_over_is_handed_on() -> None:
    service, thread_id = await written()
    state = Busy()
    state.meanwhile = lambda: service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    await service.catalog.attach(state)
    await check(service, state, thread_id)


async def test_a_row_that_an_archive_has_made_stale_is_right_before_it_is_seen() -> None:
    service, thread_id = await written()
    state = Busy()
    await state.commit(Change(threads=(await service.catalog.known(thread_id),)))
    await service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    seen: list[bool] = []

    async def look() -> None:
        seen.append(service.catalog.state is None)

    state.looking = look
    await service.catalog.attach(state)
    assert seen
    assert all(seen)
    await check(service, state, thread_id)
