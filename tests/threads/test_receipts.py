"""Receipts while the state DB fails, and before it is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_server.errors import WriteFailed
from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change, Receipt
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.worlds import attach, clock, files_stores

CLAIM = Receipt("client", "connection", "r", "turn_append", "f", "1:worker", at_ms=100)
DONE = replace(CLAIM, result={"done": True})


class Stubborn(MemoryState):
    """Takes nothing while it is full."""

    full = False

    def commit(self, change: Change) -> list[ThreadEvent]:
        self._check()
        return super().commit(change)

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        self._check()
        return super().claim(claim, abandoned)

    def _check(self) -> None:
        if self.full:
            raise WriteFailed("the receipt", "the disk is full")


@pytest.fixture
def state() -> Stubborn:
    return Stubborn()


@pytest.fixture
def service(state: Stubborn) -> ThreadService:
    stores = files_stores(MemoryRollouts(), MemoryLocks(), state)
    return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=clock())


def test_an_outcome_that_can_not_be_written_is_known_all_the_same_and_written_later(
    state: Stubborn, service: ThreadService
) -> None:
    receipts = service.receipts
    assert receipts.claim(CLAIM, None) == CLAIM
    state.full = True
    receipts.settle(DONE)
    assert receipts.find("client", "r") == [DONE]
    assert state.receipts("client", "r") == [CLAIM]
    state.full = False
    service.catalog.record(Change())  # the next change
    assert state.receipts("client", "r") == [DONE]


def test_a_claim_that_can_not_be_taken_back_yet_stands_in_nobodys_way(state: Stubborn, service: ThreadService) -> None:
    receipts = service.receipts
    receipts.claim(CLAIM, None)
    state.full = True
    receipts.settle(CLAIM)
    assert receipts.find("client", "r") == []
    state.full = False
    again = replace(CLAIM, at_ms=200)
    assert receipts.claim(again, None) == again
    assert receipts.find("client", "r") == [again]
    service.catalog.record(Change())  # the next change
    assert state.receipts("client", "r") == [again]


def test_a_claim_that_can_not_be_written_is_refused(state: Stubborn, service: ThreadService) -> None:
    state.full = True
    with pytest.raises(WriteFailed):
        service.receipts.claim(CLAIM, None)
    state.full = False
    assert service.receipts.find("client", "r") == []


def test_a_receipt_from_before_the_state_db_was_open_is_found_after(state: Stubborn) -> None:
    rollouts = MemoryRollouts()
    service = ThreadService(files_stores(rollouts, MemoryLocks(), None), defaults=Defaults(cwd="/work"), now_ms=clock())
    service.receipts.claim(CLAIM, None)
    service.receipts.settle(DONE)
    attach(service, rollouts, state)
    assert service.receipts.find("client", "r") == [DONE]
