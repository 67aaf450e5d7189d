"""The state DB's file: opening, moving aside, migrating."""

# (a test may wait for its files and processes)

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import text
from sqlmodel import Session

from mcp_server.codex.sandbox import READ_ONLY
from mcp_server.errors import StoreFailure
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history import IndexCheckpoint, IndexUpdate, TextChunk
from mcp_server.models.records import BackfillState, Change, Move, SpawnEdge
from mcp_server.models.thread import StoredThread
from mcp_server.storage.query import TextQuery, ThreadQuery
from mcp_server.storage.sql.tables import REVISION
from mcp_server.storage.sqlite import schema
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.sqlite.engine import connect
from tests.stores.databases import THREAD, run_sql, set_back


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "threadstore.sqlite"


@pytest.fixture
def db(path: Path) -> Iterator[StateDb]:
    with closing(StateDb.open(path)) as db:
        yield db


def reopened(path: Path) -> tuple[Path | None, StoredThread | None]:
    """Where the file was moved, and the thread `a` that the database holds; asserts that it can be written."""
    with closing(StateDb.open(path)) as db:
        held = db.get("a")
        db.commit(Change(threads=(THREAD,)))
        assert db.get("a") == THREAD
        return db.moved_aside, held


def pragma(session: Session, name: str) -> object:
    return session.connection().execute(text(f"PRAGMA {name}")).scalar_one()


# ---------------------------------------------------------------------------------------------- opening


def test_folder_and_files_are_private(db: StateDb) -> None:
    assert stat.S_IMODE(db.path.parent.stat().st_mode) == 0o700
    files = list(db.path.parent.iterdir())
    assert {file.name for file in files} >= {"threadstore.sqlite", "threadstore.sqlite-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert db.moved_aside is None


def test_every_connection_has_the_pragmas(db: StateDb) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "application_id")
    expected = ["wal", 1, 1, 5_000, schema.APPLICATION_ID]
    with Session(db._engine) as first, Session(db._engine) as second:  # pyright: ignore[reportPrivateUsage]
        assert [pragma(first, name) for name in names] == expected
        assert [pragma(second, name) for name in names] == expected


def test_reading_and_writing_share_one_engine(db: StateDb) -> None:
    reader = db.read(lambda connection: connection.engine)
    writer = db.write(lambda connection: connection.engine)
    assert reader.pool is writer.pool


def test_rows_and_the_numbers_of_events_survive_reopening(path: Path) -> None:
    with closing(StateDb.open(path)) as db:
        db.commit(Change(threads=(THREAD,), events=(ThreadEvent("thread/closed", "a"),) * 3))
    run_sql(path, "DELETE FROM events")
    with closing(StateDb.open(path)) as db:
        assert db.get("a") == THREAD
        assert db.last_seq() == 0
        assert [event.seq for event in db.commit(Change(events=(ThreadEvent("thread/closed", "a"),)))] == [4]


def test_several_processes_may_open_a_new_database_at_once(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from mcp_server.models.event import ThreadEvent; from mcp_server.storage.contracts import Change\n"
        "from mcp_server.storage.sqlite.database import StateDb\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.readline()\n"
        "db = StateDb.open(Path(sys.argv[1]))\n"
        "for _ in range(5):\n"
        "    db.commit(Change(events=(ThreadEvent('thread/closed', sys.argv[2]),)))\n"
        "db.close(); assert db.moved_aside is None\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([*command, str(number)], text=True, stdin=pipe, stdout=pipe, stderr=pipe)
        for number in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert not path.exists()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    assert outcomes == [("", 0)] * 6
    with closing(StateDb.open(path)) as db:
        assert len(db.events_after(0, limit=99)) == db.last_seq() == 30


def test_a_folder_that_cannot_be_had_is_a_store_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFailure, match="no thread is lost"):
        StateDb.open(tmp_path / "file" / "threadstore.sqlite")
    with pytest.raises(StoreFailure):
        StateDb.open(tmp_path)


# ---------------------------------------------------------------------------------------------- moved aside


def test_a_file_that_is_no_database_is_moved_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a letter to my aunt\n" * 100)
    moved, held = reopened(path)
    assert moved is not None
    assert re.fullmatch(r"threadstore\.sqlite\.corrupt-\d+", moved.name)
    assert moved.read_bytes().startswith(b"a letter")
    assert held is None
    assert reopened(path) == (None, THREAD)


