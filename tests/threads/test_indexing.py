"""Histories are brought up to date behind everything else: all of a home in the end, the last changed threads first."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from rollout_lines import agent, ended, event, line, started, user
from sqlalchemy import Connection

from mcp_server.background_indexer import keep_indexed
from mcp_server.codex.lines import RawLine, RolloutLine, encode_line
from mcp_server.errors import StoreFailure
from mcp_server.models.history import IndexUpdate
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.query import TextQuery, ThreadQuery
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.lookup import HomeFiles, IndexedFiles
from mcp_server.sync.reconciler import sync
from mcp_server.threads.turn_index import BATCH, QUIET_SECONDS, IndexBuilder, Indexer
from tests.damage import fuzz

LONG_AGO = 1_700_000_000


def thread_id(number: int) -> str:
    return f"01a20581-0000-7000-8000-{number:012x}"


class Home:
    """Threads that others wrote, the n-th of them n seconds after the first, and the rows of them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.db_path = folder / "threadstore.sqlite"
        self.state = StateDb.open(self.db_path)
        self.rollouts = RolloutFiles(folder)
        self.indexer = self.indexer_beside()

    def indexer_beside(self, *written_here: str) -> Indexer:
        """An indexer of a process that writes these threads."""
        lookup = IndexedFiles(HomeFiles(self.rollouts), self.state)
        return Indexer(self.rollouts, lookup, lambda: written_here)

    def file(self, number: int) -> Path:
        return self.path / f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{thread_id(number)}.jsonl"

    def put(self, number: int, data: bytes | None = None, at: float | None = None) -> None:
        path = self.file(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(thread(number, user(f"words of {number}")) if data is None else data)
        at = LONG_AGO + number if at is None else at
        os.utime(path, (at, at))

    def seen(self) -> None:
        sync(self.rollouts, self.state, quiet=True)

    def indexed(self) -> list[int]:
        ids = [thread_id(number) for number in range(5_000)]
        return sorted(int(key[-12:], 16) for key in self.state.checkpoints(ids))


def thread(number: int, *lines: RolloutLine) -> bytes:
    meta = line("session_meta", id=thread_id(number), timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
    return b"".join(map(encode_line, (meta, started("a"), *lines, ended("a"))))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.state.close()


def test_the_last_changed_threads_are_indexed_first_until_none_is_left(home: Home) -> None:
    count = 2 * BATCH + 7
    for number in range(count):
        home.put(number)
    home.seen()
    taken = [home.indexer.step()]
    assert home.indexed() == [*range(count - BATCH, count)]
    while taken[-1]:
        taken.append(home.indexer.step())
    assert taken == [BATCH, BATCH, 7, 0]
    assert (home.indexed(), home.state.progress().unread) == ([*range(count)], 0)
    (place,) = home.state.places(TextQuery(("words of 70",), ThreadQuery()))
    assert place.thread.id == thread_id(70)


def test_threads_that_changed_a_moment_ago_or_are_written_here_wait(home: Home) -> None:
    home.put(1, at=time.time())
    home.put(2, at=time.time() - QUIET_SECONDS - 1)
    home.put(3)
    home.put(4, at=time.time() + 1_000_000)  # by a clock that is wrong
    home.seen()
    assert home.indexer_beside(thread_id(3)).step() == 2
    assert home.indexed() == [2, 4]
    assert home.indexer.step() == 1
    assert home.indexed() == [2, 3, 4]


def test_many_that_have_to_wait_keep_no_other_from_being_indexed(home: Home) -> None:
    busy = range(10, 10 + 3 * BATCH)
    for number in busy:
        home.put(number)
    home.put(1)
    home.seen()
    own = home.indexer_beside(*map(thread_id, busy))
    assert own.step() == 1
    assert home.indexed() == [1]


def test_a_rollout_that_can_not_be_read_stops_nothing_and_is_tried_again_when_it_has_changed(home: Home) -> None:
    for number in range(3):
        home.put(number)
    home.seen()
    good = home.file(1).read_bytes()
    home.file(1).unlink()
    assert [home.indexer.step(), home.indexer.step()] == [3, 0]
    assert home.indexed() == [0, 2]
    home.put(1, good, at=LONG_AGO + 99)
    home.seen()
    assert [home.indexer.step(), home.indexer.step()] == [1, 0]
    assert home.indexed() == [0, 1, 2]


def test_a_fork_whose_base_can_not_be_read_stops_nothing(home: Home) -> None:
    home.put(0)
    size = home.file(0).stat().st_size
    base = {"thread_id": thread_id(0), "end_ordinal_exclusive": 4, "end_byte_offset": size}
    meta = line("session_meta", id=thread_id(1), cwd="/w", source="cli", history_mode="paginated", history_base=base)
    home.put(1, encode_line(meta))
    home.put(2)
    home.seen()
    home.file(0).write_bytes(b"no rollout at all\n" * 9)
    assert [home.indexer.step(), home.indexer.step()] == [3, 0]
    assert 2 in home.indexed()


def test_an_update_that_the_state_db_refused_is_tried_again(home: Home) -> None:
    home.put(1)
    home.seen()
    with closing(sqlite3.connect(home.db_path, isolation_level=None)) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON histories BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(StoreFailure, match="disk is full"):
            home.indexer.step()
        db.execute("DROP TRIGGER full")
    assert home.indexer.step() == 1
    assert home.indexed() == [1]


def test_a_history_that_the_index_has_no_room_for_keeps_no_other_from_being_indexed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_server.storage.sql import turns

    for number in range(3):
        home.put(number)
    home.seen()
    real = turns.apply_updates

    def choosy(connection: Connection, steps: Sequence[IndexUpdate]) -> list[int | None]:
        if thread_id(1) in {step.checkpoint.thread_id for step in steps}:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return real(connection, steps)

    monkeypatch.setattr(turns, "apply_updates", choosy)
    assert [home.indexer.step(), home.indexer.step()] == [3, 0]
    assert home.indexed() == [0, 2]


def test_a_history_that_makes_the_reader_fail_keeps_no_other_from_being_indexed(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        home.put(number)
    home.seen()
    real = IndexBuilder.take

    def failing(scan: IndexBuilder, batch: Sequence[RawLine]) -> None:
        if any(b"words of 1" in raw.data for raw in batch):
            raise ZeroDivisionError("a mistake of ours")
        real(scan, batch)

    monkeypatch.setattr(IndexBuilder, "take", failing)
    assert [home.indexer.step(), home.indexer.step()] == [3, 0]
    assert home.indexed() == [0, 2]
    assert f"{thread_id(1)}.jsonl" in caplog.text
    assert "a mistake of ours" in caplog.text


STRANGE = {
    "numbers that no column holds": [event("task_started", turn_id="b", started_at=10**30, root_turn_id=7)],
    "an error of strange numbers": [ended("a", error={"message": "m", "codex_error_info": {"n": 10**30, "f": 1e308}})],
    "an ordinal that no column holds": [RolloutLine("event_msg", {"type": "task_started"}, ordinal=10**30)],
    "a NUL in ids and texts": [started("\0"), user("a\0b"), agent("\0"), ended("\0")],
    "an id of a megabyte": [started("x" * (1 << 20)), user("m"), ended("x" * (1 << 20))],
    "a text of ten megabytes": [user("word " * (2 << 20))],
}


@pytest.mark.parametrize("lines", STRANGE.values(), ids=STRANGE)
def test_whatever_a_rollout_holds_it_and_those_beside_it_are_indexed(home: Home, lines: list[RolloutLine]) -> None:
    home.put(0)
    home.put(1, thread(1, user("words"), *lines))
    home.put(2)
    home.seen()
    while home.indexer.step():
        pass
    assert home.indexed() == [0, 1, 2]


def test_damaged_rollouts_of_any_kind_stop_nothing(home: Home) -> None:
    rng = random.Random(7)
    for number in range(300):
        damage = rng.choice(fuzz.DAMAGES)
        home.put(number, damage(rng, b"".join(fuzz.GOOD).replace(fuzz.THREAD_ID.encode(), thread_id(number).encode())))
    home.put(4_000)
    home.seen()
    while home.indexer.step():
        pass
    assert 4_000 in home.indexed()


# ---------------------------------------------------------------------------------------------- in a process of its own


KEEPING_INDEXED = """
import sys, threading
from pathlib import Path
from mcp_server.background_indexer import keep_indexed
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.lookup import HomeFiles
from mcp_server.threads.turn_index import Indexer

step = Indexer.step

def one_batch(indexer):
    step(indexer)
    print("done", flush=True)
    sys.stdin.read()

Indexer.step = one_batch
path = Path(sys.argv[2])
keep_indexed(HomeFiles(RolloutFiles(Path(sys.argv[1]))), StateDb.open(path), path, threading.Event())
"""


def keeping_indexed(home: Home) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KEEPING_INDEXED, str(home.path), str(home.db_path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_process_goes_on_with_the_index_where_a_killed_one_ended(home: Home) -> None:
    count = 1_000
    for number in range(count):
        home.put(number, thread(number, *(user(f"words of {number} " + "and more " * 30) for _ in range(5))))
    home.seen()
    with keeping_indexed(home) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        process.send_signal(signal.SIGKILL)
    before = home.indexed()
    assert 0 < len(before) < count
    assert before == [*range(count - len(before), count)]
    stamps = (home.state.checkpoints([thread_id(count - 1)]))[thread_id(count - 1)]
    while home.indexer.step():
        pass
    assert (home.indexed(), home.state.progress().unread) == ([*range(count)], 0)
    assert (home.state.checkpoints([thread_id(count - 1)]))[thread_id(count - 1)] == stamps


class StopAtFirstPause(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def test_one_process_indexes_a_home_at_a_time(home: Home) -> None:
    home.put(1)
    home.seen()
    files = HomeFiles(RolloutFiles(home.path))
    with FileLock(f"{home.db_path}.reading"):
        keep_indexed(files, home.state, home.db_path, StopAtFirstPause())
        assert home.indexed() == []
    keep_indexed(files, home.state, home.db_path, StopAtFirstPause())
    assert home.indexed() == [1]


# ---------------------------------------------------------------------------------------------- size


def test_the_text_index_takes_at_most_65_percent_of_the_text(home: Home) -> None:
    """The text: what Python's own library says, in messages of a few hundred to some thousand characters."""
    rng = random.Random(1)
    sources = sorted(Path(os.__file__).parent.glob("*.py"))[:80]
    text = "".join(path.read_text(encoding="utf-8", errors="ignore") for path in sources)
    said, at, number = 0, 0, 0
    while at < len(text):
        messages: list[RolloutLine] = []
        for _ in range(10):
            size = rng.randrange(200, 3_000)
            messages.append(rng.choice((user, agent))(text[at : at + size]))
            said += len(text[at : at + size].encode())
            at += size
        home.put(number, thread(number, *messages))
        number += 1
    home.seen()
    while home.indexer.step():
        pass
    assert said > 2_000_000
    while home.state.merge_texts():
        pass
    with home.state.transaction() as session:
        indexes = ("said_text", "tool_text", "said_words", "tool_words", "texts", "ix_texts")
        among = " OR ".join(f"name GLOB '{name}*'" for name in indexes)
        size = session.exec_driver_sql(f"SELECT sum(pgsize) FROM dbstat WHERE {among}").scalar_one()
    print(f"the index takes {size / said:.0%} of {said} bytes")
    assert size <= 0.65 * said
