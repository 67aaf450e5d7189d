"""`threadstore reindex` and `threadstore doctor` as commands: resumable, beside servers, in Codex's terms."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests import codex_database
from tests.mission.conftest import Tools
from tests.servers import stdio_server
from tests.stores.rollout_text import meta, text_of, user

THREADS = 1_500


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "mcp_server", *words]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=100, check=False)


def plant(home: Path, number: int, **fields: Any) -> str:
    thread_id = f"01a20564-0000-7000-8000-{number:012x}"
    folder = home / "sessions/2026/11/22"
    folder.mkdir(parents=True, exist_ok=True)
    lines = text_of(meta(thread_id, source="mcp", **fields), user(f"message {number}"))
    (folder / f"rollout-2026-11-22T10-00-00-{thread_id}.jsonl").write_bytes(lines)
    return thread_id


def progress(home: Path) -> tuple[str, int]:
    try:
        with closing(sqlite3.connect(f"file:{home}/threadstore.sqlite?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT status, done FROM backfill").fetchone()
    except sqlite3.Error:
        return "none", 0
    return (str(row[0]), int(row[1])) if row else ("none", 0)


async def killed_reindex(home: Path) -> None:
    """One that has read some of `THREADS` threads."""
    for number in range(THREADS):
        plant(home, number)
    async with await anyio.open_process(command("reindex", "--home", str(home))) as process:
        with anyio.fail_after(60):
            while progress(home)[1] == 0:  # noqa: ASYNC110 - another process tells it in its database alone
                await anyio.sleep(0.005)
        process.kill()
        await process.wait()
    status, done = progress(home)
    assert status == "running"
    assert 0 < done < THREADS


@pytest.mark.anyio
async def test_a_second_reindex_goes_on_where_the_killed_one_was(tmp_path: Path) -> None:
    """What was read is not read again: a change that no stamp betrays stays unseen."""
    await killed_reindex(tmp_path)
    newest = f"01a20564-0000-7000-8000-{THREADS - 1:012x}"
    (path,) = tmp_path.rglob(f"*{newest}.jsonl")
    stat, message = path.stat(), f"message {THREADS - 1}"
    path.write_bytes(path.read_bytes().replace(message.encode(), message.replace("e", "a").encode()))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = await anyio.run_process(command("reindex", "--home", str(tmp_path)))
    assert f"{THREADS}/{THREADS}" in second.stderr.decode()
    assert progress(tmp_path) == ("complete", THREADS)
    with closing(sqlite3.connect(tmp_path / "threadstore.sqlite")) as connection:
        (preview,) = connection.execute("SELECT preview FROM threads WHERE id = ?", [newest]).fetchone()
    assert preview == message


@pytest.mark.anyio
async def test_a_server_goes_on_where_a_reindex_was_killed_and_serves_while_another_rebuilds(tmp_path: Path) -> None:
    await killed_reindex(tmp_path)
    with anyio.fail_after(90):
        async with Client(stdio_server(tmp_path)) as client:
            tools = Tools(client)
            while (listed := await tools("thread_list")).get("incomplete"):  # noqa: ASYNC110 - nothing tells of the end
                await anyio.sleep(0.1)
            assert listed["total"] == THREADS
            # From nothing again, and beside the server, which goes on writing.
            mine = await tools.written("while it is rebuilt")
            again = await anyio.run_process(command("reindex", "--home", str(tmp_path)))
            told = again.stderr.decode()
            assert f"{THREADS + 1}/{THREADS + 1}" in told
            assert f"{THREADS + 1:,} files indexed, 0 unusable" in told
            await tools("turn_start", thread_id=mine, input="and on")
            assert (await tools("thread_list"))["total"] == THREADS + 1
            counts = (await tools("store_status"))["counts"]
            assert (counts["missing"], counts["stale"]) == (0, 0)


def test_doctor_tells_every_difference_and_a_repair_mends_what_the_dry_run_showed(tmp_path: Path) -> None:
    gone, moved, changed, twice, *_ = [plant(tmp_path, number) for number in range(6)]
    assert run("reindex", "--home", str(tmp_path)).returncode == 0
    agreed = run("doctor", "--home", str(tmp_path))
    assert agreed.returncode == 0
    assert "Index and files agree" in agreed.stdout
    paths = {thread_id: next(tmp_path.rglob(f"*{thread_id}.jsonl")) for thread_id in (gone, moved, changed, twice)}
    archived = tmp_path / "archived_sessions"
    archived.mkdir()
    paths[gone].unlink()
    paths[moved].rename(archived / paths[moved].name)
    with paths[changed].open("ab") as file:
        file.write(b"{nope\n")
    (archived / paths[twice].name).write_bytes(paths[twice].read_bytes())
    missing = plant(tmp_path, 9)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    index = (tmp_path / "threadstore.sqlite").read_bytes()

    dry = run("doctor", "--home", str(tmp_path), "--repair")
    assert dry.returncode == 1
    words = " ".join(dry.stdout.split())
    assert "files 5 2 threads 6 0" in " ".join(words.replace("│", "").split())
    for thread_id, kind in ((gone, "gone"), (moved, "moved"), (changed, "changed")):
        assert f"{thread_id} {kind}" in words
    for told in (missing, f"{twice}:", "malformed: 1", "at byte", "would read 1 file and 3 rows again", "dry run"):
        assert told in words, told
    assert (tmp_path / "threadstore.sqlite").read_bytes() == index

    mended = run("doctor", "--home", str(tmp_path), "--repair", "--yes")
    assert mended.returncode == 0
    assert "1 added, 1 changed, 1 moved, 1 vanished" in mended.stdout
    assert run("doctor", "--home", str(tmp_path)).returncode == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")} == before


def test_a_repair_updates_rows_of_codex_that_lag_behind_where_nothing_else_is_wrong(tmp_path: Path) -> None:
    thread_id = plant(tmp_path, 1)
    path = next(tmp_path.rglob(f"*{thread_id}.jsonl"))
    codex_database.make(tmp_path, codex_database.row_of(path))
    archived = tmp_path / "archived_sessions" / path.name
    archived.parent.mkdir()
    path.rename(archived)
    assert run("reindex", "--home", str(tmp_path)).returncode == 0

    dry = run("doctor", "--home", str(tmp_path), "--repair")
    assert "update 1 row of Codex's database" in " ".join(dry.stdout.split())
    assert codex_database.rows_of(tmp_path)[thread_id]["rollout_path"] == str(path)

    assert run("doctor", "--home", str(tmp_path), "--repair", "--yes").returncode == 0
    row = codex_database.rows_of(tmp_path)[thread_id]
    assert (row["rollout_path"], row["archived"]) == (str(archived), 1)
    assert run("doctor", "--home", str(tmp_path), "--repair").returncode == 0


def test_doctor_says_who_holds_a_thread_and_since_when(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    thread_id = server.stdout.readline().strip()
    try:
        told = run("doctor", "--home", str(tmp_path)).stdout
    finally:
        server.communicate("")
    year = time.strftime("%Y")
    assert f"{thread_id}: python" in " ".join(told.split())
    assert f"(pid {server.pid}) since {year}-" in " ".join(told.split())


HOLDER = """
import sys
from pathlib import Path
from mcp_server.storage.files.locks import CodexWriterLocks
thread_id = "01a20564-0000-7000-8000-000000000001"
locks = CodexWriterLocks(Path(sys.argv[1]))
locks.acquire([thread_id])
print(thread_id, flush=True)
sys.stdin.read()
"""
