"""The log does not grow for ever: old events and receipts go, in small steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change, Receipt
from mcp_server.models.times import now_ms
from mcp_server.storage.sqlite.bounds import StateBounds
from mcp_server.storage.sqlite.database import StateDb

DAY_MS = 86_400_000
KEPT = 50


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite", bounds=StateBounds(kept_events=KEPT))) as db:
        yield db


def append(db: StateDb, count: int) -> None:
    db.commit(Change(events=(ThreadEvent("thread/closed", "a"),) * count))


def receipt(request_id: str, at_ms: int) -> Receipt:
    return Receipt("client", "connection", request_id, "thread_start", "print", "process", at_ms, {"id": "a"})


def prune(db: StateDb, days: int) -> int:
    """Prune as on a later day, to the end. Returns the number of steps."""
    steps = 1
    while db.prune(now_ms() + days * DAY_MS):
        steps += 1
    return steps


def test_events_that_are_not_old_stay_however_many_there_are(db: StateDb) -> None:
    append(db, 3 * KEPT)
    prune(db, 29)
    assert db.first_seq() == 1


def test_old_events_go_but_for_the_last_ones(db: StateDb) -> None:
    append(db, 3 * KEPT)
    prune(db, 31)
    assert (db.first_seq(), db.last_seq()) == (2 * KEPT + 1, 3 * KEPT)


def test_seqs_go_on_after_the_last_one_that_ever_was(tmp_path: Path) -> None:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite", bounds=StateBounds(kept_events=0))) as db:
        append(db, 3)
        prune(db, 31)
        assert (db.first_seq(), db.last_seq()) == (3, 3)
        append(db, 1)
        assert [event.seq for event in db.events_after(0, limit=9)] == [3, 4]


def test_many_go_in_several_steps(db: StateDb) -> None:
    append(db, 2_500 + KEPT)
    assert prune(db, 31) == 3
    assert db.first_seq() == 2_501


def test_old_receipts_go_and_others_stay(db: StateDb) -> None:
    young, old = now_ms(), now_ms() - 31 * DAY_MS
    db.commit(Change(receipts=(receipt("young", young), *(receipt(f"old {n}", old) for n in range(3)))))
    prune(db, 0)
    assert db.receipts("client", "young")
    assert not any(db.receipts("client", f"old {n}") for n in range(3))


def test_an_empty_log_has_nothing_to_prune(db: StateDb) -> None:
    assert not db.prune(now_ms() + 1_000 * DAY_MS)
    assert (db.first_seq(), db.last_seq()) == (0, 0)
