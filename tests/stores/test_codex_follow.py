"""Codex's own rows follow what was done to their threads; a database that is not as it is known is left alone."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.models.thread import GitInfo
from mcp_server.storage.codex_rows import FollowedGit
from mcp_server.storage.files.codex_follow import CodexDatabase
from tests.codex_database import FILE, Row, make, opened, rows_of

ID, OTHER = "01a20573-6cf9-7571-8ffd-987dd4a20146", "01a20573-7404-7300-90d9-4e235fcb4094"
NAME = f"rollout-2026-11-22T22-49-40-{ID}.jsonl"
ACTIVE, ARCHIVED = f"sessions/2026/11/22/{NAME}", f"archived_sessions/{NAME}"
OTHER_ARCHIVED = f"archived_sessions/rollout-2026-11-22T22-49-42-{OTHER}.jsonl"


def rows_in(home: Path, sqlite_home: Path | None = None, *, read_only: bool = False) -> CodexDatabase:
    return CodexDatabase(home, sqlite_home or home, read_only=read_only, busy_seconds=0.05)


def row(home: Path, path: str = ACTIVE, **fields: Any) -> Row:
    return {"id": ID, "rollout_path": f"{home}/{path}", "history_mode": "paginated", **fields}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# ---------------------------------------------------------------------------------------------- moved


def test_an_archived_thread_is_archived_now_and_where_its_file_is(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path), row(tmp_path, id=OTHER))
    before, began = rows_of(tmp_path), int(time.time())
    assert rows_in(tmp_path).move({ID: RolloutRef(ARCHIVED)}) is None
    after = rows_of(tmp_path)
    assert began <= after[ID].pop("archived_at") <= time.time()
    assert after[ID] == {
        key: value
        for key, value in (before[ID] | {"rollout_path": f"{tmp_path}/{ARCHIVED}", "archived": 1}).items()
        if key != "archived_at"
    }
    assert after[OTHER] == before[OTHER]


def test_an_unarchived_thread_is_archived_since_never(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path, ARCHIVED, archived=1, archived_at=5))
    before = rows_of(tmp_path)
    assert rows_in(tmp_path).move({ID: RolloutRef(ACTIVE)}) is None
    changed = {"rollout_path": f"{tmp_path}/{ACTIVE}", "archived": 0, "archived_at": None}
    assert rows_of(tmp_path) == {ID: before[ID] | changed}


def test_a_row_that_is_archived_already_keeps_its_time(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path, ARCHIVED, archived=1, archived_at=5))
    before = rows_of(tmp_path)
    assert rows_in(tmp_path).move({ID: RolloutRef(ARCHIVED)}) is None
    assert rows_of(tmp_path) == before


def test_a_thousand_rows_follow_in_one_transaction_and_none_is_made(tmp_path: Path) -> None:
    ids = [f"01a20573-6cf9-7571-8ffd-{number:012}" for number in range(1_000)]
    make(tmp_path, *(row(tmp_path, f"{ACTIVE[:20]}/rollout-{thread_id}.jsonl", id=thread_id) for thread_id in ids))
    statements: list[str] = []
    database = rows_in(tmp_path)
    real = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = real(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        all_of_them = {i: RolloutRef(f"archived_sessions/rollout-{i}.jsonl") for i in [*ids, "a thread of ours"]}
        assert database.move(all_of_them) is None
    assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") == 1
    after = rows_of(tmp_path)
    assert sorted(after) == ids
    assert {row["archived"] for row in after.values()} == {1}
    expected = [f"{tmp_path}/archived_sessions/rollout-{thread_id}.jsonl" for thread_id in ids]
    assert [row["rollout_path"] for row in after.values()] == expected


def test_codex_names_the_plain_file_of_a_compressed_rollout(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path))
    assert rows_in(tmp_path).move({ID: RolloutRef(f"{ARCHIVED}.zst")}) is None
    assert rows_of(tmp_path)[ID]["rollout_path"] == f"{tmp_path}/{ARCHIVED}"


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_home_that_we_reach_by_a_link_stays_as_codex_spells_it(tmp_path: Path) -> None:
    real, link = tmp_path / "real sessions", tmp_path / "link"
    make(real, row(real))
    link.symlink_to(real)
    assert rows_in(link).move({ID: RolloutRef(ARCHIVED)}) is None
    assert rows_of(real)[ID]["rollout_path"] == f"{real}/{ARCHIVED}"


def test_a_row_of_another_home_is_left_and_the_others_follow(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    make(home, row(elsewhere), row(home, id=OTHER))
    left = rows_in(home).move({ID: RolloutRef(ARCHIVED), OTHER: RolloutRef(OTHER_ARCHIVED)})
    assert left is not None
    assert f"its row of thread {ID} names a file that is not in this home, {elsewhere}/{ACTIVE}" in left
    after = rows_of(home)
    assert (after[ID]["rollout_path"], after[ID]["archived"]) == (f"{elsewhere}/{ACTIVE}", 0)
    assert (after[OTHER]["rollout_path"], after[OTHER]["archived"]) == (f"{home}/{OTHER_ARCHIVED}", 1)


# ---------------------------------------------------------------------------------------------- named, git


@pytest.mark.parametrize(("mode", "column"), [("paginated", "name"), ("legacy", "title")])
def test_a_name_goes_where_codex_keeps_it(tmp_path: Path, mode: str, column: str) -> None:
    make(tmp_path, row(tmp_path, history_mode=mode, title="the first message"))
    before = rows_of(tmp_path)
    assert rows_in(tmp_path).name(ID, "the name") is None
    assert rows_of(tmp_path) == {ID: before[ID] | {column: "the name"}}


def test_a_change_of_git_info_touches_the_given_fields_and_answers_with_all(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path, git_sha="abc", git_branch="old"))
    followed = rows_in(tmp_path).git(ID, {"branch": None, "origin_url": "https://example.org"})
    assert followed == FollowedGit(GitInfo(sha="abc", branch=None, origin_url="https://example.org"))
    assert rows_of(tmp_path)[ID]["git_branch"] is None


def test_a_thread_that_codex_does_not_know_gets_no_row(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path))
    before, database = rows_of(tmp_path), rows_in(tmp_path)
    assert not database.follows(OTHER)
    assert database.move({OTHER: RolloutRef(OTHER_ARCHIVED)}) is None
    assert database.name(OTHER, "name") is None
    assert database.git(OTHER, {"sha": "abc"}) == FollowedGit()
    assert rows_of(tmp_path) == before


def test_a_move_without_a_codex_database_reports_nothing_and_creates_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "not there"):
        assert rows_in(tmp_path, folder).move({ID: RolloutRef(ARCHIVED)}) is None
    assert list(tmp_path.iterdir()) == []


def test_the_databases_of_a_home_may_lie_elsewhere(tmp_path: Path) -> None:
    home, databases = tmp_path / "home", tmp_path / "databases"
    home.mkdir()
    make(databases, row(home))
    assert rows_in(home, databases).move({ID: RolloutRef(ARCHIVED)}) is None
    assert rows_of(databases)[ID]["archived"] == 1


def test_a_dry_run_of_a_move_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path))
    before = rows_of(tmp_path)
    assert rows_in(tmp_path).move({ID: RolloutRef(ARCHIVED)}, dry_run=True) is None
    assert rows_of(tmp_path) == before


# ---------------------------------------------------------------------------------------------- left alone


def refused(home: Path, *, read_only: bool = False) -> str:
    """The sentence that all three say, and a dry run before where that can be foretold."""
    database = rows_in(home, read_only=read_only)
    git = (database.git(ID, {"sha": "a"})).why_not
    foretold = database.move({ID: RolloutRef(ARCHIVED)}, dry_run=True)
    said = [database.move({ID: RolloutRef(ARCHIVED)}), database.name(ID, "name"), git]
    assert not (read_only and database.follows(ID))
    (sentence,) = {str(one).partition(";")[0] for one in said}
    assert foretold is None or foretold.partition(";")[0] == sentence  # whether it will be busy can't be foretold
    assert sentence.startswith("Codex's own database ")
    assert "was left as it is: " in sentence
    return sentence


def test_a_busy_database_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path))
    before = rows_of(tmp_path)
    with opened(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another program is writing to it" in refused(tmp_path)
    assert rows_of(tmp_path) == before


@pytest.mark.parametrize("missing", ["rollout_path", "archived_at", "history_mode", "name", "git_branch"])
def test_a_schema_without_a_column_that_is_needed_is_left_alone(tmp_path: Path, missing: str) -> None:
    fields = {key: value for key, value in row(tmp_path).items() if key != missing}
    make(tmp_path, fields, without=missing)
    before = files(tmp_path)
    assert f"its schema is unknown to this version, `threads` has no {missing}" in refused(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("migrations", "reason"),
    [
        ({}, "not numbered in a row"),
        ({1: True, 3: True}, "not numbered in a row"),
        ({1: True, 2: False}, "not complete"),
    ],
)
def test_a_database_amid_migrations_is_left_alone(tmp_path: Path, migrations: dict[int, bool], reason: str) -> None:
    make(tmp_path, row(tmp_path), migrations=migrations)
    before = files(tmp_path)
    assert reason in refused(tmp_path)
    assert files(tmp_path) == before


def test_a_database_of_a_later_generation_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path)).rename(tmp_path / "state_6.sqlite")
    assert "newer than what this version knows" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database, and long enough to be none" * 100, b"SQLite format 3\0"])
def test_a_damaged_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    refused(tmp_path)
    assert files(tmp_path) == {FILE: content}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write to all files")
def test_a_read_only_database_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path)).chmod(0o400)
    before = files(tmp_path)
    assert "it is read-only" in refused(tmp_path)
    assert files(tmp_path) == before


def test_a_folder_or_a_pipe_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert "no regular file" in refused(tmp_path)
    if hasattr(os, "mkfifo"):
        (tmp_path / FILE).rmdir()
        os.mkfifo(tmp_path / FILE)
        assert "no regular file" in refused(tmp_path)


def test_a_server_with_codex_db_read_only_changes_nothing_and_says_so(tmp_path: Path) -> None:
    make(tmp_path, row(tmp_path))
    before = files(tmp_path)
    assert "(--codex-db read-only)" in refused(tmp_path, read_only=True)
    assert files(tmp_path) == before
    quiet = rows_in(tmp_path, read_only=True)
    assert quiet.move({ID: RolloutRef(ACTIVE)}) is None  # it tells so already
    assert quiet.move({OTHER: RolloutRef(OTHER_ARCHIVED)}) is None
