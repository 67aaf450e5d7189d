"""The state DB is taken over while the server works: what happens meanwhile is in its rows and its log."""

from __future__ import annotations

from collections.abc import Callable

from mcp_server.models.event import ThreadEvent
from mcp_server.models.params import Caller, StartParams
from mcp_server.models.records import Change
from mcp_server.models.thread import StoredThread
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.service import Stores, ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import clock


class Busy(MemoryState):
    """Something else is done while it takes its first change."""

    meanwhile: Callable[[], object] | None = None
    looking: Callable[[], object] | None = None

    def get(self, thread_id: str) -> StoredThread | None:
        if self.looking is not None:
            self.looking()
            self.looking = None
        return super().get(thread_id)

    def commit(self, change: Change) -> list[ThreadEvent]:
        events = super().commit(change)
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            work()
        return events


def written() -> tuple[ThreadService, str]:
    """A thread of a server that has no state DB yet."""
    stores = Stores(MemoryRollouts(), MemoryLocks(), None, MemoryState(), MemoryRollouts)
    service = ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=clock())
    thread_id = (service.lifecycle.start(StartParams(), Caller(connection="c"))).thread.id
    service.turns.start(thread_id, [{"type": "text", "text": "question", "text_elements": []}])
    return service, thread_id


def check(service: ThreadService, state: MemoryState, thread_id: str) -> None:
    row = state.get(thread_id)
    assert row is not None
    assert row.archived
    told = [event.type for event in state.events_after(0, limit=100)]
    assert told.count("thread/archived") == 1
    assert service.catalog.state is state


def test_an_archive_within_the_change_over_is_handed_on() -> None:
    service, thread_id = written()
    state = Busy()
    state.meanwhile = lambda: service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    service.catalog.attach(state)
    check(service, state, thread_id)


def test_a_row_that_an_archive_has_made_stale_is_right_before_it_is_seen() -> None:
    service, thread_id = written()
    state = Busy()
    state.commit(Change(threads=(service.catalog.known(thread_id),)))
    service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    seen: list[bool] = []

    def look() -> None:
        seen.append(service.catalog.state is None)

    state.looking = look
    service.catalog.attach(state)
    assert seen
    assert all(seen)
    check(service, state, thread_id)
