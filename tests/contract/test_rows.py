"""What every home does with a change: rows, edges, events. Lists, histories and the journal have files of their
own. Numbers of peer cases are those of CODEX_SEMANTICS 5.9."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.records import Change, Moved, SpawnEdge
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import Count, ThreadQuery
from tests.together import together


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
def test_a_thread_comes_back_as_it_was_committed(state: StateStore, row: StoredThread) -> None:
    assert state.get(row.id) is None
    state.commit(Change(threads=(row,)))
    assert state.get(row.id) == row


def test_committing_a_thread_again_replaces_its_row_and_no_other(state: StateStore) -> None:
    state.commit(Change(threads=(FULL, thread("b"))))
    after = thread("full", preview="new", git=None)
    state.commit(Change(threads=(after,)))
    assert state.get("full") == replace(after, name="a name")
    assert state.get("b") == thread("b")


def test_a_row_keeps_its_name_until_another_comes_and_its_recency_never_goes_back(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a", name="first", recency_at_ms=50),)))
    state.commit(Change(threads=(thread("a", recency_at_ms=40),)))
    assert state.get("a") == thread("a", name="first", recency_at_ms=50)
    state.commit(Change(threads=(thread("a", name="second", recency_at_ms=60),)))
    assert state.get("a") == thread("a", name="second", recency_at_ms=60)


def test_many_threads_are_got_at_once_and_missing_ones_left_out(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"), thread("c"))))
    assert state.get_many(["a", "c", "missing"]) == {"a": thread("a"), "c": thread("c")}
    assert state.get_many([]) == {}


def test_known_rollouts_have_path_and_stamp_of_every_row(state: StateStore) -> None:
    row = thread("a", stamp=FileStamp(2**40, 2**62), archived=True, preview="")
    assert state.known_rollouts() == {}
    state.commit(Change(threads=(row,)))
    assert state.known_rollouts() == {"a": RolloutRef(row.path, FileStamp(2**40, 2**62))}


def test_the_largest_rollouts_are_those_of_the_largest_rows(state: StateStore) -> None:
    sizes = {"a": 20, "b": 40, "c": 30, "d": 30}
    state.commit(Change(threads=tuple(thread(name, stamp=FileStamp(n, 1)) for name, n in sizes.items())))
    assert list((state.largest(2)).items()) == [("b", 40), ("d", 30)]


def test_rows_are_found_by_the_paths_they_name(state: StateStore) -> None:
    rows = [thread(name) for name in ("a", "b", "c")]
    state.commit(Change(threads=tuple(rows)))
    asked = [rows[0].path, rows[2].path, "sessions/nobody's"]
    assert state.rollouts_at(asked) == {row.id: rollout_of(row) for row in (rows[0], rows[2])}
    assert state.rollouts_at([]) == {}


def test_a_prefix_matches_ids_sorted_up_to_the_limit(state: StateStore) -> None:
    state.commit(Change(threads=tuple(thread(key) for key in ("abc2", "abc1", "abd", "ABC3", "ab%"))))
    assert state.matching(prefix="abc", limit=10) == ["abc1", "abc2"]
    assert state.matching(prefix="ab", limit=2) == ["ab%", "abc1"]
    assert state.matching(prefix="ab%", limit=10) == ["ab%"]
    assert state.matching(prefix="x", limit=10) == []


def test_a_name_matches_exactly_active_threads_first_then_the_newest(state: StateStore) -> None:
    rows = (
        thread("archived", name="n", archived=True, updated_at_ms=9),
        thread("old", name="n", updated_at_ms=1),
        thread("new", name="n", updated_at_ms=5),
        thread("tie", name="n", updated_at_ms=5),
        thread("other", name="N"),
    )
    state.commit(Change(threads=rows))
    assert state.matching(name="n", limit=10) == ["tie", "new", "old", "archived"]
    assert state.matching(name="n", limit=1) == ["tie"]
    assert state.matching(name="missing", limit=10) == []


def test_names_are_applied_once_and_announced(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a", name="old"), thread("b", name="same"), thread("c", name="gone"))))
    assert state.names_stamp() is None
    names = {"a": "new", "b": "same", "missing": "x"}
    events = state.apply_names(names, FileStamp(1, 2))
    assert [event.payload for event in events] == [
        {"thread_id": "a", "thread_name": "new"},
        {"thread_id": "c", "thread_name": None},
    ]
    assert {key: row.name for key, row in (state.get_many("abc")).items()} == {"a": "new", "b": "same", "c": None}
    assert state.names_stamp() == FileStamp(1, 2)
    assert state.events_after(0, limit=10) == events
    assert state.apply_names(names, None) == []
    assert state.names_stamp() is None


def test_rows_follow_what_was_moved_and_the_moves_are_announced_in_order(state: StateStore) -> None:
    state.commit(Change(threads=tuple(thread(name, name="kept") for name in ("a", "b", "c"))))
    moved = [Moved(name, f"archived_sessions/{name}", True, FileStamp(10, 5_000_000)) for name in ("b", "a", "missing")]
    events = state.commit(Change(moved=tuple(moved)))
    assert [(event.type, event.thread_id) for event in events] == [("thread/archived", "b"), ("thread/archived", "a")]
    row = state.get("a")
    assert row is not None
    assert row.archived_at_ms is not None
    assert (row.path, row.stamp, row.updated_at_ms, row.name) == (moved[1].path, moved[1].stamp, 5, "kept")
    assert state.commit(Change(moved=tuple(moved))) == []
    assert state.get("c") == thread("c", name="kept")
    back = Moved("a", "sessions/a", False, FileStamp(10, 7_000_000))
    events = state.commit(Change(moved=(back,)))
    assert [(event.type, event.thread_id) for event in events] == [("thread/unarchived", "a")]
    assert (state.get("a") or row).archived_at_ms is None


# ---------------------------------------------------------------------------------------------- snapshots


def test_reads_within_a_snapshot_see_the_same_state_whatever_others_commit(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    with ThreadPoolExecutor(1) as pool:
        with state.snapshot():
            assert state.counts([ThreadQuery(with_preview=None)]) == [Count(1)]
            committing = pool.submit(state.commit, Change(threads=(thread("b"),)))
            with suppress(TimeoutError):  # a store may let others wait instead
                committing.result(0.5)
            with state.snapshot():
                assert state.get("b") is None
            assert state.counts([ThreadQuery(with_preview=None)]) == [Count(1)]
        committing.result(30)
    assert state.counts([ThreadQuery(with_preview=None)]) == [Count(2)]


# ---------------------------------------------------------------------------------------------- edges


def test_a_spawned_thread_gets_an_open_edge_to_its_parent(state: StateStore) -> None:
    assert state.edges_above("child") == []
    state.commit(Change(threads=(thread("child", source=spawned_by("p")),)))
    state.commit(Change(observed=(thread("seen", source=spawned_by("p")),)))
    assert state.edges_above("child") == [SpawnEdge("p", "child", "open")]
    assert state.edges_below(["p"]) == [SpawnEdge("p", "child"), SpawnEdge("p", "seen")]


def test_an_edge_is_inserted_only_if_the_child_has_none(state: StateStore) -> None:
    state.commit(Change(edges=(SpawnEdge("p", "child", "closed"),)))
    state.commit(Change(edges=(SpawnEdge("q", "child"),), threads=(thread("child", source=spawned_by("r")),)))
    assert state.edges_above("child") == [SpawnEdge("p", "child", "closed")]
    assert state.edges_below(["q", "r"]) == []


def test_a_given_edge_comes_before_the_one_that_the_source_tells(state: StateStore) -> None:
    row = thread("child", source=spawned_by("p"))
    state.commit(Change(threads=(row,), edges=(SpawnEdge("p", "child", "closed"),)))
    assert state.edges_above("child") == [SpawnEdge("p", "child", "closed")]


def test_no_thread_is_its_own_child(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a", source=spawned_by("a")),), edges=(SpawnEdge("b", "b"),)))
    assert state.edges_below(["a", "b"]) == []


def test_peer_275_thread_spawn_edges_open_and_closed_are_both_followed(state: StateStore) -> None:
    state.commit(Change(edges=(SpawnEdge("parent", "child", "closed"), SpawnEdge("child", "grandchild"))))
    state.commit(Change(threads=(thread("child"), thread("grandchild"), thread("stranger"))))
    edges = [SpawnEdge("parent", "child", "closed"), SpawnEdge("child", "grandchild")]
    assert state.edges_below(["parent"]) == state.edges_below(["child", "parent"]) == edges
    assert state.edges_below(["child"]) == edges[1:]
    assert state.edges_below([]) == []

    listed = state.list(ThreadQuery(ancestor_id="parent", direction="asc"))
    assert [row.id for row in listed.rows] == ["child", "grandchild"]


def test_the_edges_above_a_thread_lead_to_its_root_nearest_first(state: StateStore) -> None:
    chain = [SpawnEdge("c", "d"), SpawnEdge("b", "c", "closed"), SpawnEdge("a", "b")]
    state.commit(Change(edges=(*chain, SpawnEdge("b", "sibling"), SpawnEdge("d", "below"))))
    assert state.edges_above("d") == chain
    assert state.edges_above("b") == chain[2:]
    assert state.edges_above("a") == state.edges_above("unknown") == []


def test_edges_that_form_a_cycle_are_each_followed_once(state: StateStore) -> None:
    cycle = (SpawnEdge("c", "a"), SpawnEdge("a", "b"), SpawnEdge("b", "c"))
    state.commit(Change(edges=(*cycle, SpawnEdge("elsewhere", "stranger"))))
    assert state.edges_below(["b"]) == state.edges_below(["c", "a", "b"]) == list(cycle)
    assert state.edges_above("c") == [cycle[2], cycle[1]]


def test_forks_that_borrow_a_thread_are_found_by_their_history_base(state: StateStore) -> None:
    base = HistoryBase("source", 1, 100)
    rows = (thread("f2", history_base=base), thread("f1", history_base=base), thread("x", forked_from_id="source"))
    state.commit(Change(threads=rows))
    assert state.forks_of("source") == ["f1", "f2"]
    assert state.forks_of("f1") == []


# ---------------------------------------------------------------------------------------------- going away


def test_a_forgotten_thread_loses_its_row_and_the_edge_above_it_but_not_those_below(state: StateStore) -> None:
    edges = (SpawnEdge("root", "mid"), SpawnEdge("mid", "leaf"))
    state.commit(Change(threads=(thread("root"), thread("mid"), thread("leaf")), edges=edges))
    assert state.commit(Change(forgotten=("mid", "missing"))) == []
    assert state.get("mid") is None
    assert set(state.known_rollouts()) == {"root", "leaf"}
    assert state.edges_above("mid") == []
    assert state.edges_above("leaf") == [SpawnEdge("mid", "leaf")]


def test_a_vanished_thread_loses_its_row_alone_and_nothing_is_announced(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b")), edges=(SpawnEdge("b", "a"),)))
    assert state.commit(Change(vanished=("a",))) == []
    assert set(state.known_rollouts()) == {"b"}
    assert state.edges_above("a") == [SpawnEdge("b", "a")]


def test_a_thread_with_a_tombstone_never_comes_back(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"), thread("b"))))
    assert state.deleted(["a", "b"]) == frozenset()
    state.commit(Change(forgotten=("a",), tombstones=("a",)))
    state.commit(Change(tombstones=("a",)))
    row = thread("a", source=spawned_by("b"))
    assert state.commit(Change(threads=(row,), observed=(row,), edges=(SpawnEdge("b", "a"),))) == []
    assert state.get("a") is None
    assert state.edges_above("a") == []
    assert state.deleted(["a", "b", "missing"]) == {"a"}
    assert state.get("b") == thread("b")


def test_a_tombstone_bars_the_threads_of_its_own_change(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),), tombstones=("a",)))
    assert state.get("a") is None


# ---------------------------------------------------------------------------------------------- events


def test_events_get_seq_and_time_and_are_read_in_order(state: StateStore) -> None:
    assert (state.first_seq(), state.last_seq()) == (0, 0)
    first = state.commit(Change(events=(ThreadEvent("thread/closed", "a"), ThreadEvent("turn/started", "b"))))
    second = state.commit(Change(events=(ThreadEvent("turn/completed", "a", {"turn": {"id": "t"}}),)))
    everything = [*first, *second]
    assert kinds(everything) == [("thread/closed", "a"), ("turn/started", "b"), ("turn/completed", "a")]
    assert all(event.at_ms > 0 for event in everything)
    assert state.first_seq() == first[0].seq < first[1].seq < second[0].seq == state.last_seq()
    assert state.events_after(0, limit=10) == everything
    assert state.events_after(first[0].seq, limit=1) == [first[1]]
    assert state.events_after(0, limit=10, thread_ids=["a"]) == [first[0], second[0]]
    assert state.events_after(0, limit=10, thread_ids=["a", "b"]) == everything
    assert state.events_after(0, limit=10, thread_ids=[]) == []
    assert state.events_after(0, limit=10, types=["turn/started"]) == [first[1]]
    assert state.events_after(0, limit=10, types=[]) == []
    assert state.events_after(2**70, limit=10) == []


def test_a_thread_that_others_began_is_announced_once_it_has_a_message(state: StateStore) -> None:
    """A program may write the metadata first, and the first message a moment later."""
    assert state.commit(Change(observed=(thread("a", preview=""),))) == []
    assert kinds(state.commit(Change(observed=(thread("a"),)))) == [("thread/started", "a")]
    assert state.commit(Change(observed=(thread("a", updated_at_ms=9),))) == []


@pytest.mark.parametrize("told", ["größer", "\0", "\ud800 alone", 2**70, -(2**63), 0.1, None, [{"deep": [1]}]])
def test_the_payload_of_an_event_comes_back_as_it_was(state: StateStore, told: object) -> None:
    state.commit(Change(events=(ThreadEvent("thread/closed", "a", {"told": told}),)))
    assert [event.payload for event in state.events_after(0, limit=9)] == [{"told": told}]


def test_threads_make_no_events_and_observed_ones_those_of_the_difference(state: StateStore) -> None:
    assert state.commit(Change(threads=(thread("quiet"),))) == []
    assert state.commit(Change(observed=(thread("empty", preview=""),))) == []
    assert kinds(state.commit(Change(observed=(thread("a"),)))) == [("thread/started", "a")]
    assert state.commit(Change(observed=(thread("a", preview="new", updated_at_ms=9),))) == []
    moved = state.commit(Change(observed=(thread("a", archived=True, name="n"),)))
    assert kinds(moved) == [("thread/archived", "a"), ("thread/name/updated", "a")]
    assert [event.payload for event in moved] == [{"thread_id": "a"}, {"thread_id": "a", "thread_name": "n"}]
    back = state.commit(Change(observed=(thread("a"),), events=(ThreadEvent("thread/closed", "b"),)))
    assert kinds(back) == [("thread/unarchived", "a"), ("thread/closed", "b")]
    assert (state.events_after(0, limit=10))[-2:] == back


def test_a_change_that_several_observe_at_once_is_announced_once(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))

    def observe() -> None:
        state.commit(Change(observed=(thread("a", archived=True), thread("b"))))

    together(*[observe] * 5)
    assert kinds(state.events_after(0, limit=99)) == [("thread/archived", "a"), ("thread/started", "b")]
