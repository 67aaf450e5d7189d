"""What a verb writes is recorded with the receipt of its call, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from mcp_server.errors import TurnInProgress
from mcp_server.models.event import ThreadEvent
from mcp_server.models.params import Caller, GitField, GitPatch, StartParams, ThreadPatch
from mcp_server.models.records import Change, Receipt
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from mcp_server.threads.unit_of_work import receipt_of
from tests.worlds import clock, files_stores

PERSON = Caller(client_name="person", connection="person")


class Recording(MemoryState):
    """Keeps the changes that are committed."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def commit(self, change: Change) -> list[ThreadEvent]:
        self.changes.append(change)
        return super().commit(change)


@pytest.fixture
def state() -> Recording:
    return Recording()


@pytest.fixture
def service(state: Recording) -> ThreadService:
    stores = files_stores(MemoryRollouts(), MemoryLocks(), state)
    return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=clock())


@pytest.fixture
def thread_id(service: ThreadService) -> str:
    return service.lifecycle.start(StartParams(), PERSON).thread.id


@contextmanager
def a_call_with_a_request_id(make: Callable[[Any], Receipt]) -> Generator[None]:
    token = receipt_of.set(make)
    try:
        yield
    finally:
        receipt_of.reset(token)


def receipt(result: Any) -> Receipt:
    return Receipt("person", "person", "r", "tool", "f", "1:worker", at_ms=1, result={"kind": type(result).__name__})


Verb = Callable[[ThreadService, str], object]
BRANCH: dict[GitField, str | None] = {"branch": "b"}
VERBS: dict[str, tuple[Verb, str]] = {
    "turn_start": (lambda service, thread_id: service.turns.start(thread_id, text("go on")), "TurnResult"),
    "turn_append": (
        lambda service, thread_id: service.turns.append(thread_id, [{"type": "plan", "text": "a plan"}]),
        "AppendResult",
    ),
    "turn_complete": (
        lambda service, thread_id: service.turns.complete(thread_id, "completed", "done", None),
        "TurnResult",
    ),
    "thread_update": (
        lambda service, thread_id: service.metadata.update(thread_id, ThreadPatch("a name", GitPatch(BRANCH), ["tag"])),
        "ThreadResult",
    ),
    "thread_archive": (
        lambda service, thread_id: service.cascade.archive(thread_id, dry_run=False, interrupt_running=True),
        "ArchiveResult",
    ),
    "thread_delete": (
        lambda service, thread_id: service.cascade.delete(thread_id, dry_run=False, interrupt_running=True),
        "DeleteResult",
    ),
}


def text(words: str) -> Any:
    return [{"type": "text", "text": words, "text_elements": []}]


@pytest.mark.parametrize("tool", VERBS)
def test_a_receipt_is_recorded_with_the_last_change_of_its_verb(
    service: ThreadService, state: Recording, thread_id: str, tool: str
) -> None:
    verb, kind = VERBS[tool]
    service.turns.start(thread_id, text("hello"))
    if tool == "turn_start":
        service.turns.complete(thread_id, "completed", None, None)
    with a_call_with_a_request_id(receipt):
        verb(service, thread_id)
    change = state.changes[-1]
    assert [one.result for one in change.receipts] == [{"kind": kind}]
    assert change.threads or change.moved or change.forgotten
    assert sum(len(one.receipts) for one in state.changes) == 1


def test_a_receipt_that_can_not_be_made_keeps_no_turn_from_being_recorded(
    service: ThreadService, state: Recording, thread_id: str
) -> None:
    def fails(_: Any) -> Receipt:
        raise ValueError("no such schema")

    with a_call_with_a_request_id(fails):
        service.turns.start(thread_id, text("hello"))
    (change,) = (one for one in state.changes if one.threads)
    assert ([row.id for row in change.threads], change.receipts) == ([thread_id], ())


def test_a_verb_that_is_refused_records_nothing(service: ThreadService, state: Recording, thread_id: str) -> None:
    service.turns.start(thread_id, text("hello"))
    before = len(state.changes)
    with a_call_with_a_request_id(receipt), pytest.raises(TurnInProgress):
        service.turns.start(thread_id, text("and again"))
    assert len(state.changes) == before
