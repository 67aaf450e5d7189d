"""Lists whose cost does not grow: what SQLite is asked walks along an index, and what is counted is never wrong."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mcp_server.models.records import Change
from mcp_server.models.thread import FileStamp, SourceKind, StoredThread, ThreadSortKey
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
        {"named": False, "cwds": ["/0"]},
    ]
    keys: tuple[ThreadSortKey, ...] = ("created_at", "updated_at", "recency_at")
    for restrictions, key, direction in itertools.product(filters, keys, ("asc", "desc")):
        query = ThreadQuery(**restrictions, sort_key=key, direction=direction)
        steps = plans(db, query)
        index = f"ix_threads_{'cwd_' if query.cwds else ''}{key.removesuffix('_at')}"
        assert [step for step in steps if "threads" in step and index not in step] == []
        assert [step for step in steps if "TEMP B-TREE" in step or "SCAN threads" in step] == []


@pytest.mark.parametrize("restriction", [{"search_term": "same"}, {"since_ms": 0}, {"search_term": "me"}])
def test_a_count_that_needs_every_row_ends_at_a_bound(db: StateDb, restriction: dict[str, Any]) -> None:
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
