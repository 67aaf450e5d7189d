"""Verbs of one server side by side: 32 callers at once, switched between as often as the interpreter can.

No call may end in anything but an answer or a refusal, none may wait for ever, and nothing that was acknowledged may be
missing, doubled or out of order afterwards.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_server.config import Config
from mcp_server.errors import StoreFailure, ThreadstoreError
from mcp_server.models.params import (
    Caller,
    EventsParams,
    ForkParams,
    GitPatch,
    ItemsParams,
    ListParams,
    ReadParams,
    SearchParams,
    SettingsRequest,
    StartParams,
    ThreadFilter,
    ThreadPatch,
)
from mcp_server.models.records import Receipt
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync import doctor
from mcp_server.threads.service import ThreadService
from tests.together import together
from tests.worlds import clock, files_stores

CALLERS = 32
CALLS = 40
SHARED = 6


@pytest.fixture(autouse=True)
def switched_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@dataclass
class Told:
    """What the callers were answered."""

    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The texts of each thread, in the order in which they were acknowledged: one writer a thread at a time."""
    names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    forked: list[str] = field(default_factory=list[str])
    deleted: set[str] = field(default_factory=set[str])
    lock: threading.Lock = field(default_factory=threading.Lock)


class Person:
    """One caller: a connection of its own, threads of its own, and some that all share."""

    def __init__(self, service: ThreadService, number: int, shared: list[str], told: Told) -> None:
        self._service, self._told, self._shared = service, told, shared
        self._random = random.Random(number)
        self._caller = Caller(client_name="person", connection=f"connection {number}")
        self._mine: list[str] = []
        self._number, self._count = number, 0

    def live(self) -> None:
        verbs: list[Callable[[], Any]] = [
            *([self.start] * 2),
            *([self.turn] * 6),
            *([self.read] * 2),
            *(self.resume, self.rename, self.git, self.fork, self.archive, self.unarchive, self.leave, self.delete),
            *(self.list, self.search, self.items, self.tree, self.events, self.loaded, self.receipt, self.tidy),
        ]
        for _ in range(CALLS):
            try:
                self._random.choice(verbs)()
            except StoreFailure:
                raise  # the disk is well, so no store may fail
            except ThreadstoreError:
                pass  # another caller was faster

    def any(self) -> str:
        return self._random.choice([*self._shared, *self._mine])

    def text(self) -> str:
        self._count += 1
        return f"text {self._count} of {self._number}"

    # ------------------------------------------------------------------------------------------ what changes

    def start(self) -> None:
        parent = self.any() if self._random.random() < 0.5 else None
        params = StartParams(parent_thread_id=parent, name=f"of {self._number}")
        self._mine.append(self._service.lifecycle.start(params, self._caller).thread.id)

    def turn(self) -> None:
        """A whole exchange, in a thread of this caller's or in one that all write to."""
        thread_id, said, turns = self.any(), self.text(), self._service.turns
        turns.start(thread_id, [{"type": "text", "text": said, "text_elements": []}])
        with self._told.lock:  # nobody else can have a turn in it until this one is completed
            self._told.said.setdefault(thread_id, []).append(said)
        answer = self.text()
        turns.append(thread_id, [{"type": "agentMessage", "text": answer}])
        with self._told.lock:
            self._told.said[thread_id].append(answer)
        turns.complete(thread_id, "completed", None, None)

    def resume(self) -> None:
        self._service.lifecycle.resume(self.any(), SettingsRequest(), self._caller, 2)

    def rename(self) -> None:
        thread_id, name = self.any(), self.text()
        self._service.metadata.update(thread_id, ThreadPatch(name, tags=[name]))
        with self._told.lock:
            self._told.names.setdefault(thread_id, []).append(name)

    def git(self) -> None:
        self._service.metadata.update(self.any(), ThreadPatch(git=GitPatch({"branch": self.text()})))

    def fork(self) -> None:
        thread_id = self._service.lifecycle.fork(ForkParams(self.any()), self._caller).thread.id
        self._mine.append(thread_id)
        with self._told.lock:
            self._told.forked.append(thread_id)

    def archive(self) -> None:
        self._service.cascade.archive(self.any(), dry_run=self._random.random() < 0.3, interrupt_running=False)

    def unarchive(self) -> None:
        self._service.cascade.unarchive(self.any(), include="all")

    def leave(self) -> None:
        self._service.lifecycle.unsubscribe(self.any(), None, self._caller)

    def delete(self) -> None:
        if self._mine:
            receipt = self._service.cascade.delete(self._random.choice(self._mine), dry_run=False)
            with self._told.lock:
                self._told.deleted.update(receipt.deleted)

    def receipt(self) -> None:
        receipts = self._service.receipts
        claim = Receipt("person", "", self.text(), "turn_start", "print", "1:worker", 1)
        assert receipts.claim(claim, None) == claim
        receipts.settle(claim)
        assert receipts.find("person", claim.request_id) == []

    def tidy(self) -> None:
        self._service.run_housekeeping()

    # ------------------------------------------------------------------------------------------ what only looks

    def read(self) -> None:
        self._service.reader.read(ReadParams(self.any(), True, "full"))

    def items(self) -> None:
        self._service.reader.items(ItemsParams(self.any()))

    def list(self) -> None:
        self._service.reader.list(ListParams(filter=ThreadFilter(archived=self._random.random() < 0.3)))

    def search(self) -> None:
        self._service.searcher.search(SearchParams("text"))

    def tree(self) -> None:
        self._service.tree.show(self.any())

    def events(self) -> None:
        self._service.events.after(0, EventsParams(limit=50))

    def loaded(self) -> None:
        self._service.reader.loaded(None, 50)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_two_callers_of_all_verbs_meet_no_race_no_deadlock_and_no_lost_update(tmp_path: Path, seed: int) -> None:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite")) as state:
        rollouts, locks, told = RolloutFiles(tmp_path), CodexWriterLocks(tmp_path), Told()
        stores = files_stores(rollouts, locks, state)
        service = ThreadService(stores, defaults=Config.load(tmp_path).defaults, now_ms=clock())
        keeper = Caller(client_name="keeper", connection="keeper")
        shared = [service.lifecycle.start(StartParams(), keeper).thread.id for _ in range(SHARED)]
        for thread_id in shared:
            service.turns.start(thread_id, [{"type": "text", "text": "begun", "text_elements": []}])
            service.turns.complete(thread_id, "completed", None, None)
            told.said[thread_id] = ["begun"]
        people = [Person(service, 1_000 * seed + number, shared, told) for number in range(CALLERS)]
        together(*(person.live for person in people), seconds=240)
        check(service, rollouts, locks, state, told)


