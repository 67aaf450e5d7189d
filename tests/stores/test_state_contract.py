"""What every state store does with a change: rows, edges, events, journal, receipts, backfill. Lists have a file of
their own. Numbers of peer cases are those of CODEX_SEMANTICS 5.9."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from mcp_server.models.event import ThreadEvent
from mcp_server.models.rollout import HistoryBase
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.stores.base import StateStore
from mcp_server.stores.queries import ThreadQuery
from mcp_server.stores.records import BackfillState, Change, Move, Moved, Operation, Receipt, SpawnEdge

pytestmark = pytest.mark.anyio


def thread(key: str, **changes: Any) -> StoredThread:
    base = StoredThread(
        id=key,
        path=f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{key}.jsonl",
        stamp=FileStamp(10, 20),
        archived=False,
        created_at_ms=1_000,
        updated_at_ms=2_000,
        recency_at_ms=3_000,
        preview="hello",
    )
    return replace(base, **changes)


def spawned_by(parent_id: str) -> dict[str, Any]:
    return {"subagent": {"thread_spawn": {"parent_thread_id": parent_id, "depth": 1}}}


def kinds(events: list[ThreadEvent]) -> list[tuple[str, str]]:
    return [(event.type, event.thread_id) for event in events]


# ---------------------------------------------------------------------------------------------- rows


FULL = thread(
    "full",
    archived=True,
    archived_at_ms=4_000,
    session_id="root",
    parent_thread_id="root",
    forked_from_id="other",
    preview="größer 🧵",
    name="a name",
    source=spawned_by("root"),
    thread_source="subagent",
    agent_nickname="Euler",
    agent_role="explorer",
    model_provider="openai",
    cwd="/home/x",
    cli_version="0.169.0",
    originator="codex_cli_rs",
    history_mode="paginated",
    history_base=HistoryBase("other", 3, 400),
    git=GitInfo(branch="main"),
    recorded={"model": "m", "sandbox": {"type": "readOnly"}, "approval_policy": {"granular": {}}},
)


@pytest.mark.parametrize("row", [FULL, thread("plain"), thread("odd", source=5), thread("none", source=None)])
async def test_a_thread_comes_back_as_it_was_committed(state: StateStore, row: StoredThread) -> None:
    assert await state.get(row.id) is None
    await state.commit(Change(threads=(row,)))
    assert await state.get(row.id) == row


async def test_committing_a_thread_again_replaces_its_row_and_no_other(state: StateStore) -> None:
    await state.commit(Change(threads=(FULL, thread("b"))))
    after = thread("full", preview="new", git=None)
    await state.commit(Change(threads=(after,)))
    assert await state.get("full") == replace(after, name="a name")
    assert await state.get("b") == thread("b")


async def test_a_row_keeps_its_name_until_another_comes_and_its_recency_never_goes_back(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a", name="first", recency_at_ms=50),)))
    await state.commit(Change(threads=(thread("a", recency_at_ms=40),)))
    assert await state.get("a") == thread("a", name="first", recency_at_ms=50)
    await state.commit(Change(threads=(thread("a", name="second", recency_at_ms=60),)))
    assert await state.get("a") == thread("a", name="second", recency_at_ms=60)


async def test_many_threads_are_got_at_once_and_missing_ones_left_out(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a"), thread("b"), thread("c"))))
    assert await state.get_many(["a", "c", "missing"]) == {"a": thread("a"), "c": thread("c")}
    assert await state.get_many([]) == {}


async def test_stamps_tell_path_and_stamp_of_every_row(state: StateStore) -> None:
    row = thread("a", stamp=FileStamp(2**40, 2**62), archived=True, preview="")
    assert await state.stamps() == {}
    await state.commit(Change(threads=(row,)))
    assert await state.stamps() == {"a": (row.path, FileStamp(2**40, 2**62))}


async def test_rows_are_found_by_the_paths_they_name(state: StateStore) -> None:
    rows = [thread(name) for name in ("a", "b", "c")]
    await state.commit(Change(threads=tuple(rows)))
    asked = [rows[0].path, rows[2].path, "sessions/nobody's"]
    assert await state.rows_at(asked) == {row.id: (row.path, row.stamp) for row in (rows[0], rows[2])}
    assert await state.rows_at([]) == {}


async def test_a_prefix_matches_ids_sorted_up_to_the_limit(state: StateStore) -> None:
    await state.commit(Change(threads=tuple(thread(key) for key in ("abc2", "abc1", "abd", "ABC3", "ab%"))))
    assert await state.match_prefix("abc", 10) == ["abc1", "abc2"]
    assert await state.match_prefix("ab", 2) == ["ab%", "abc1"]
    assert await state.match_prefix("ab%", 10) == ["ab%"]
    assert await state.match_prefix("x", 10) == []


async def test_a_name_matches_exactly_active_threads_first_then_the_newest(state: StateStore) -> None:
    rows = (
        thread("archived", name="n", archived=True, updated_at_ms=9),
        thread("old", name="n", updated_at_ms=1),
        thread("new", name="n", updated_at_ms=5),
        thread("tie", name="n", updated_at_ms=5),
        thread("other", name="N"),
    )
    await state.commit(Change(threads=rows))
    assert await state.match_name("n", 10) == ["tie", "new", "old", "archived"]
    assert await state.match_name("n", 1) == ["tie"]
    assert await state.match_name("missing", 10) == []


async def test_names_are_applied_once_and_announced(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a", name="old"), thread("b", name="same"), thread("c", name="gone"))))
    assert await state.names_stamp() is None
    names = {"a": "new", "b": "same", "missing": "x"}
    events = await state.apply_names(names, FileStamp(1, 2))
    assert [event.payload for event in events] == [
        {"thread_id": "a", "thread_name": "new"},
        {"thread_id": "c", "thread_name": None},
    ]
    assert {key: row.name for key, row in (await state.get_many("abc")).items()} == {"a": "new", "b": "same", "c": None}
    assert await state.names_stamp() == FileStamp(1, 2)
    assert await state.events_after(0, limit=10) == events
    assert await state.apply_names(names, None) == []
    assert await state.names_stamp() is None


# ---------------------------------------------------------------------------------------------- edges


async def test_a_spawned_thread_gets_an_open_edge_to_its_parent(state: StateStore) -> None:
    assert await state.parent("child") is None
    await state.commit(Change(threads=(thread("child", source=spawned_by("p")),)))
    await state.commit(Change(observed=(thread("seen", source=spawned_by("p")),)))
    assert await state.parent("child") == SpawnEdge("p", "child", "open")
    assert await state.children(["p"]) == [SpawnEdge("p", "child"), SpawnEdge("p", "seen")]


async def test_an_edge_is_inserted_only_if_the_child_has_none(state: StateStore) -> None:
    await state.commit(Change(edges=(SpawnEdge("p", "child", "closed"),)))
    await state.commit(Change(edges=(SpawnEdge("q", "child"),), threads=(thread("child", source=spawned_by("r")),)))
    assert await state.parent("child") == SpawnEdge("p", "child", "closed")
    assert await state.children(["q", "r"]) == []


async def test_a_given_edge_comes_before_the_one_that_the_source_tells(state: StateStore) -> None:
    row = thread("child", source=spawned_by("p"))
    await state.commit(Change(threads=(row,), edges=(SpawnEdge("p", "child", "closed"),)))
    assert await state.parent("child") == SpawnEdge("p", "child", "closed")


async def test_no_thread_is_its_own_child(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a", source=spawned_by("a")),), edges=(SpawnEdge("b", "b"),)))
    assert await state.children(["a", "b"]) == []


async def test_peer_275_thread_spawn_edges_open_and_closed_are_both_followed(state: StateStore) -> None:
    await state.commit(Change(edges=(SpawnEdge("parent", "child", "closed"), SpawnEdge("child", "grandchild"))))
    await state.commit(Change(threads=(thread("child"), thread("grandchild"), thread("stranger"))))
    assert await state.children(["parent"]) == [SpawnEdge("parent", "child", "closed")]
    assert await state.children(["parent", "child"]) == [
        SpawnEdge("parent", "child", "closed"),
        SpawnEdge("child", "grandchild"),
    ]
    below = await state.list(ThreadQuery(ancestor_id="parent", direction="asc"))
    assert [row.id for row in below.rows] == ["child", "grandchild"]


async def test_forks_that_borrow_a_thread_are_found_by_their_history_base(state: StateStore) -> None:
    base = HistoryBase("source", 1, 100)
    rows = (thread("f2", history_base=base), thread("f1", history_base=base), thread("x", forked_from_id="source"))
    await state.commit(Change(threads=rows))
    assert await state.forks_of("source") == ["f1", "f2"]
    assert await state.forks_of("f1") == []


# ---------------------------------------------------------------------------------------------- going away


async def test_a_forgotten_thread_loses_its_row_and_the_edge_above_it_but_not_those_below(state: StateStore) -> None:
    edges = (SpawnEdge("root", "mid"), SpawnEdge("mid", "leaf"))
    await state.commit(Change(threads=(thread("root"), thread("mid"), thread("leaf")), edges=edges))
    assert await state.commit(Change(forgotten=("mid", "missing"))) == []
    assert await state.get("mid") is None
    assert set(await state.stamps()) == {"root", "leaf"}
    assert await state.parent("mid") is None
    assert await state.parent("leaf") == SpawnEdge("mid", "leaf")


async def test_a_vanished_thread_loses_its_row_alone_and_nothing_is_announced(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a"), thread("b")), edges=(SpawnEdge("b", "a"),)))
    assert await state.commit(Change(vanished=("a",))) == []
    assert set(await state.stamps()) == {"b"}
    assert await state.parent("a") == SpawnEdge("b", "a")


async def test_a_thread_with_a_tombstone_never_comes_back(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a"), thread("b"))))
    assert await state.deleted(["a", "b"]) == frozenset()
    await state.commit(Change(forgotten=("a",), tombstones=("a",)))
    await state.commit(Change(tombstones=("a",)))
    row = thread("a", source=spawned_by("b"))
    assert await state.commit(Change(threads=(row,), observed=(row,), edges=(SpawnEdge("b", "a"),))) == []
    assert await state.get("a") is None
    assert await state.parent("a") is None
    assert await state.deleted(["a", "b", "missing"]) == {"a"}
    assert await state.get("b") == thread("b")


async def test_a_tombstone_bars_the_threads_of_its_own_change(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a"),), tombstones=("a",)))
    assert await state.get("a") is None


# ---------------------------------------------------------------------------------------------- events


async def test_events_get_seq_and_time_and_are_read_in_order(state: StateStore) -> None:
    assert await state.last_seq() == 0
    first = await state.commit(Change(events=(ThreadEvent("thread/closed", "a"), ThreadEvent("turn/started", "b"))))
    second = await state.commit(Change(events=(ThreadEvent("turn/completed", "a", {"turn": {"id": "t"}}),)))
    everything = [*first, *second]
    assert kinds(everything) == [("thread/closed", "a"), ("turn/started", "b"), ("turn/completed", "a")]
    assert all(event.at_ms > 0 for event in everything)
    assert first[0].seq < first[1].seq < second[0].seq == await state.last_seq()
    assert await state.events_after(0, limit=10) == everything
    assert await state.events_after(first[0].seq, limit=1) == [first[1]]
    assert await state.events_after(0, limit=10, thread_id="a") == [first[0], second[0]]
    assert await state.events_after(0, limit=10, types=["turn/started"]) == [first[1]]
    assert await state.events_after(0, limit=10, types=[]) == []
    assert await state.events_after(2**70, limit=10) == []


async def test_threads_make_no_events_and_observed_ones_those_of_the_difference(state: StateStore) -> None:
    assert await state.commit(Change(threads=(thread("quiet"),))) == []
    assert await state.commit(Change(observed=(thread("empty", preview=""),))) == []
    assert kinds(await state.commit(Change(observed=(thread("a"),)))) == [("thread/started", "a")]
    assert await state.commit(Change(observed=(thread("a", preview="new", updated_at_ms=9),))) == []
    moved = await state.commit(Change(observed=(thread("a", archived=True, name="n"),)))
    assert kinds(moved) == [("thread/archived", "a"), ("thread/name/updated", "a")]
    assert [event.payload for event in moved] == [{"thread_id": "a"}, {"thread_id": "a", "thread_name": "n"}]
    back = await state.commit(Change(observed=(thread("a"),), events=(ThreadEvent("thread/closed", "b"),)))
    assert kinds(back) == [("thread/unarchived", "a"), ("thread/closed", "b")]
    assert (await state.events_after(0, limit=10))[-2:] == back


async def test_what_two_observers_see_at_once_is_announced_once(state: StateStore) -> None:
    await state.commit(Change(threads=(thread("a"),)))

    async def observe() -> None:
        await state.commit(Change(observed=(thread("a", archived=True), thread("b"))))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(observe)
    assert kinds(await state.events_after(0, limit=99)) == [("thread/archived", "a"), ("thread/started", "b")]


# ---------------------------------------------------------------------------------------------- journal, receipts


def operation(key: str, *moved: str, **changes: Any) -> Operation:
    moves = tuple(Move(thread_id, f"sessions/{thread_id}.jsonl") for thread_id in moved)
    return replace(Operation(key, "archive", moved[0], moves, "running", 100), **changes)


async def test_an_operation_is_running_until_it_is_done(state: StateStore) -> None:
    planned, other = operation("o", "root", "z", "b"), operation("older", "x", started_at_ms=50)
    assert await state.operation("o") is None
    await state.commit(Change(operation=planned))
    await state.commit(Change(operation=other))
    assert await state.operation("o") == planned
    assert await state.running_operations() == [other, planned]
    done = replace(planned, state="done", result={"archived": ["root", "b", "z"]})
    await state.commit(Change(operation=done))
    assert await state.operation("o") == done
    assert await state.running_operations() == [other]


async def test_those_that_moved_with_a_thread_have_its_newest_finished_operation_of_the_kind_too(
    state: StateStore,
) -> None:
    rows = (
        operation("o1", "root", "a", "b", "c", state="done"),
        operation("o2", "root", "a", "b", state="done", started_at_ms=200),
        operation("o3", "root", "a", started_at_ms=300),
        operation("o4", "root", "a", state="done", kind="unarchive", started_at_ms=400),
        operation("o5", "b", state="done", started_at_ms=500),
    )
    for row in rows:
        await state.commit(Change(operation=row))
    assert await state.moved_with("archive", "a") == await state.moved_with("archive", "root") == {"root", "a"}
    assert await state.moved_with("archive", "b") == {"b"}
    assert await state.moved_with("archive", "c") == {"c"}
    assert await state.moved_with("unarchive", "a") == {"root", "a"}
    assert await state.moved_with("delete", "a") == set() == await state.moved_with("archive", "missing")


async def test_rows_follow_what_was_moved_and_the_moves_are_announced_in_order(state: StateStore) -> None:
    await state.commit(Change(threads=tuple(thread(name, name="kept") for name in ("a", "b", "c"))))
    moved = [Moved(name, f"archived_sessions/{name}", True, FileStamp(10, 5_000_000)) for name in ("b", "a", "missing")]
    events = await state.commit(Change(moved=tuple(moved)))
    assert [(event.type, event.thread_id) for event in events] == [("thread/archived", "b"), ("thread/archived", "a")]
    row = await state.get("a")
    assert row is not None
    assert row.archived_at_ms is not None
    assert (row.path, row.stamp, row.updated_at_ms, row.name) == (moved[1].path, moved[1].stamp, 5, "kept")
    assert await state.commit(Change(moved=tuple(moved))) == []
    assert await state.get("c") == thread("c", name="kept")
    back = Moved("a", "sessions/a", False, FileStamp(10, 7_000_000))
    events = await state.commit(Change(moved=(back,)))
    assert [(event.type, event.thread_id) for event in events] == [("thread/unarchived", "a")]
    assert (await state.get("a") or row).archived_at_ms is None


async def test_the_first_receipt_of_a_request_stays(state: StateStore) -> None:
    first = Receipt("r", "thread_archive", "f1", {"archived": ["a"]})
    assert await state.receipt("r") is None
    await state.save_receipt(first)
    await state.save_receipt(Receipt("r", "thread_delete", "f2", {}))
    assert await state.receipt("r") == first
    assert await state.receipt("other") is None


# ---------------------------------------------------------------------------------------------- backfill


async def test_peer_260_backfill_state_persists_progress_and_completion(state: StateStore) -> None:
    assert await state.backfill() == BackfillState()
    assert await state.claim_backfill("me", now_ms=1_000, lease_ms=100)
    running = BackfillState("running", "sessions/a.jsonl", "me", 1_050, None, done=200, found=300)
    await state.checkpoint_backfill(running)
    assert await state.backfill() == running
    complete = replace(running, status="complete", watermark="sessions/b.jsonl", completed_at_ms=1_060, done=300)
    await state.checkpoint_backfill(complete)
    assert await state.backfill() == complete


async def test_peer_261_backfill_claim_is_singleton_until_stale_and_blocked_when_complete(state: StateStore) -> None:
    assert await state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    assert not await state.claim_backfill("b", now_ms=1_099, lease_ms=100)
    assert (await state.backfill()).owner == "a"
    assert await state.claim_backfill("b", now_ms=1_100, lease_ms=100)
    assert (await state.backfill()).owner == "b"
    await state.checkpoint_backfill(BackfillState("complete", owner="b"))
    assert not await state.claim_backfill("c", now_ms=99_999, lease_ms=1)


async def test_of_many_claimers_at_once_one_becomes_the_worker(state: StateStore) -> None:
    won: list[str] = []

    async def claim(owner: str) -> None:
        if await state.claim_backfill(owner, now_ms=1_000, lease_ms=100):
            won.append(owner)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(claim, str(number))
    assert won == [(await state.backfill()).owner]


async def test_a_checkpoint_renews_the_lease_and_a_takeover_keeps_the_progress(state: StateStore) -> None:
    await state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    await state.checkpoint_backfill(BackfillState("running", "w", "a", 1_090, None, 5, 9))
    assert not await state.claim_backfill("b", now_ms=1_150, lease_ms=100)
    assert await state.claim_backfill("b", now_ms=1_190, lease_ms=100)
    assert await state.backfill() == BackfillState("running", "w", "b", 1_190, None, 5, 9)


async def test_a_worker_that_lost_its_lease_can_neither_write_nor_reopen(state: StateStore) -> None:
    await state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    await state.claim_backfill("b", now_ms=1_100, lease_ms=100)
    held = await state.backfill()
    await state.checkpoint_backfill(BackfillState("running", "late", "a", 1_110))
    assert await state.backfill() == held
    complete = BackfillState("complete", owner="b", completed_at_ms=1_120)
    await state.checkpoint_backfill(complete)
    await state.checkpoint_backfill(BackfillState("running", "late", "a", 1_130))
    assert await state.backfill() == complete


async def test_a_worker_can_give_the_lease_back(state: StateStore) -> None:
    await state.claim_backfill("a", now_ms=1_000, lease_ms=100)
    await state.checkpoint_backfill(BackfillState("pending", "w", "a", 1_010))
    assert await state.claim_backfill("b", now_ms=1_011, lease_ms=100)
    assert (await state.backfill()).watermark == "w"
