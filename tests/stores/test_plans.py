"""No look and no change goes through a whole table: what it costs does not grow with what others have stored."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Engine, event

from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change, Move, Moved, Operation, SpawnEdge
from mcp_server.models.thread import FileStamp, LastTurn, StoredThread
from mcp_server.storage.query import TextQuery, ThreadQuery
from mcp_server.storage.sqlite.database import StateDb

# What a statement may go through: what it was given, what it has made of that, what a match finds in an index of texts.
MADE = r"tree|chain|few|some|page|below|holding|\(subquery-\d+\)|SUBQUERY \d+|CONSTANT ROW"
SMALL = re.compile(rf"SCAN (TABLE )?(\w+ VIRTUAL TABLE|(temp\.)?written|{MADE})(?!\w)")

Asked = list[str]


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Every statement that any connection runs, its values in it."""
    statements: Asked = []

    def trace(connection: sqlite3.Connection, _record: Any) -> None:
        connection.set_trace_callback(statements.append)

    event.listen(Engine, "connect", trace)
    yield statements
    event.remove(Engine, "connect", trace)


@pytest.fixture
def db(asked: Asked, tmp_path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(tmp_path / "threadstore.sqlite")) as db:
        asked.clear()
        yield db


def thread(key: str, **changes: Any) -> StoredThread:
    row = StoredThread(key, f"sessions/{key}.jsonl", FileStamp(1, 1), False, 1, 1, 1, preview="hello", name=f"n{key}")
    return structs.replace(row, **changes)


def plans(db: StateDb, asked: Asked) -> Iterator[tuple[str, list[str]]]:
    """The statements, each with the steps that SQLite would take."""
    with db.transaction() as connection:
        for sql in list(asked):
            if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE|INSERT)", sql):
                yield sql, [str(step[3]) for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]


def scans(db: StateDb, asked: Asked) -> list[str]:
    """The steps by which SQLite would go through all rows of a table, and the statements they are of."""
    found: list[str] = []
    for sql, steps in plans(db, asked):
        if "LIMIT" in sql:  # a walk along an index ends after a page
            steps = [step for step in steps if not re.search("USING (COVERING )?INDEX", step)]
        found += [f"{step}: {sql}" for step in steps if "SCAN" in step and not SMALL.match(step)]
    return found


def test_a_scan_is_detected_under_any_alias_of_its_table(db: StateDb, asked: Asked) -> None:
    with db.transaction() as connection:
        connection.exec_driver_sql("SELECT * FROM threads AS t WHERE t.agent_role = 'scout'")
    assert len(scans(db, asked)) == 1


@pytest.mark.parametrize("thread_id", [None, "a"])
def test_the_turns_of_matches_are_found_by_their_offsets(db: StateDb, asked: Asked, thread_id: str | None) -> None:
    db.commit(Change(threads=(thread("a"),)))
    asked.clear()
    assert db.places(TextQuery(("words",), ThreadQuery(), thread_id=thread_id)) == []
    (steps,) = [steps for sql, steps in plans(db, asked) if "texts" in sql]
    assert "SEARCH turns USING INDEX ix_turns_start (history=? AND start=?) LEFT-JOIN" in steps
    assert scans(db, asked) == []


def test_a_tree_is_found_listed_and_moved_along_indexes(db: StateDb, asked: Asked) -> None:
    rows = [thread(key) for key in "abcd"]
    edges = (SpawnEdge("a", "b"), SpawnEdge("b", "c"))
    db.commit(Change(threads=tuple(rows), edges=edges))
    asked.clear()
    assert (db.edges_above("b"), db.edges_below(["b"])) == ([edges[0]], [edges[1]])
    assert db.edges_above("c") == [edges[1], edges[0]]
    assert set(db.known_rollouts(["a", "b", "c"])) == {"a", "b", "c"}
    assert set(db.get_many(["a", "b"])) == {"a", "b"}
    for query in (ThreadQuery(ancestor_id="a"), ThreadQuery(parent_id="a"), ThreadQuery(search_term="hello")):
        assert (db.list(query, [replace(query, archived=True)])).rows
    operation = Operation("op", "archive", "a", (Move("a", "sessions/a.jsonl"),), "running", 1)
    db.commit(Change(operation=operation))
    moved = Moved("a", "archived_sessions/a.jsonl", True, FileStamp(1, 2))
    db.commit(Change(operation=replace(operation, state="done"), moved=(moved,)))
    assert db.last_operations("archive", ["a"]) == {"a": "op"}
    db.commit(Change(forgotten=("a",), tombstones=("a",)))
    assert scans(db, asked) == []


def test_rows_with_a_rare_state_or_with_a_name_are_found_along_indexes(db: StateDb, asked: Asked) -> None:
    failed, open_ = LastTurn("failed"), LastTurn("inProgress")
    db.commit(Change(threads=(thread("a", cwd="/w/b", last_turn=failed), thread("b", cwd="/w", last_turn=open_))))
    asked.clear()
    crashed = ThreadQuery(last_turns=["crashed"], held=["a"], cwds=["/w"])
    for query in (ThreadQuery(last_turns=["failed"]), crashed, ThreadQuery(named=True, cwds=["/"])):
        assert db.list(query, [replace(query, archived=True)]).rows
    assert scans(db, asked) == []


def test_one_thread_and_what_follows_an_event_are_found_along_indexes(db: StateDb, asked: Asked) -> None:
    db.commit(Change(threads=(thread("a"), thread("b")), events=(ThreadEvent("thread/started", "a", {}),)))
    asked.clear()
    assert db.get("a")
    assert db.matching(prefix="a", limit=5) == ["a"]
    assert db.matching(name="nb", limit=5) == ["b"]
    assert db.forks_of("a") == []
    assert len(db.events_after(0, limit=5)) == 1
    assert len(db.events_after(0, limit=5, thread_ids=["a"])) == 1
    assert db.last_seq() == 1
    assert db.operation("op") is None
    assert db.running_operations() == []
    assert db.checkpoints(["a"]) == {}
    assert set(db.unread(5)) == {"a", "b"}
    db.commit(Change(threads=(thread("a", preview="other"),)))
    assert scans(db, asked) == []