def check(service: ThreadService, rollouts: RolloutFiles, locks: CodexWriterLocks, state: StateDb, told: Told) -> None:
    loaded = {one.thread.id for one in service.loaded.all()}
    assert locks.held() == loaded
    service.lifecycle.close_all()
    assert (locks.held(), service.loaded.ids()) == (frozenset(), [])
    assert doctor.examine(rollouts, state, locks, deep=True).missing == ()
    report = doctor.examine(rollouts, state, locks, deep=True)
    assert report.in_step, (report.missing, report.stale, report.names_current)
    assert (report.malformed, report.running) == ((), ())
    rows = state.get_many(set(told.said) - told.deleted)
    for thread_id, said in told.said.items():
        if thread_id in told.deleted:
            assert rollouts.locate(thread_id) == []
            continue
        assert texts_of(service, thread_id)[-len(said) :] == said  # a fork begins with what it has copied
    for thread_id, names in told.names.items():
        if thread_id in rows:
            assert rows[thread_id].name in names
    seqs = [event.seq for event in state.events_after(0, limit=100_000)]
    assert seqs == sorted(set(seqs))


def texts_of(service: ThreadService, thread_id: str) -> list[str]:
    texts: list[str] = []
    cursor: str | None = None
    while True:
        page = service.reader.items(ItemsParams(thread_id, cursor=cursor, limit=100))
        items = [entry.item for entry in page.data]
        texts += [item["text"] if "text" in item else item["content"][0]["text"] for item in items]
        if (cursor := page.next_cursor) is None:
            return texts
