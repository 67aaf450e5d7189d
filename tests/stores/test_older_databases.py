"""State DBs as older versions have left them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mcp_server.models.history_base import HistoryBase
from mcp_server.models.records import BackfillState, Move, Operation, Receipt, SpawnEdge
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.storage.query import Count, TextQuery, ThreadQuery, ThreadRows, WordQuery
from mcp_server.storage.sqlite.database import StateDb


def test_a_database_of_revision_0014_keeps_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "threadstore.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("revision_0014.sql").read_text(encoding="utf-8"))
    with closing(StateDb.open(path)) as db:
        assert db.moved_aside is None
        check_log_of_0014(db)
        check_threads_of_0014(db)
        check_texts_of_0014(db)
    with closing(StateDb.open(path)) as db:
        assert db.last_seq() == 1


def check_log_of_0014(db: StateDb) -> None:
    (event,) = db.events_after(0, limit=9)
    assert (event.seq, event.type, event.thread_id) == (1, "thread/name/updated", "root")
    assert event.payload == {"thread_id": "root", "thread_name": "The \ud800 root"}
    moves = Move("child", "sessions/child.jsonl"), Move("root", "sessions/2026/11/22/root.jsonl")
    running = Operation("op-1", "archive", "root", moves, "running", 7, {"asked": ["root"]})
    done = Operation("op-0", "delete", "gone", (Move("gone", "sessions/gone.jsonl"),), "done", 6, {"deleted": 1})
    assert db.running_operations() == [running]
    assert db.operation("op-0") == done
    claim = Receipt("client", "", "claimed", "thread_start", "f1", "p1", 8)
    result = {"turn": {"id": "t", "items": [1, 2.5, None, True]}}
    assert db.receipts("client", "claimed") == [claim]
    assert db.receipts("client", "done") == [Receipt("client", "c1", "done", "turn_append", "f2", "p2", 10, result)]
    assert db.deleted(["gone", "root"]) == {"gone"}
    assert db.backfill() == BackfillState("complete", "w", "me", 14, 15, 2, 2, 16)
    assert db.names_stamp() == FileStamp(11, 12)


def check_threads_of_0014(db: StateDb) -> None:
    recorded = {"model": "gpt", "approval_policy": "never", "sandbox": {"type": "readOnly"}}
    root = StoredThread(
        "root",
        "sessions/2026/11/22/root.jsonl",
        FileStamp(900, 1_790_000_000_123_456_789),
        False,
        1_790_000_000_000,
        1_790_000_000_123,
        1_790_000_000_100,
        session_id="root",
        preview='Say "größer"',
        name="The root",
        source="cli",
        model_provider="openai",
        cwd="/srv/Project/",
        cli_version="0.169.0",
        originator="codex",
        git=GitInfo(sha="abc", branch="main"),
        recorded=recorded,
    )
    child = StoredThread(
        "child",
        "archived_sessions/child.jsonl",
        FileStamp(100, 2_000_000),
        True,
        2,
        3,
        4,
        archived_at_ms=5,
        session_id="root",
        parent_thread_id="root",
        forked_from_id="root",
        source={"subagent": {"thread_spawn": {"parent_thread_id": "root", "depth": 1}}},
        agent_nickname="Gen",
        history_mode="paginated",
        history_base=HistoryBase("root", 12, 345),
        attached_to_id="root",
    )
    assert db.get_many(["root", "child"]) == {"root": root, "child": child}
    for query in (ThreadQuery(cwds=["/srv/Project"]), ThreadQuery(search_term="größer"), ThreadQuery(ids=["root"])):
        assert db.list(query) == ThreadRows((root,), Count(1), more=False, copies=Count(1))
    assert db.edges_above("child") == [SpawnEdge("root", "child")]
    assert db.edges_above("grandchild") == [SpawnEdge("root", "grandchild", "closed")]
    assert [copy.path for copy in db.copies()] == ["sessions/copy.jsonl"]
    assert [bad.path for bad in db.unreadable()] == ["sessions/bad.jsonl"]


def check_texts_of_0014(db: StateDb) -> None:
    """Histories are read again, for the index of words."""
    assert (db.checkpoints(["root"]), db.spans("root", 0, 9)) == ({}, [])
    for literal, tools in (("needle", False), ("a tool", True)):
        assert db.places(TextQuery((literal,), ThreadQuery(), tools=tools)) == []
    assert sorted(db.unread(9)) == ["child", "root"]
    assert len(db.named(["ROOT"], ThreadQuery(), 9)) == 1
    assert [hit.thread_id for hit in db.find_words(WordQuery((("root",),), ThreadQuery())).hits] == ["root"]
