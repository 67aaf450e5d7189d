"""Lists whose cost does not grow: what SQLite is asked walks along an index, and what is counted is never wrong."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mcp_server.models.records import Change, SpawnEdge
from mcp_server.models.thread import FileStamp, SourceKind, StoredThread, ThreadSortKey
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.query import COUNTED, Anchor, Count, ThreadQuery
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.sqlite.engine import driver

KINDS: tuple[SourceKind, ...] = ("cli", "vscode")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite")) as db:
        yield db


def thread(key: str, **changes: Any) -> StoredThread:
    return replace(
        StoredThread(key, f"sessions/{key}.jsonl", FileStamp(1, 1), False, 1, 1, 1, preview="hello"), **changes
    )


def plans(db: StateDb, query: ThreadQuery) -> list[str]:
    """How SQLite finds the rows of a list."""
    asked: list[str] = []
    with db.transaction() as connection:
        driver(connection).set_trace_callback(asked.append)
    db.list(query)
    with db.transaction() as connection:
        driver(connection).set_trace_callback(None)
        walks = [sql for sql in asked if sql.startswith("SELECT") and "INDEXED BY" in sql]
        assert walks
        return [step[3] for sql in walks for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]


def test_every_list_walks_along_an_index_and_sorts_nothing(db: StateDb) -> None:
    rows = [thread(f"{n}", source=kind, cwd=f"/{n % 3}") for n, kind in enumerate([*KINDS, *KINDS, "exec"])]
    db.commit(Change(threads=tuple(rows)))
    filters: list[dict[str, Any]] = [
        {},
        {"cwds": ["/0", "/1"]},
        {"source_kinds": KINDS},
        {"archived": None, "with_preview": None, "model_providers": [""]},
        {"since_ms": 1, "until_ms": 9},
        {"search_term": "he"},
        {"after": Anchor(1)},
        {"after": Anchor(1, "1"), "cwds": ["/0"], "since_ms": 1},
    ]
    keys: tuple[ThreadSortKey, ...] = ("created_at", "updated_at", "recency_at")
    for restrictions, key, direction in itertools.product(filters, keys, ("asc", "desc")):
        query = ThreadQuery(**restrictions, sort_key=key, direction=direction)
        steps = plans(db, query)
        index = f"ix_threads_{'cwd_' if query.cwds else ''}{key.removesuffix('_at')}"
        assert [step for step in steps if "threads" in step and index not in step] == []
        assert [step for step in steps if "TEMP B-TREE" in step or "SCAN threads" in step] == []


ROWS = st.builds(
    thread,
    st.sampled_from("abcdef"),
    archived=st.booleans(),
    preview=st.sampled_from(["", "hello", "the needle", 'a "quoted" word', "größer"]),
    name=st.sampled_from([None, "needle", "nee"]),
    source=st.sampled_from(["cli", "vscode", {"subagent": "review"}]),
    model_provider=st.sampled_from(["", "openai"]),
    cwd=st.sampled_from(["/x", "/x/", "/y"]),
    created_at_ms=st.integers(0, 5),
)
QUERIES = st.builds(
    ThreadQuery,
    archived=st.sampled_from([None, False, True]),
    with_preview=st.sampled_from([None, False, True]),
    source_kinds=st.sampled_from([None, KINDS, ()]),
    model_providers=st.sampled_from([None, ["openai"]]),
    cwds=st.sampled_from([None, ["/x"], ["/z"]]),
    search_term=st.sampled_from([None, "", "ne", "needle", 'a "q', "größ", "\0\0\0", "nothing"]),
    parent_id=st.sampled_from([None, "a"]),
    ancestor_id=st.sampled_from([None, "a"]),
    since_ms=st.sampled_from([None, 2]),
    until_ms=st.sampled_from([None, 4]),
    direction=st.sampled_from(["asc", "desc"]),
    after=st.sampled_from([None, Anchor(3), Anchor(3, "c")]),
    limit=st.integers(1, 4),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.lists(ROWS, max_size=4), st.sets(st.sampled_from("abcdef"))), max_size=4),
    data=st.data(),
)
def test_whatever_was_changed_lists_and_counts_are_those_of_the_memory_store(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[list[StoredThread], set[str]]], data: st.DataObject
) -> None:
    memory = MemoryState()
    edges = (SpawnEdge("a", "b"), SpawnEdge("b", "c"))
    with closing(StateDb.open(tmp_path_factory.mktemp("db") / "threadstore.sqlite")) as db:
        for store in (memory, db):
            for rows, gone in changes:
                store.commit(Change(threads=tuple(rows), vanished=tuple(gone), edges=edges))
        queries = data.draw(st.lists(QUERIES, min_size=1, max_size=8))
        for query in queries:
            assert db.list(query, queries) == memory.list(query, queries)
        assert db.counts(queries) == memory.counts(queries)


@pytest.mark.parametrize("restriction", [{"search_term": "same"}, {"since_ms": 0}, {"search_term": "me"}])
def test_what_only_a_look_at_each_row_would_tell_is_counted_to_a_bound(
    db: StateDb, restriction: dict[str, Any]
) -> None:
    rows = [thread(f"{n:04}", preview="the same", created_at_ms=n) for n in range(COUNTED)]
    db.commit(Change(threads=tuple(rows)))
    query = ThreadQuery(**restriction, limit=2)
    assert (db.list(query)).total == Count(COUNTED)
    db.commit(Change(threads=(thread("last", preview="the same", created_at_ms=COUNTED),)))
    page = db.list(query)
    assert [row.id for row in page.rows] == ["last", f"{COUNTED - 1:04}"]
    assert page.total.minimum
    assert 1 <= page.total.n <= COUNTED + 1
    assert (db.counts([query]))[0].minimum
    assert (db.counts([ThreadQuery()])) == [Count(COUNTED + 1)]


def test_a_count_that_is_a_minimum_is_not_less_than_its_page(db: StateDb) -> None:
    rows = [thread(f"{n:04}", preview="the same", archived=n < COUNTED, created_at_ms=n) for n in range(COUNTED + 40)]
    db.commit(Change(threads=tuple(rows)))
    query = ThreadQuery(search_term="same", limit=30)
    page = db.list(query, [dataclasses.replace(query, archived=True)])
    assert len(page.rows) == 30
    assert page.total.minimum
    assert page.beside[0].minimum
    assert 30 < page.total.n <= 40
    assert 1 <= page.beside[0].n <= COUNTED


def test_more_groups_than_one_statement_takes_are_merged_in_order(db: StateDb) -> None:
    rows = [thread(f"{n:03}", model_provider=f"p{n % 230}", created_at_ms=n) for n in range(460)]
    db.commit(Change(threads=tuple(rows)))
    page = db.list(ThreadQuery(limit=100))
    assert [row.created_at_ms for row in page.rows] == list(range(459, 359, -1))
    assert (page.total, page.more) == (Count(460), True)
