"""thread_archive at the service: root first, then descendants in reverse breadth-first order, with a receipt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import (
    ActiveWriter,
    EphemeralThread,
    NotMaterialized,
    RolloutNameTaken,
    ThreadArchived,
    ThreadNotFound,
    TurnsRunning,
)
from mcp_server.models.params import StartParams
from mcp_server.models.records import Change, SpawnEdge
from mcp_server.models.results import ArchiveResult
from mcp_server.threads.service import ThreadService
from tests.threads.conftest import CLIENT, Home, hello, load, spawned_by
from tests.together import running, together, until

# root (0) -> left (1) -> leaf (3), root -> right (2)
TREE = (None, 0, 0, 1)
ABSENT = "01a20581-ffff-7000-8000-000000000000"


def in_order(ids: list[str]) -> list[str]:
    return [ids[0], ids[3], ids[2], ids[1]]


def archive(service: ThreadService, thread_id: str, *, interrupt: bool = False) -> ArchiveResult:
    return service.cascade.archive(thread_id, dry_run=False, interrupt_running=interrupt)


def nothing_happened(home: Home, ids: list[str]) -> None:
    assert home.standing() == dict.fromkeys(ids, False)
    assert home.told("thread/archived") == []


# ---------------------------------------------------------------------------------------------- the tree


# Codex 110, thread_archive_archives_spawned_descendants
def test_an_archive_takes_all_descendants_over_open_and_closed_edges(home: Home) -> None:
    ids = home.plant(*TREE, closed=[1])
    edges = home.state.edges_below([ids[0]])
    assert [edge.status for edge in edges] == ["closed", "open", "open"]
    assert home.standing() == dict.fromkeys(ids, False)
    receipt = archive(home.service(), ids[0])
    assert receipt.archived == in_order(ids)
    assert (receipt.already_archived, receipt.failed, receipt.interrupted) == ([], [], [])
    assert home.standing() == dict.fromkeys(ids, True)
    assert (home.state.edges_above(ids[0]), home.state.edges_below([ids[0]])) == ([], edges)


def test_an_archive_leaves_ancestors_and_siblings_untouched(home: Home) -> None:
    ids = home.plant(None, 0, 0, 1, None)
    before = {thread_id: home.state.get(thread_id) for thread_id in ids}
    assert (archive(home.service(), ids[1])).archived == [ids[1], ids[3]]
    assert home.standing() == {i: i in (ids[1], ids[3]) for i in ids}
    for thread_id in (ids[0], ids[2], ids[4]):
        assert home.state.get(thread_id) == before[thread_id]


def test_an_archive_records_its_receipt_in_the_journal(home: Home) -> None:
    ids = home.plant(*TREE)
    receipt = archive(home.service(), ids[0])
    operation = home.state.operation(receipt.operation_id or "")
    assert operation is not None
    assert (operation.state, operation.kind, operation.root_id) == ("done", "archive", ids[0])
    assert operation.result["archived"] == [move.thread_id for move in operation.moves] == receipt.archived


def test_an_archive_announces_each_thread_once_in_the_order_of_the_receipt_after_all_status_changes(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    load(service, *ids)
    loaded = home.state.last_seq()
    receipt = archive(service, ids[0])
    assert home.story(after=loaded) == [
        *(("notLoaded", thread_id) for thread_id in in_order(ids)),
        *(("thread/archived", thread_id) for thread_id in receipt.archived),
    ]
    assert (service.loaded.ids(), home.locked()) == ([], [])


def test_an_archive_changes_neither_content_nor_times_of_a_file(home: Home) -> None:
    (thread_id,) = home.plant(None)
    before = home.state.get(thread_id)
    archive(home.service(), thread_id)
    after = home.state.get(thread_id)
    assert before is not None
    assert after is not None
    assert after.stamp == before.stamp
    assert (after.updated_at_ms, after.recency_at_ms) == (before.stamp.mtime_ns // 1_000_000, before.recency_at_ms)
    assert after.path.rpartition("/")[2] == before.path.rpartition("/")[2]
    assert after.archived_at_ms is not None


def test_edges_that_form_a_cycle_are_walked_once(home: Home) -> None:
    ids = home.plant(None, None, None, edges=[(2, 0), (0, 1), (1, 2)])
    (receipt,) = together(lambda: archive(home.service(), ids[1]))  # the peer never answers
    assert receipt.archived == [ids[1], ids[0], ids[2]]
    assert home.told("thread/archived") == [ids[1], ids[0], ids[2]]


def test_a_dry_run_shows_the_plan_and_leaves_no_trace(home: Home) -> None:
    ids = home.plant(*TREE)
    plan = home.service().cascade.archive(ids[0], dry_run=True, interrupt_running=False)
    assert (plan.dry_run, plan.operation_id, plan.archived) == (True, None, in_order(ids))
    nothing_happened(home, ids)
    assert home.locked() == []


# ---------------------------------------------------------------------------------------------- what is passed over


def test_archiving_again_succeeds_says_so_and_tells_nobody(home: Home) -> None:
    ids = home.plant(*TREE)
    archive(home.service(), ids[0])
    told = home.state.last_seq()
    again = archive(home.service(), ids[0])
    assert (again.archived, again.already_archived, again.operation_id) == ([], in_order(ids), None)
    assert home.state.last_seq() == told


def test_an_archived_descendant_is_skipped_and_reported_and_its_own_descendants_are_archived(home: Home) -> None:
    ids = home.plant(*TREE)
    archive(home.service(), ids[1])
    home.service().cascade.unarchive(ids[3], include="none")
    receipt = archive(home.service(), ids[0])
    assert (receipt.archived, receipt.already_archived) == ([ids[0], ids[3], ids[2]], [ids[1]])
    assert home.standing() == dict.fromkeys(ids, True)


# Codex 112, thread_archive_succeeds_when_spawned_descendant_is_missing
def test_a_missing_file_is_reported_and_passed_over(home: Home) -> None:
    ids = home.plant(*TREE)
    home.state.commit(Change(edges=(SpawnEdge(ids[2], ABSENT),)))
    home.rollouts.remove(RolloutRef(home.path(ids[1])))
    receipt = archive(home.service(), ids[0])
    assert receipt.archived == [ids[0], ids[3], ids[2]] == home.told("thread/archived")
    assert {failure.thread_id for failure in receipt.failed} == {ids[1], ABSENT}
    assert all("missing" in failure.reason for failure in receipt.failed)
    assert home.standing() == dict.fromkeys([ids[0], ids[2], ids[3]], True)


def test_a_file_that_nobody_can_read_is_reported_and_passed_over(home: Home) -> None:
    ids = home.plant(*TREE)
    home.state.commit(Change(edges=(SpawnEdge(ids[2], ABSENT),)))
    path = home.rollouts.new(ABSENT, 1_795_388_688_000).path
    home.rollouts.create(RolloutRef(path), b"no rollout\n")
    receipt = archive(home.service(), ids[0])
    assert receipt.archived == in_order(ids)
    assert [failure.thread_id for failure in receipt.failed] == [ABSENT]
    assert path in receipt.failed[0].reason
    assert home.rollouts.stat(path) is not None


# Codex 111, thread_archive_succeeds_when_descendant_archive_fails
def test_a_descendant_whose_archived_name_is_taken_stays_and_the_others_go(home: Home) -> None:
    ids = home.plant(*TREE)
    home.obstruct(ids[1])
    service = home.service()
    receipt = archive(service, ids[0])
    assert receipt.archived == [ids[0], ids[3], ids[2]] == home.told("thread/archived")
    assert [failure.thread_id for failure in receipt.failed] == [ids[1]]
    assert "exists already" in receipt.failed[0].reason
    assert home.standing() == {i: i != ids[1] for i in ids}
    home.clear()
    again = archive(service, ids[0])
    assert (again.archived, again.failed, set(again.already_archived)) == ([ids[1]], [], {ids[0], ids[2], ids[3]})
    assert home.standing() == dict.fromkeys(ids, True)


def test_a_root_whose_archived_name_is_taken_fails_the_call_and_nothing_moves(home: Home) -> None:
    ids = home.plant(*TREE)
    home.obstruct(ids[0])
    with pytest.raises(RolloutNameTaken):
        archive(home.service(), ids[0])
    nothing_happened(home, ids)
    assert home.locked() == []
    home.clear()
    home.start_again()
    nothing_happened(home, ids)
    assert (archive(home.service(), ids[0])).archived == in_order(ids)


def test_a_loaded_sub_agent_without_a_file_is_reported_and_stays_loaded(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    started = (service.lifecycle.start(StartParams(parent_thread_id=ids[0]), CLIENT)).thread.id
    receipt = archive(service, ids[0])
    assert receipt.archived == in_order(ids)
    assert [(failure.thread_id, "not materialized" in failure.reason) for failure in receipt.failed] == [
        (started, True)
    ]
    assert (service.loaded.ids(), home.locked()) == ([started], [started])


# ---------------------------------------------------------------------------------------------- the root


# Codex 109, thread_archive_requires_materialized_rollout
def test_a_thread_without_a_file_is_refused_until_its_first_turn(home: Home) -> None:
    service = home.service()
    thread = (service.lifecycle.start(StartParams(), CLIENT)).thread
    with pytest.raises(NotMaterialized, match="has no file yet"):
        archive(service, thread.id)
    assert (service.loaded.ids(), home.standing()) == ([thread.id], {})
    service.turns.start(thread.id, hello())
    service.turns.complete(thread.id, "completed", None, None)
    assert (archive(service, thread.id)).archived == [thread.id]
    assert (home.path(thread.id)).rpartition("/")[2] == (thread.path or "").rpartition("/")[2]


def test_an_archive_of_an_unknown_thread_finds_nothing_and_of_an_ephemeral_one_is_refused(home: Home) -> None:
    ids = home.plant(None)
    service = home.service()
    with pytest.raises(ThreadNotFound):
        archive(service, ABSENT)
    ephemeral = (service.lifecycle.start(StartParams(ephemeral=True), CLIENT)).thread.id
    with pytest.raises(EphemeralThread):
        archive(service, ephemeral)
    nothing_happened(home, ids)


# Codex 113, thread_archive_clears_stale_subscriptions_before_resume
def test_an_archive_ends_subscriptions_and_another_process_goes_on_after_an_unarchive(home: Home) -> None:
    (thread_id,) = home.plant(None)
    first, second = home.service(), home.service()
    load(first, thread_id)
    archive(first, thread_id)
    assert not first.loaded.subscribed(thread_id)
    with pytest.raises(ThreadArchived):
        load(second, thread_id)
    second.cascade.unarchive(thread_id, include="same_operation")
    load(second, thread_id)
    second.turns.start(thread_id, hello("go on"))
    assert (first.loaded.ids(), second.loaded.ids()) == ([], [thread_id])
    assert home.locked() == [thread_id]


# ---------------------------------------------------------------------------------------------- locks


@pytest.mark.parametrize("which", range(4))
def test_an_archive_of_a_tree_with_a_thread_that_another_process_holds_moves_nothing(home: Home, which: int) -> None:
    ids = home.plant(*TREE)
    service, other = home.service(), home.locks()
    loaded = ids[(which + 1) % 4]
    load(service, loaded)
    seq = home.state.last_seq()
    other.acquire([ids[which]])
    with pytest.raises(ActiveWriter, match=ids[which]):
        archive(service, ids[0])
    nothing_happened(home, ids)
    assert home.state.last_seq() == seq
    assert (service.loaded.ids(), service.locks.held()) == ([loaded], {loaded})
    other.release([ids[which]])
    assert (archive(service, ids[0])).archived == in_order(ids)
    assert home.locked() == []


HOLDER = """
import sys
from pathlib import Path
from mcp_server.storage.files.locks import CodexWriterLocks
locks = CodexWriterLocks(Path(sys.argv[1]))  # named, or it would be gone with its locks
locks.acquire([sys.argv[2]])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("homes", ["files"], indirect=True)
def test_the_refusal_names_the_process_that_holds_the_thread(home: Home) -> None:
    ids = home.plant(*TREE)
    command = [sys.executable, "-c", HOLDER, str(home.folder), ids[3]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"held")
        with pytest.raises(ActiveWriter) as refused:
            archive(home.service(), ids[0])
        if Path("/proc/locks").exists():
            assert f"(pid {child.pid})" in refused.value.holder
        nothing_happened(home, ids)
        child.kill()
    assert (archive(home.service(), ids[0])).archived == in_order(ids)


