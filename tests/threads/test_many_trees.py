"""Cascades over several trees at the service: one operation, a receipt, and what is refused is passed over."""

from __future__ import annotations

import pytest

from mcp_server.errors import ActiveWriter, ForkedHistoryInUse, RolloutNameTaken, ThreadNotFound
from mcp_server.sync.reconciler import sync
from tests.faults import Faults, Killed
from tests.threads.conftest import Home, Homes

TREES = (None, 0, None, 2, None)
"""Two trees of two threads, and one thread beside them."""
FORK = "01a20581-ffff-7000-8000-000000000000"


def test_a_root_that_can_not_be_moved_keeps_its_own_tree_alone(home: Home) -> None:
    ids = home.plant(*TREES)
    home.obstruct(ids[0])
    for dry_run in (True, False):
        receipt = home.service().cascade.archive(ids[0], ids[2], dry_run=dry_run, interrupt_running=False)
        assert receipt.archived == [ids[2], ids[3]]
        assert [failure.thread_id for failure in receipt.failed] == ids[:2]
    assert home.standing() == {thread_id: thread_id in ids[2:4] for thread_id in ids}


def test_roots_that_can_not_be_moved_at_all_refuse_the_call(home: Home) -> None:
    ids = home.plant(*TREES)
    for root in (ids[0], ids[2]):
        home.obstruct(root)
    with pytest.raises(RolloutNameTaken):
        home.service().cascade.archive(ids[0], ids[2], dry_run=False, interrupt_running=False)
    assert home.standing() == dict.fromkeys(ids, False)
    assert home.state.running_operations() == []


def test_trees_that_others_hold_are_passed_over_and_their_locks_stay_free(home: Home) -> None:
    ids = home.plant(*TREES)
    other = home.locks()
    other.acquire([ids[1]])
    service = home.service()
    receipt = service.cascade.archive(ids[0], ids[2], dry_run=False, interrupt_running=False)
    assert (receipt.archived, [failure.thread_id for failure in receipt.failed]) == ([ids[2], ids[3]], [ids[0]])
    assert home.locked() == [ids[1]]
    with pytest.raises(ActiveWriter):
        service.cascade.archive(ids[0], dry_run=False, interrupt_running=False)


def test_a_tree_that_another_borrows_from_stays_unless_both_go(home: Home) -> None:
    ids = home.plant(*TREES)
    base = {"thread_id": ids[1], "end_ordinal_exclusive": 1, "end_byte_offset": 1}
    home.write(FORK, history_mode="paginated", history_base=base)
    sync(home.rollouts, home.state)
    with pytest.raises(ForkedHistoryInUse):
        home.service().cascade.delete(ids[0], dry_run=False)
    kept = home.service().cascade.delete(ids[0], ids[2], dry_run=False)
    assert (kept.deleted, [failure.thread_id for failure in kept.failed]) == ([ids[3], ids[2]], [ids[0]])
    both = home.service().cascade.delete(ids[0], FORK, dry_run=False)
    assert (sorted(both.deleted), both.failed) == (sorted([ids[0], ids[1], FORK]), [])
    assert list(home.standing()) == [ids[4]]


def test_unknown_names_alone_are_not_found(home: Home) -> None:
    with pytest.raises(ThreadNotFound, match="first"):
        home.service().cascade.archive("first", "second", dry_run=True, interrupt_running=False)


@pytest.mark.parametrize("verb", ["archive", "delete"])
def test_killed_at_any_store_call_the_next_start_finishes_all_trees_or_none(homes: Homes, verb: str) -> None:
    stop = 0
    while True:
        stop += 1
        home = homes.new()
        ids = home.plant(*TREES)
        faults = Faults()
        cascade = home.service(faults).cascade
        faults.at = len(faults.calls) + stop
        try:
            if verb == "archive":
                cascade.archive(ids[0], ids[2], dry_run=False, interrupt_running=False)
            else:
                cascade.delete(ids[0], ids[2], dry_run=False)
        except Killed:
            home.kill()
            home.start_again()
            standing = home.standing()
            untouched = dict.fromkeys(ids, False)
            moved = {i: i in ids[:4] for i in ids} if verb == "archive" else {ids[4]: False}
            assert standing in (untouched, moved), stop
            continue
        break
    assert stop > 5


def test_an_undo_brings_parents_back_first_and_is_an_operation_of_its_own(home: Home) -> None:
    ids = home.plant(*TREES)
    service = home.service()
    done = service.cascade.archive(ids[0], ids[2], dry_run=False, interrupt_running=False)
    back = service.cascade.undo_archive(done.operation_id or "")
    assert back.unarchived == [ids[0], ids[2], ids[1], ids[3]]
    assert back.operation_id not in (None, done.operation_id)
    assert home.standing() == dict.fromkeys(ids, False)
    assert home.told("thread/unarchived") == back.unarchived
