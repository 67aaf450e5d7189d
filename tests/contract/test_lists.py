"""How every home lists: filters, order, anchors. Paging visits each row once, whatever the rows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from mcp_server.models.records import Change, SpawnEdge
from mcp_server.models.thread import FileStamp, LastTurn, SortDirection, SourceKind, StoredThread, ThreadSortKey
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.query import Anchor, Count, ThreadQuery


def thread(key: str, **changes: Any) -> StoredThread:
    path = f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{key}.jsonl"
    return structs.replace(StoredThread(key, path, FileStamp(1, 1), False, 1, 1, 1, preview="hello"), **changes)


def listed(state: StateStore, **query: Any) -> list[str]:
    """The ids in ascending order of creation; asserts that count and total agree."""
    query.setdefault("direction", "asc")
    asked = ThreadQuery(**query)
    page = state.list(asked, [asked, ThreadQuery(with_preview=False)])
    assert page.total == Count(len(page.rows)) == (state.counts([asked]))[0] == page.beside[0]
    assert page.beside[1:] == tuple(state.counts([ThreadQuery(with_preview=False)]))
    assert not page.more
    return [row.id for row in page.rows]


def fill(state: StateStore, *rows: StoredThread, edges: Collection[SpawnEdge] = ()) -> None:
    assert listed(state, archived=None, with_preview=None) == []
    state.commit(Change(threads=rows, edges=tuple(edges)))


def test_a_list_holds_active_threads_with_a_preview_unless_asked_otherwise(state: StateStore) -> None:
    fill(state, thread("a"), thread("b", archived=True), thread("c", preview=""))
    assert listed(state) == ["a"]
    assert listed(state, archived=True) == ["b"]
    assert listed(state, archived=None) == ["a", "b"]
    assert listed(state, with_preview=False) == ["c"]
    assert listed(state, with_preview=None) == ["a", "c"]


def test_sources_and_providers_restrict_and_an_empty_collection_means_nothing(state: StateStore) -> None:
    review = {"subagent": "review"}
    fill(
        state,
        thread("a", source="cli", model_provider="openai"),
        thread("b", source=review, model_provider="openai"),
        thread("c", source="mcp", model_provider="ollama"),
    )
    assert listed(state, source_kinds=["cli", "appServer"]) == ["a", "c"]
    assert listed(state, source_kinds={"subAgentReview"}) == ["b"]
    assert listed(state, model_providers=["ollama"]) == ["c"]
    assert listed(state, model_providers=["openai"], source_kinds=["cli"]) == ["a"]
    for name in ("source_kinds", "model_providers", "cwds"):
        assert listed(state, **{name: []}) == []


def test_a_cwd_stands_for_itself_and_for_all_below_it(state: StateStore) -> None:
    fill(
        state,
        thread("a", cwd="/home/x"),
        thread("b", cwd="/home/x/"),
        thread("c", cwd="/home/x/y"),
        thread("d", cwd="/"),
        thread("e", cwd=""),
    )
    assert listed(state, cwds=["/home/x"]) == listed(state, cwds=["/home/x/"]) == ["a", "b", "c"]
    assert listed(state, cwds=["/home/x/y/", "/nowhere"]) == ["c"]
    assert listed(state, cwds=["/home"]) == ["a", "b", "c"]
    assert listed(state, cwds=["/"]) == ["a", "b", "c", "d"]
    assert listed(state, cwds=[""]) == ["e"]
    for other in ("/home/", "/hom", "/home/xy", "/home/x/y/z"):
        assert listed(state, cwds=[other]) == (["a", "b", "c"] if other == "/home/" else [])


def test_a_folder_of_windows_holds_what_lies_below_it_in_any_notation(state: StateStore) -> None:
    fill(state, thread("a", cwd="C:\\Users\\Me\\app"), thread("b", cwd="/mnt/c/users/me"), thread("c", cwd="C:\\"))
    assert listed(state, cwds=["c:/Users/Me"]) == ["a", "b"]
    assert listed(state, cwds=["C:\\"]) == ["a", "b", "c"]


@pytest.mark.parametrize("since_ms", [None, 0])
def test_the_rows_below_a_folder_are_merged_in_order_however_many_folders_there_are(
    state: StateStore, since_ms: int | None
) -> None:
    rows = [thread(f"{n:03}", cwd=f"/{n % 2}/w{n}", created_at_ms=n) for n in range(420)]
    state.commit(Change(threads=tuple(rows)))
    page = state.list(ThreadQuery(cwds=["/0"], since_ms=since_ms, limit=3, after=Anchor(300)))
    assert [row.created_at_ms for row in page.rows] == [298, 296, 294]
    assert (page.total, page.more) == (Count(210), True)


def test_cwds_are_told_as_they_are_spelled_with_the_number_of_their_rows(state: StateStore) -> None:
    assert state.cwds() == {}
    fill(state, thread("a", cwd="/x"), thread("b", cwd="/x/"), thread("c", cwd="/x", archived=True))
    assert state.cwds() == {"/x": 2, "/x/": 1}
    state.commit(Change(forgotten=("b",)))
    assert state.cwds() == {"/x": 2}


def test_named_tells_those_with_a_name_from_those_without(state: StateStore) -> None:
    fill(state, thread("a", name="n"), thread("b"), thread("c", name="m", archived=True))
    assert listed(state, named=True) == ["a"]
    assert listed(state, named=False) == ["b"]
    assert listed(state, named=None) == ["a", "b"]
    assert listed(state, named=True, search_term="m", archived=True) == ["c"]


def test_a_last_turn_without_an_end_runs_where_the_thread_is_held_and_crashed_elsewhere(state: StateStore) -> None:
    fill(
        state,
        thread("a", last_turn=LastTurn("failed", "no quota", "I began")),
        thread("b", last_turn=LastTurn("inProgress")),
        thread("c", last_turn=LastTurn("inProgress")),
        thread("d", last_turn=LastTurn("completed"), turn_count=3),
        thread("e"),
    )
    assert listed(state, last_turns=["failed"]) == ["a"]
    assert listed(state, last_turns=["running"], held={"b", "d", "e"}) == ["b"]
    assert listed(state, last_turns=["crashed"], held={"b"}) == ["c"]
    assert listed(state, last_turns=["crashed"]) == ["b", "c"]
    assert listed(state, last_turns=["running"]) == []
    assert listed(state, last_turns=["interrupted"]) == []
    assert listed(state, last_turns=["completed", "running"], held=["c"]) == ["c", "d"]
    assert listed(state, last_turns=[]) == []
    assert state.get_many("ad") == {
        key: thread(key, **told)
        for key, told in (
            ("a", {"last_turn": LastTurn("failed", "no quota", "I began")}),
            ("d", {"last_turn": LastTurn("completed"), "turn_count": 3}),
        )
    }


@pytest.mark.parametrize("restriction", [{"last_turns": ["failed"]}, {"named": True}, {"named": False}])
def test_a_state_that_many_rows_have_is_paged_in_order(state: StateStore, restriction: dict[str, Any]) -> None:
    named = restriction.get("named", True)
    rows = [
        thread(
            f"{n:04}",
            created_at_ms=n,
            last_turn=LastTurn("failed" if n % 2 else "completed"),
            name="n" if (n % 2 == 1) == named else None,
        )
        for n in range(8_200)
    ]
    state.commit(Change(threads=tuple(rows)))
    page = state.list(ThreadQuery(**restriction, limit=3, after=Anchor(1_000)))
    assert [row.created_at_ms for row in page.rows] == [999, 997, 995]
    assert page.more
    assert page.total in (Count(4_100), Count(500, minimum=True))


def test_a_null_character_ends_no_value_of_a_filter(state: StateStore) -> None:
    fill(state, thread("a", model_provider="openai"), thread("b", model_provider="openai"))
    state.commit(Change(edges=(SpawnEdge("a", "b"),)))
    for query in ({"parent_id": "a"}, {}):
        assert listed(state, model_providers=["openai\0x"], **query) == []


def test_a_filter_may_name_more_values_than_sqlite_binds(state: StateStore) -> None:
    fill(state, thread("a", cwd="/0"), thread("b", cwd="/1"), thread("c", cwd="/x"))
    state.commit(Change(edges=(SpawnEdge("a", "b"), SpawnEdge("a", "c"))))
    many = [f"/{n}" for n in range(20_000)]
    assert listed(state, cwds=many) == ["a", "b"]
    assert listed(state, cwds=many, ancestor_id="a") == ["b"]


def test_a_search_term_is_a_literal_case_sensitive_part_of_name_or_preview(state: StateStore) -> None:
    fill(
        state,
        thread("a", preview="fix 100% of it"),
        thread("b", name="Über_fix", preview="x"),
        thread("c", name="Fix", preview="y"),
    )
    assert listed(state, search_term="fix") == ["a", "b"]
    assert listed(state, search_term="Fix") == ["c"]
    assert listed(state, search_term="0% o") == ["a"]
    assert listed(state, search_term="r_f") == ["b"]
    assert listed(state, search_term="%") == ["a"]
    assert listed(state, search_term="über") == []
    assert listed(state, search_term="") == ["a", "b", "c"]


def test_children_are_those_of_the_edges_and_descendants_all_below_them(state: StateStore) -> None:
    edges = (SpawnEdge("a", "b"), SpawnEdge("b", "c", "closed"), SpawnEdge("c", "d"), SpawnEdge("a", "rowless"))
    fill(state, *(thread(key) for key in "abcde"), edges=edges)
    assert listed(state, parent_id="a") == ["b"]
    assert listed(state, ancestor_id="a") == ["b", "c", "d"]
    assert listed(state, ancestor_id="b", parent_id="b") == ["c"]
    assert listed(state, parent_id="d") == []
    assert listed(state, ancestor_id="missing") == []


def test_a_cycle_of_edges_is_walked_once_and_nobody_is_their_own_descendant(state: StateStore) -> None:
    edges = (SpawnEdge("a", "b"), SpawnEdge("b", "c"), SpawnEdge("c", "a"))
    fill(state, *(thread(key) for key in "abc"), edges=edges)
    assert listed(state, ancestor_id="b") == ["a", "c"]


@pytest.mark.parametrize("key", ["created_at", "updated_at", "recency_at"])
def test_since_and_until_are_inclusive_bounds_of_the_sort_key(state: StateStore, key: ThreadSortKey) -> None:
    fill(state, *(thread(str(at), **{f"{key}_ms": at}) for at in range(5)))
    assert listed(state, sort_key=key, since_ms=3) == ["3", "4"]
    assert listed(state, sort_key=key, until_ms=1) == ["0", "1"]
    assert listed(state, sort_key=key, since_ms=1, until_ms=2) == ["1", "2"]
    assert listed(state, sort_key=key, since_ms=-(2**70), until_ms=2**70) == ["0", "1", "2", "3", "4"]
    assert listed(state, sort_key=key, since_ms=2**70) == []


def test_ties_are_broken_by_id_in_the_direction_of_the_sort(state: StateStore) -> None:
    rows = (thread("b", created_at_ms=5), thread("a", created_at_ms=5), thread("c", created_at_ms=4))
    fill(state, *rows)
    assert listed(state, direction="desc") == ["b", "a", "c"]
    assert listed(state, direction="asc") == ["c", "a", "b"]


def test_a_page_tells_the_total_and_whether_more_follow(state: StateStore) -> None:
    fill(state, *(thread(key) for key in "abc"))
    page = state.list(ThreadQuery(limit=2))
    assert ([row.id for row in page.rows], page.total.n, page.more) == (["c", "b"], 3, True)
    after = ThreadQuery(limit=2, after=Anchor(1, "b"))
    page = state.list(after)
    assert ([row.id for row in page.rows], page.total.n, page.more) == (["a"], 3, False)
    assert state.counts([after]) == [Count(3)]


def test_an_anchor_without_id_skips_all_rows_of_its_time(state: StateStore) -> None:
    fill(state, *(thread(f"{at}{key}", created_at_ms=at) for at in (1, 2, 3) for key in "xy"))
    older = state.list(ThreadQuery(after=Anchor(2)))
    newer = state.list(ThreadQuery(after=Anchor(2), direction="asc"))
    assert [row.id for row in older.rows] == ["1y", "1x"]
    assert [row.id for row in newer.rows] == ["3x", "3y"]


def test_an_anchor_need_not_be_a_row(state: StateStore) -> None:
    fill(state, thread("a", created_at_ms=1), thread("c", created_at_ms=2))
    assert [row.id for row in (state.list(ThreadQuery(after=Anchor(2, "b")))).rows] == ["a"]
    assert [row.id for row in (state.list(ThreadQuery(after=Anchor(2**70, "b")))).rows] == ["c", "a"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.integers(0, 4), max_size=25),
    limit=st.integers(1, 7),
    key=st.sampled_from(["created_at", "updated_at", "recency_at"]),
    direction=st.sampled_from(["asc", "desc"]),
)
def test_paging_visits_each_row_once_and_in_order(
    new_state: Callable[[], StateStore], keys: list[int], limit: int, key: ThreadSortKey, direction: SortDirection
) -> None:
    state = new_state()
    rows = [thread(f"{number:02}", **{f"{key}_ms": at}) for number, at in enumerate(keys)]
    state.commit(Change(threads=tuple(rows)))
    seen: list[tuple[int, str]] = []
    query = ThreadQuery(sort_key=key, direction=direction, limit=limit)
    more = True
    while more:
        page = state.list(query)
        seen += [(getattr(row, f"{key}_ms"), row.id) for row in page.rows]
        assert page.total == Count(len(rows))
        assert len(page.rows) == limit or not page.more
        more = page.more
        query = replace(query, after=Anchor(*seen[-1]) if seen else None)
    assert seen == sorted(zip(keys, (row.id for row in rows), strict=True), reverse=direction == "desc")


def test_more_groups_than_one_statement_takes_are_merged_in_order(state: StateStore) -> None:
    rows = [thread(f"{n:03}", model_provider=f"p{n % 230}", created_at_ms=n) for n in range(460)]
    state.commit(Change(threads=tuple(rows)))
    page = state.list(ThreadQuery(limit=100))
    assert [row.created_at_ms for row in page.rows] == list(range(459, 359, -1))
    assert (page.total, page.more) == (Count(460), True)


KINDS: tuple[SourceKind, ...] = ("cli", "vscode")
ROWS = st.builds(
    thread,
    st.sampled_from("abcdef"),
    archived=st.booleans(),
    preview=st.sampled_from(["", "hello", "the needle", 'a "quoted" word', "größer"]),
    name=st.sampled_from([None, "needle", "nee"]),
    source=st.sampled_from(["cli", "vscode", {"subagent": "review"}]),
    model_provider=st.sampled_from(["", "openai"]),
    cwd=st.sampled_from(["/x", "/x/", "/y", "/x/y", "/", ""]),
    last_turn=st.sampled_from([None, LastTurn("completed"), LastTurn("failed", "e", "a"), LastTurn("inProgress")]),
    created_at_ms=st.integers(0, 5),
)
QUERIES = st.builds(
    ThreadQuery,
    archived=st.sampled_from([None, False, True]),
    with_preview=st.sampled_from([None, False, True]),
    source_kinds=st.sampled_from([None, KINDS, ()]),
    model_providers=st.sampled_from([None, ["openai"]]),
    cwds=st.sampled_from([None, None, ["/x"], ["/z"], ["/"], ["", "/x/y"]]),
    named=st.sampled_from([None, None, True, False]),
    last_turns=st.sampled_from([None, None, ["failed"], ["running"], ["crashed", "completed"], []]),
    held=st.sampled_from([(), ("a", "b")]),
    search_term=st.sampled_from([None, "", "ne", "needle", 'a "q', "größ", "\0\0\0", "nothing"]),
    parent_id=st.sampled_from([None, "a"]),
    ancestor_id=st.sampled_from([None, "a"]),
    since_ms=st.sampled_from([None, 2]),
    until_ms=st.sampled_from([None, 4]),
    direction=st.sampled_from(["asc", "desc"]),
    after=st.sampled_from([None, Anchor(3), Anchor(3, "c")]),
    limit=st.integers(1, 4),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.lists(ROWS, max_size=4), st.sets(st.sampled_from("abcdef"))), max_size=4),
    data=st.data(),
)
def test_whatever_was_changed_lists_and_counts_are_those_of_the_memory_store(
    state: StateStore, changes: list[tuple[list[StoredThread], set[str]]], data: st.DataObject
) -> None:
    memory = MemoryState()
    state.commit(Change(forgotten=tuple("abcdef")))
    edges = (SpawnEdge("a", "b"), SpawnEdge("b", "c"))
    for store in (memory, state):
        for rows, gone in changes:
            store.commit(Change(threads=tuple(rows), vanished=tuple(gone), edges=edges))
    queries = data.draw(st.lists(QUERIES, min_size=1, max_size=8))
    for query in queries:
        assert state.list(query, queries) == memory.list(query, queries)
    assert state.counts(queries) == memory.counts(queries)
