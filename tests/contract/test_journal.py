"""What every home keeps of the work itself: operations, receipts, the progress of the build. Numbers of peer
cases are those of CODEX_SEMANTICS 5.9."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from mcp_server.models.records import BackfillState, Change, Move, Operation, Receipt
from mcp_server.storage.contracts import StateStore
from tests.together import together

# ---------------------------------------------------------------------------------------------- operations, receipts


def operation(key: str, *moved: str, **changes: Any) -> Operation:
    moves = tuple(Move(thread_id, f"sessions/{thread_id}.jsonl") for thread_id in moved)
    return replace(Operation(key, "archive", moved[0], moves, "running", 100), **changes)


def test_an_operation_is_running_until_it_is_done(state: StateStore) -> None:
    planned, other = operation("o", "root", "z", "b"), operation("older", "x", started_at_ms=50)
    assert state.operation("o") is None
    state.commit(Change(operation=planned))
    state.commit(Change(operation=other))
    assert state.operation("o") == planned
    assert state.running_operations() == [other, planned]
    done = replace(planned, state="done", result={"archived": ["root", "b", "z"]})
    state.commit(Change(operation=done))
    assert state.operation("o") == done
    assert state.running_operations() == [other]


def test_the_newest_finished_operation_of_a_kind_is_known_for_each_thread(state: StateStore) -> None:
    rows = (
        operation("o1", "root", "a", "b", "c", state="done"),
        operation("o2", "root", "a", "b", state="done", started_at_ms=200),
        operation("o3", "root", "a", started_at_ms=300),
        operation("o4", "root", "a", state="done", kind="unarchive", started_at_ms=400),
        operation("o5", "b", state="done", started_at_ms=500),
        operation("o0", "c", state="done", started_at_ms=50),  # by a clock that was set back
    )
    for row in rows:
        state.commit(Change(operation=row))
    everyone = ("root", "a", "b", "c", "missing")
    assert state.last_operations("archive", everyone) == {"root": "o2", "a": "o2", "b": "o5", "c": "o0"}
    assert state.last_operations("archive", ["a"]) == {"a": "o2"}
    assert state.last_operations("unarchive", everyone) == {"root": "o4", "a": "o4"}
    assert state.last_operations("delete", everyone) == {}


CLAIM = Receipt("client", "connection", "r", "thread_archive", "f1", "1:worker", at_ms=100)


def test_a_claim_stands_until_its_outcome_replaces_it(state: StateStore) -> None:
    assert state.receipts("client", "r") == []
    assert state.claim(CLAIM) == CLAIM
    assert state.claim(replace(CLAIM, process="2:worker", at_ms=200)) == CLAIM
    assert state.receipts("client", "r") == [CLAIM]
    outcome = replace(CLAIM, result={"archived": ["a"]})
    state.commit(Change(receipts=(outcome,)))
    state.commit(Change(receipts=(CLAIM,)))
    assert state.claim(replace(CLAIM, at_ms=200)) == outcome
    assert state.receipts("client", "r") == [outcome]


def test_a_claim_that_was_abandoned_gives_way_to_one_that_knows_it(state: StateStore) -> None:
    state.claim(CLAIM)
    second = replace(CLAIM, process="2:worker", at_ms=200)
    assert state.claim(second, replace(CLAIM, at_ms=99)) == CLAIM
    assert state.claim(second, CLAIM) == second
    state.commit(Change(receipts=(CLAIM,)))
    assert state.receipts("client", "r") == [second], "it is another's claim by now"
    state.commit(Change(receipts=(second,)))
    assert state.receipts("client", "r") == []


def test_request_ids_of_two_clients_and_of_two_connections_are_apart(state: StateStore) -> None:
    others = [replace(CLAIM, connection="later", at_ms=200), replace(CLAIM, connection="latest", at_ms=300)]
    for one in (CLAIM, *others, replace(CLAIM, client="another"), replace(CLAIM, request_id="s")):
        assert state.claim(one) == one
    assert state.receipts("client", "r") == [*others[::-1], CLAIM]


# ---------------------------------------------------------------------------------------------- backfill


def test_peer_260_backfill_state_persists_progress_and_completion(state: StateStore) -> None:
    assert state.backfill() == BackfillState()
    assert state.claim_backfill("me", now_ms=1_000, lease_ms=100)
    running = BackfillState("running", "sessions/a.jsonl", "me", 1_050, None, done=200, found=300)
    state.checkpoint_backfill(running)
    assert state.backfill() == running
    complete = replace(running, status="complete", watermark="sessions/b.jsonl", completed_at_ms=1_060, done=300)
    state.checkpoint_backfill(complete)
    assert state.backfill() == complete


def test_peer_261_backfill_claim_is_singleton_until_stale_and_blocked_when_complete(state: StateStore) -> None:
    assert state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    assert not state.claim_backfill("b", now_ms=1_099, lease_ms=100)
    assert (state.backfill()).owner == "a"
    assert state.claim_backfill("b", now_ms=1_100, lease_ms=100)
    assert (state.backfill()).owner == "b"
    state.checkpoint_backfill(BackfillState("complete", owner="b"))
    assert not state.claim_backfill("c", now_ms=99_999, lease_ms=1)


def test_of_many_claimers_at_once_one_becomes_the_worker(state: StateStore) -> None:
    won: list[str] = []

    def claim(owner: str) -> None:
        if state.claim_backfill(owner, now_ms=1_000, lease_ms=100):
            won.append(owner)

    together(*(partial(claim, str(number)) for number in range(6)))
    assert won == [(state.backfill()).owner]


def test_a_checkpoint_renews_the_lease_and_a_takeover_keeps_the_progress(state: StateStore) -> None:
    state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    state.checkpoint_backfill(BackfillState("running", "w", "a", 1_090, None, 5, 9))
    assert not state.claim_backfill("b", now_ms=1_150, lease_ms=100)
    assert state.claim_backfill("b", now_ms=1_190, lease_ms=100)
    assert state.backfill() == BackfillState("running", "w", "b", 1_190, None, 5, 9)


def test_a_worker_that_lost_its_lease_can_neither_write_nor_reopen(state: StateStore) -> None:
    state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    state.claim_backfill("b", now_ms=1_100, lease_ms=100)
    held = state.backfill()
    state.checkpoint_backfill(BackfillState("running", "late", "a", 1_110))
    assert state.backfill() == held
    complete = BackfillState("complete", owner="b", completed_at_ms=1_120)
    state.checkpoint_backfill(complete)
    state.checkpoint_backfill(BackfillState("running", "late", "a", 1_130))
    assert state.backfill() == complete


def test_a_worker_can_give_the_lease_back(state: StateStore) -> None:
    state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    state.checkpoint_backfill(BackfillState("pending", "w", "a", 1_010))
    assert state.claim_backfill("b", now_ms=1_011, lease_ms=100)
    assert (state.backfill()).watermark == "w"
