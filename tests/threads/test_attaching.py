"""The state DB is taken over while the server works: what happens meanwhile is in its rows and its log."""

from __future__ import annotations

from collections.abc import Callable

from mcp_server.models.event import ThreadEvent
from mcp_server.models.params import Caller, StartParams
from mcp_server.models.records import Change
from mcp_server.models.thread import StoredThread
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import attach, clock, files_stores


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


def written(rollouts: MemoryRollouts) -> tuple[ThreadService, str]:
    """A thread of a server that has no state DB yet."""
    service = ThreadService(files_stores(rollouts, MemoryLocks(), None), defaults=Defaults(cwd="/work"), now_ms=clock())
    thread_id = (service.lifecycle.start(StartParams(), Caller(connection="c"))).thread.id
    service.turns.start(thread_id, [{"type": "text", "text": "question", "text_elements": []}])
    return service, thread_id


def check(service: ThreadService, state: MemoryState, thread_id: str) -> None:
    row = state.get(thread_id)
    assert row is not None
    assert row.archived
    told = [event.type for event in state.events_after(0, limit=100)]
    assert told.count("thread/archived") == 1
    assert service.catalog.log is state


def test_an_archive_during_the_attachment_of_a_state_db_reaches_it() -> None:
    rollouts = MemoryRollouts()
    service, thread_id = written(rollouts)
    state = Busy()
    state.meanwhile = lambda: service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    attach(service, rollouts, state)
    check(service, state, thread_id)


def test_a_stale_row_is_corrected_before_its_state_db_is_attached() -> None:
    rollouts = MemoryRollouts()
    service, thread_id = written(rollouts)
    state = Busy()
    state.commit(Change(threads=(service.catalog.known(thread_id),)))
    service.cascade.archive(thread_id, dry_run=False, interrupt_running=True)
    seen: list[bool] = []

    def look() -> None:
        seen.append(service.catalog.log is not state)

    state.looking = look
    attach(service, rollouts, state)
    assert seen
    assert all(seen)
    check(service, state, thread_id)