def test_another_programs_database_is_moved_aside_whole(path: Path) -> None:
    path.parent.mkdir()
    run_sql(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (42)")
    moved, _ = reopened(path)
    assert moved is not None
    assert run_sql(moved, "SELECT x FROM theirs") == [(42,)]


def test_a_database_with_another_application_id_is_moved_aside(path: Path) -> None:
    assert (reopened(path))[0] is None
    run_sql(path, "PRAGMA application_id=1")
    assert (reopened(path))[0] is not None


def test_a_truncated_database_is_moved_aside(path: Path) -> None:
    reopened(path)
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    moved, held = reopened(path)
    assert moved is not None
    assert moved.read_bytes() == whole[: len(whole) // 2]
    assert held is None


def test_a_database_with_a_ruined_page_is_moved_aside(path: Path) -> None:
    reopened(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    assert (reopened(path))[0] is not None


def test_files_moved_aside_in_one_second_do_not_overwrite_each_other(path: Path) -> None:
    path.parent.mkdir()
    moved: set[Path | None] = set()
    for _ in range(3):
        path.write_bytes(b"not a database at all" * 10)
        moved.add((reopened(path))[0])
        for part in path.parent.glob("threadstore.sqlite*"):
            if ".corrupt-" not in part.name:
                part.unlink()
    assert len(moved - {None}) == 3


def test_an_empty_file_and_an_empty_database_are_taken_over(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert reopened(path) == (None, None)
    path.unlink()
    run_sql(path, "PRAGMA journal_mode=WAL")
    assert reopened(path) == (None, None)


# ---------------------------------------------------------------------------------------------- as it is


def test_opening_an_existing_database_creates_moves_and_migrates_nothing(path: Path) -> None:
    assert StateDb.open_existing(path) is None
    assert not path.parent.exists()
    reopened(path)
    db = StateDb.open_existing(path)
    assert db is not None
    with closing(db):
        assert db.get("a") == THREAD
    run_sql(path, "DELETE FROM alembic_version")
    assert StateDb.open_existing(path) is None
    path.write_bytes(b"not a database at all")
    assert StateDb.open_existing(path) is None
    assert path.read_bytes() == b"not a database at all"


# ---------------------------------------------------------------------------------------------- migrations


def schema_of(path: Path) -> dict[str, str]:
    rows = run_sql(path, "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {str(name): " ".join(str(sql).split()) for name, sql in rows}


def make_base(path: Path) -> None:
    """A database of ours before its first revision."""
    path.parent.mkdir()
    engine = connect(path)
    with engine.begin() as connection:
        command.ensure_version(schema.alembic_config(connection))
        connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION_ID}")
    engine.dispose()


def test_a_database_of_an_older_revision_is_migrated_and_has_the_schema_of_a_new_one(
    path: Path, tmp_path: Path
) -> None:
    make_base(path)
    assert list(schema_of(path)) == ["table alembic_version"]
    assert reopened(path) == (None, None)
    reopened(tmp_path / "new.sqlite")
    assert schema_of(path) == schema_of(tmp_path / "new.sqlite")
    assert run_sql(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_migrating_the_first_schema_keeps_what_no_file_tells_and_builds_the_rows_again(path: Path) -> None:
    make_base(path)
    engine = connect(path)
    with engine.begin() as connection:
        command.upgrade(schema.alembic_config(connection), "0001")
        for statement in (
            "INSERT INTO events VALUES (7, 1, 'thread/closed', 'a', '{}')",
            "INSERT INTO tombstones VALUES ('gone', 1)",
            "INSERT INTO operations VALUES ('op', 'archive', 'a', 'running', 1, '{}')",
            "INSERT INTO operation_moves VALUES ('op', 0, 'a', 'sessions/a.jsonl')",
            "INSERT INTO spawn_edges VALUES ('child', 'a', 'closed')",
            "INSERT INTO backfill VALUES (1, 'complete', 'w', 'o', 1, 1, 5, 5)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with closing(StateDb.open(path)) as db:
        assert db.moved_aside is None
        assert [event.seq for event in db.events_after(0, limit=9)] == [7]
        assert db.deleted(["gone"]) == {"gone"}
        assert [operation.moves for operation in db.running_operations()] == [(Move("a", "sessions/a.jsonl"),)]
        assert db.edges_above("child") == [SpawnEdge("a", "child", "closed")]
        assert db.backfill() == BackfillState()
        assert db.known_rollouts() == {}


def test_rows_with_an_effort_that_is_no_text_are_taken_from_their_files_again(path: Path) -> None:
    efforts: dict[str, Any] = {"text": "high", "none": None, "object": {"a": "b"}, "number": 5, "list": ["x"]}
    with closing(StateDb.open(path)) as db:
        rows = [
            replace(THREAD, id=key, recorded={"model": "m", "reasoning_effort": effort})
            for key, effort in efforts.items()
        ]
        db.commit(Change(threads=(*rows, replace(THREAD, id="other", recorded={}))))
    set_back(path, "0006")
    with closing(StateDb.open(path)) as db:
        again = {key for key, one in db.known_rollouts().items() if one.stamp.mtime_ns == 0}
    assert again == {"object", "number", "list"}


def test_histories_that_were_indexed_by_an_older_version_are_read_again(path: Path) -> None:
    mark = IndexCheckpoint(THREAD.id, THREAD.stamp, 0, 9, "", turns=0, items=0, next_item=1, next_ordinal=0)
    piece = TextChunk(0, 0, 9, "of an older reading", False)
    query = TextQuery(("older",), ThreadQuery(archived=None, with_preview=None), tools=False, limit=9)
    with closing(StateDb.open(path)) as db:
        db.commit(Change(threads=(THREAD, replace(THREAD, id="writes", recorded={"sandbox": READ_ONLY}))))
        db.update([IndexUpdate(mark, None, 0, (), (piece,))])
        assert len(db.places(query)) == 1
    set_back(path, "0007")
    with closing(StateDb.open(path)) as db:
        assert db.places(query) == []
        assert set(db.unread(9)) == {THREAD.id, "writes"}
        assert db.checkpoints([THREAD.id]) == {}
        assert [key for key, one in db.known_rollouts().items() if one.stamp.mtime_ns == 0] == ["writes"]


def test_a_place_is_found_by_all_its_spellings_after_a_migration_too(path: Path) -> None:
    query = ThreadQuery(with_preview=None, cwds=["c:/Users/ME"])
    with closing(StateDb.open(path)) as db:
        db.commit(Change(threads=(replace(THREAD, cwd="C:\\Users\\Me\\"),)))
        assert len((db.list(query)).rows) == 1
    set_back(path, "0008")
    with closing(StateDb.open(path)) as db:
        assert len((db.list(query)).rows) == 1


def test_rows_and_counts_outlive_the_rebuilding_of_their_table_and_forks_are_taken_from_their_files_again(
    path: Path,
) -> None:
    with closing(StateDb.open(path)) as db:
        fork = replace(THREAD, id="fork", forked_from_id="a", history_mode="paginated")
        db.commit(Change(threads=(replace(THREAD, id="a", name="called so"), fork)))
    set_back(path, "0010")
    with closing(StateDb.open(path)) as db:
        page = db.list(ThreadQuery())
        assert ({row.id for row in page.rows}, page.total.n) == ({"a", "fork"}, 2)
        assert db.matching(name="called so", limit=2) == ["a"]
        assert db.unread(9) != []
        again = {key for key, one in db.known_rollouts().items() if one.stamp.mtime_ns == 0}
    assert again == {"fork"}


def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path) -> None:
    make_base(path)
    run_sql(path, "CREATE TABLE meta (x)")
    before = schema_of(path)
    with pytest.raises(StoreFailure):
        StateDb.open(path)
    assert schema_of(path) == before
    run_sql(path, "DROP TABLE meta")
    assert reopened(path) == (None, None)


def test_the_tables_are_stamped_with_the_newest_revision() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == REVISION


def test_peer_262_open_state_sqlite_tolerates_newer_applied_migrations(path: Path) -> None:
    reopened(path)
    run_sql(path, "UPDATE alembic_version SET version_num = '9999'", "ALTER TABLE threads ADD COLUMN later TEXT")
    assert reopened(path) == (None, THREAD)
    assert run_sql(path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_alembic_is_imported_only_to_migrate_and_sqlmodel_only_with_the_state_db(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "import mcp_server.storage.contracts, mcp_server.storage.memory.index\n"
        "assert 'sqlmodel' not in sys.modules\n"
        "from mcp_server.storage.sqlite.database import StateDb\n"
        "StateDb.open(Path(sys.argv[1])).close(); StateDb.open(Path(sys.argv[1])).close()\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