def test_a_thread_that_its_last_subscriber_is_leaving_is_locked_again_for_the_move(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    load(service, ids[3])
    service.turns.start(ids[3], hello())
    closing = service.loaded.get(ids[3])
    assert closing is not None
    closing.lock.acquire()
    with running(lambda _: service.lifecycle.close(closing, at_the_end=True)):
        until(lambda: closing.closing)
        with running(lambda _: archive(service, ids[0], interrupt=True)):
            until(service.loaded.cascade_lock.locked)
            closing.lock.release()
    assert home.standing() == dict.fromkeys(ids, True)
    assert (service.loaded.ids(), home.locked()) == ([], [])


# ---------------------------------------------------------------------------------------------- running turns


def test_a_running_turn_anywhere_in_the_tree_refuses_the_call_and_goes_on(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    load(service, ids[1], ids[3])
    for thread_id in (ids[1], ids[3]):
        service.turns.start(thread_id, hello())
    with pytest.raises(TurnsRunning) as refused:
        archive(service, ids[0])
    assert set(refused.value.thread_ids) == {ids[1], ids[3]}
    nothing_happened(home, ids)
    assert home.locked() == [ids[1], ids[3]]
    for thread_id in (ids[1], ids[3]):
        assert (service.turns.complete(thread_id, "completed", None, None)).turn.status == "completed"


def test_an_interruption_is_recorded_and_announced_before_the_move(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    load(service, ids[3])
    service.turns.start(ids[3], hello("still at work"))
    begun = home.state.last_seq()
    receipt = archive(service, ids[0], interrupt=True)
    assert (receipt.archived, receipt.interrupted) == (in_order(ids), [ids[3]])
    story = home.story(after=begun)
    assert [kind for kind, about in story if about == ids[3]] == [
        "turn/completed",
        "idle",
        "notLoaded",
        "thread/archived",
    ]
    lines = [raw.data for batch in home.rollouts.lines(RolloutRef(home.path(ids[3]))) for raw in batch]
    assert b'"turn_aborted"' in lines[-1]
    assert home.standing() == dict.fromkeys(ids, True)


def test_a_sub_agent_of_an_archived_thread_found_later_is_archived_by_the_next_call(home: Home) -> None:
    ids = home.plant(*TREE)
    service = home.service()
    archive(service, ids[0])
    home.write(ABSENT, **spawned_by(ids[3]))
    home.start_again()
    receipt = archive(service, ids[0])
    assert (receipt.archived, receipt.already_archived) == ([ABSENT], in_order(ids))
