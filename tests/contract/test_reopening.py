"""What the next process finds in a home."""

from __future__ import annotations

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history import TextChunk
from mcp_server.models.records import BackfillState, Change, SpawnEdge
from mcp_server.models.thread import FileStamp
from mcp_server.storage.query import TextQuery, ThreadQuery
from tests.contract.homes import Home
from tests.contract.test_journal import CLAIM, operation
from tests.contract.test_turns import THREE, checkpoint, thread, update_of
from tests.stores.rollout_text import META, PATH_A, A, content


@pytest.fixture(autouse=True)
def _lasting(home: Home) -> None:  # pyright: ignore[reportUnusedFunction]
    if not home.outlives_its_process:
        pytest.skip("this home ends with its process")


def test_rollouts_and_names_are_there_when_a_home_is_reopened(home: Home) -> None:
    stamp = home.rollouts.create(RolloutRef(PATH_A), META).stamp
    home.rollouts.set_name(A, "a name", 1)
    home.reopen()
    assert [(file.path, file.stamp) for file in home.rollouts.walk()] == [(PATH_A, stamp)]
    assert content(home.rollouts, PATH_A) == [META.rstrip(b"\n")]
    assert home.rollouts.names() == {A: "a name"}


def test_rows_turns_and_texts_are_there_when_a_home_is_reopened(home: Home) -> None:
    home.state.commit(Change(threads=(thread("a", name="n"), thread("b")), edges=(SpawnEdge("a", "b"),)))
    home.state.update([update_of("a", THREE, TextChunk(50, 60, 70, "some words"))])
    home.reopen()
    assert home.state.get_many(["a", "b"]) == {"a": thread("a", name="n", turn_count=3), "b": thread("b")}
    assert home.state.edges_above("b") == [SpawnEdge("a", "b")]
    assert home.state.checkpoints(["a", "b"]) == {"a": checkpoint("a")}
    assert home.state.spans("a", 0, 9) == list(THREE)
    assert [place.thread.id for place in home.state.places(TextQuery(("words",), ThreadQuery()))] == ["a"]


def test_events_go_on_from_the_last_seq_when_a_home_is_reopened(home: Home) -> None:
    before = home.state.commit(Change(events=(ThreadEvent("thread/closed", "a"),)))
    home.reopen()
    after = home.state.commit(Change(events=(ThreadEvent("thread/closed", "b"),)))
    assert home.state.events_after(0, limit=9) == [*before, *after]
    assert after[0].seq > before[0].seq


def test_the_journal_receipts_and_tombstones_are_there_when_a_home_is_reopened(home: Home) -> None:
    planned = operation("o", "root", "a")
    home.state.commit(Change(operation=planned, tombstones=("gone",)))
    home.state.claim(CLAIM)
    home.reopen()
    assert home.state.running_operations() == [planned]
    assert home.state.deleted(["gone", "a"]) == {"gone"}
    assert home.state.receipts("client", "r") == [CLAIM]


def test_the_backfill_and_the_stamp_of_the_names_are_there_when_a_home_is_reopened(home: Home) -> None:
    complete = BackfillState("complete", "w", "me", 1_010, 1_010, done=3, found=3)
    home.state.claim_backfill("me", now_ms=1_000, lease_ms=100)
    home.state.checkpoint_backfill(complete)
    home.state.apply_names({}, FileStamp(1, 2))
    home.reopen()
    assert home.state.backfill() == complete
    assert home.state.names_stamp() == FileStamp(1, 2)
