"""Codex's own databases: read for what no rollout holds, never touched, never missed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import homes
import pytest

from mcp_server.models.records import SpawnEdge
from mcp_server.storage.files import codex_db as codex_state

golden_home = homes.golden_home

SCHEMA = """
CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT NOT NULL DEFAULT '', name TEXT);
CREATE TABLE thread_spawn_edges (
    parent_thread_id TEXT NOT NULL, child_thread_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL
);
"""


@contextmanager
def codex_database(home: Path, number: int = 5) -> Generator[sqlite3.Connection]:
    """A WAL database like Codex's, open while the block runs."""
    with closing(sqlite3.connect(home / f"state_{number}.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.executescript(SCHEMA)
        yield connection


def snapshot(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}


def test_names_are_those_of_threads_that_have_one(tmp_path: Path) -> None:
    with codex_database(tmp_path) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', ' Named '), ('b', 't', NULL), ('c', 't', '  ')")
    assert codex_state.names(tmp_path) == {"a": "Named"}


def test_closed_edges_are_listed_and_open_ones_are_not(tmp_path: Path) -> None:
    with codex_database(tmp_path) as connection:
        connection.execute("INSERT INTO thread_spawn_edges VALUES ('p', 'y', 'closed'), ('p', 'x', 'open')")
    assert codex_state.closed_edges(tmp_path) == [SpawnEdge("p", "y", "closed")]


def test_the_newest_generation_counts_by_number_not_by_name(tmp_path: Path) -> None:
    with codex_database(tmp_path, 9) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'nine')")
    with codex_database(tmp_path, 10) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'ten')")
    (tmp_path / "state_11.sqlite.bak").write_bytes(b"")
    assert codex_state.names(tmp_path) == {"a": "ten"}


def test_what_a_running_codex_has_not_checkpointed_is_seen(tmp_path: Path) -> None:
    with codex_database(tmp_path) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'in the WAL')")
        assert codex_state.names(tmp_path) == {"a": "in the WAL"}


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    with codex_database(tmp_path) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'x')")
    before = snapshot(tmp_path)
    codex_state.names(tmp_path)
    codex_state.closed_edges(tmp_path)
    assert snapshot(tmp_path) == before
    assert set(before) == {"state_5.sqlite"}


def test_a_wal_that_nobody_has_open_is_left_alone(tmp_path: Path) -> None:
    live, copied = tmp_path / "live", tmp_path / "copied"
    live.mkdir()
    copied.mkdir()
    with codex_database(live) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'in the WAL')")
        for name in ("state_5.sqlite", "state_5.sqlite-wal"):
            shutil.copy(live / name, copied / name)
    before = snapshot(copied)
    assert codex_state.names(copied) == {}
    assert snapshot(copied) == before


def test_without_a_database_nothing_is_known_and_none_is_made(tmp_path: Path) -> None:
    assert codex_state.names(tmp_path) == {}
    assert codex_state.closed_edges(tmp_path / "not there") == []
    assert snapshot(tmp_path) == {}


def test_an_older_schema_knows_nothing(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state_4.sqlite")) as connection:
        connection.execute("CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT)")
    assert codex_state.names(tmp_path) == {}
    assert codex_state.closed_edges(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"not a database, and long enough to be none" * 100, b"SQLite format 3\0"])
def test_a_damaged_database_knows_nothing_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state_5.sqlite"
    path.write_bytes(content)
    assert codex_state.names(tmp_path) == {}
    assert codex_state.closed_edges(tmp_path) == []
    assert snapshot(tmp_path) == {"state_5.sqlite": content}


def test_a_locked_database_knows_nothing(tmp_path: Path) -> None:
    with codex_database(tmp_path) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'x')")
        connection.execute("PRAGMA journal_mode = delete")
        assert codex_state.names(tmp_path) == {"a": "x"}
        connection.execute("BEGIN EXCLUSIVE")
        assert codex_state.names(tmp_path) == {}


def test_a_home_whose_path_has_signs_of_a_uri_is_read(tmp_path: Path) -> None:
    home = tmp_path / "50% #1 what?" if os.name != "nt" else tmp_path / "50% #1"
    home.mkdir()
    with codex_database(home) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 't', 'x')")
    assert codex_state.names(home) == {"a": "x"}


def test_the_golden_home_names_its_paginated_and_its_legacy_thread(golden_home: Path) -> None:
    before = snapshot(golden_home)
    assert codex_state.names(golden_home) == {
        "01a20581-4c44-79a1-9c14-fad668f78416": "Golden Name P",
        "01a20581-4d62-7592-9cd6-fa35b8a718d9": "Golden Name L",
    }
    assert codex_state.closed_edges(golden_home) == []
    assert snapshot(golden_home) == before
