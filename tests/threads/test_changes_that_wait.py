"""A change that has no room in the state DB keeps no later one from being recorded."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mcp_server.errors import NotStorable, StoreFailure
from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.tags import MemoryTags
from mcp_server.sync.lookup import HomeFiles, IndexedFiles
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog
from tests.worlds import files_stores

ROW = StoredThread("good", "sessions/good.jsonl", FileStamp(1, 1), False, 1, 1, 1, preview="hello")


class Choosy(MemoryState):
    """Has no room for one thread."""

    def commit(self, change: Change) -> list[ThreadEvent]:
        if "bad" in {*(row.id for row in change.threads), *(event.thread_id for event in change.events)}:
            raise NotStorable("a number is too large")
        return super().commit(change)


def catalog(state: MemoryState | None) -> Catalog:
    stores = files_stores(MemoryRollouts(), MemoryLocks(), state)
    return Catalog(stores.rollouts, stores.lookup, memory=stores.memory, loaded=stores.loaded, tags=MemoryTags())


def test_a_row_that_can_not_be_recorded_costs_neither_the_rest_of_its_change_nor_later_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = Choosy()
    kept = catalog(state)
    kept.record(Change(threads=(replace(ROW, id="bad"), ROW), events=(notices.closed("good"),)))
    kept.record(Change(threads=(replace(ROW, id="bad"),)))
    events = (notices.closed("bad"), notices.closed("later"))
    kept.record(Change(threads=(replace(ROW, id="later"),), events=events))
    assert set(state.known_rollouts()) == {"good", "later"}
    assert [event.thread_id for event in state.events_after(0, limit=9)] == ["good", "later"]
    assert "Could not record a change of bad" in caplog.text


def test_a_state_db_is_attached_though_it_refuses_one_of_the_waiting_changes() -> None:
    state = Choosy()
    kept = catalog(None)
    kept.record(Change(events=(notices.closed("bad"), notices.closed("good"))))
    kept.attach(IndexedFiles(HomeFiles(MemoryRollouts()), state))
    assert kept.log is state
    assert [event.thread_id for event in state.events_after(0, limit=9)] == ["good"]


def test_changes_that_a_failing_database_refuses_wait_in_order() -> None:
    class Full(MemoryState):
        full = True

        def commit(self, change: Change) -> list[ThreadEvent]:
            if self.full:
                raise StoreFailure("the disk is full")
            return super().commit(change)

    state = Full()
    kept = catalog(state)
    for key in ("one", "two"):
        kept.record(Change(threads=(replace(ROW, id=key),)))
    state.full = False
    kept.record(Change(events=(notices.closed("three"),)))
    assert set(state.known_rollouts()) == {"one", "two"}
