"""One state handle: opened once, handed down, never waited for by the handshake; the files answer without it."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock
from mcp import Client
from sqlalchemy import Engine

from mcp_server.config import Config
from mcp_server.server import build_server
from mcp_server.storage.sqlite import schema
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.upsert import BATCH_ROWS
from tests.mission.conftest import Connect, Era, Tools, rollouts
from tests.servers import stdio_server
from tests.stores.rollout_text import meta, text_of, user

pytestmark = pytest.mark.anyio


async def use_everything(tools: Tools) -> str:
    thread_id = await tools.written(name="used")
    for tool in ("thread_read", "thread_items", "thread_tree", "thread_resume"):
        await tools(tool, thread_id=thread_id)
    for tool in ("thread_list", "thread_loaded_list", "events_read"):
        await tools(tool)
    await tools("thread_search", search_term="hello")
    await tools("store_status")
    await tools("thread_unsubscribe", thread_id=thread_id)
    await tools("thread_archive", thread_id=thread_id)
    await tools("thread_unarchive", thread_id=thread_id)
    await tools("store_repair")
    for uri in ("threads://recent", "threads://events", f"thread://{thread_id}", f"thread://{thread_id}/transcript"):
        await tools.client.read_resource(uri)
    return thread_id


async def test_one_process_opens_one_engine(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    engines: list[Path] = []
    real_open, real_connect = StateDb.open, schema.connect

    def counted_open(path: Path, **options: Any) -> StateDb:
        opened.append(path)
        return real_open(path, **options)

    def counted_connect(path: Path, busy_seconds: float) -> Engine:
        engines.append(path)
        return real_connect(path, busy_seconds)

    monkeypatch.setattr(StateDb, "open", counted_open)
    monkeypatch.setattr(schema, "connect", counted_connect)
    async with connect() as tools:
        await use_everything(tools)
    assert len(opened) == len(engines) == 1


async def test_without_a_handle_every_read_works_from_the_files(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        root = await tools.written("the root", name="named")
        child = await tools.written("the child", parent_thread_id=root, agent_nickname="Ada")
        await tools("thread_archive", thread_id=await tools.written("put away"), interrupt_running=True)
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    async with connect(state=False) as tools:
        listed = await tools("thread_list")
        assert [thread["name"] for thread in listed["data"]] == ["named"]
        assert (listed["hidden"]["sub_agents"], listed["hidden"]["archived"]) == (1, 1)
        assert await tools.listed(ancestor_thread_id=root) == [child]
        assert len(await tools.listed(archived=True)) == 1
        assert (await tools("thread_read", thread_id="named", include_turns=True))["total"] == 1
        assert (await tools("thread_items", thread_id=child))["total"] == 2
        assert len((await tools("thread_tree", thread_id=child))["nodes"]) == 2
        assert [hit["thread"]["id"] for hit in (await tools("thread_search", search_term="the child"))["data"]] == [
            child
        ]
        status = await tools("store_status")
        assert (status["state_db"], status["counts"]["files_active"]) == (None, 2)
        resource = await tools.client.read_resource(f"thread://{root}/tree")
        assert "Ada" in getattr(resource.contents[0], "text", "")
    assert not list(home.glob("threadstore.sqlite*"))


async def test_without_a_handle_threads_are_still_written_and_archived(home: Path, connect: Connect) -> None:
    async with connect(state=False) as tools:
        root = await tools.written("root")
        child = await tools.written("child", parent_thread_id=root)
        await tools("thread_archive", thread_id=root)
    async with connect() as tools:
        assert set(await tools.listed(archived=True, source_kinds=["appServer", "subAgent"])) == {root, child}


async def test_deleting_the_state_db_loses_no_thread_name_tree_or_archive_state(home: Path, connect: Connect) -> None:
    told_later = ("status", "turn_count", "last_turn", "last_answer", "last_error")  # once histories are indexed

    async def everything(tools: Tools) -> list[object]:
        shown: list[object] = []
        for archived in (False, True):
            for kinds in (["appServer"], ["subAgent"]):
                page = await tools("thread_list", archived=archived, source_kinds=kinds)
                shown.append([{k: v for k, v in t.items() if k not in told_later} for t in page["data"]])
        return shown

    async with connect() as tools:
        root = await tools.written("root", name="kept")
        await tools.written("child", parent_thread_id=root)
        gone = await tools.written("archived")
        for thread_id in await tools.loaded():
            await tools("thread_unsubscribe", thread_id=thread_id)
        await tools("thread_archive", thread_id=gone)
        tree = (await tools("thread_tree", thread_id=root))["nodes"]
        before = await everything(tools)
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    async with connect() as tools:
        assert await everything(tools) == before
        assert (await tools("thread_tree", thread_id=root))["nodes"] == tree


# Codex: try_init_times_out_waiting_for_stuck_startup_backfill
async def test_the_handshake_waits_for_nothing_and_a_call_falls_back_to_the_files(
    home: Path, connect: Connect, era: Era
) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
    with sqlite3.connect(home / "threadstore.sqlite") as connection:  # another worker that is stuck
        connection.execute("UPDATE backfill SET status = 'running', owner = 'stuck', updated_at_ms = ?", (_now_ms(),))
    server = build_server(replace(Config.load(home, wait_seconds=6.0), watch=False))
    with anyio.fail_after(60):
        async with Client(server, mode=era) as client:
            assert len((await client.list_tools()).tools) > 15
            assert not server.app.released.is_set()
            assert await Tools(client).listed() == [thread_id]


def plant(home: Path, day: int) -> str:
    """A thread that was begun on a day of a year."""
    key, noon = f"01a20581-0000-7000-8000-{day:012}", datetime(2026, 1, 1, 12) + timedelta(day)  # noqa: DTZ001
    path = home / f"{noon:sessions/%Y/%m/%d}" / f"rollout-{noon:%Y-%m-%dT%H-%M-%S}-{key}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(text_of(meta(key, timestamp=f"{noon:%Y-%m-%dT%H:%M:%S}Z"), user(f"day {day}")))
    return key


def plant_two_batches(home: Path) -> list[str]:
    """The second batch of the index has two threads."""
    return [plant(home, day) for day in range(BATCH_ROWS + 2)]


async def test_the_first_list_of_a_first_start_waits_for_no_state_db(home: Path, era: Era) -> None:
    keys = plant_two_batches(home)
    another_process = FileLock(home / "threadstore.sqlite.lock")
    another_process.acquire()
    async with Client(build_server(replace(Config.load(home), watch=False)), mode=era) as client:
        tools = Tools(client)
        with anyio.fail_after(10):
            first = await tools("thread_list", limit=1, sort_key="created_at")
        assert [thread["id"] for thread in first["data"]] == keys[-1:]
        assert first["incomplete"] == (
            f"The index is being built: {BATCH_ROWS} of {len(keys)} files are in it, and counted, so far."
        )
        another_process.release()
        assert await tools.listed(sort_direction="asc", limit=1) == keys[:1]
        assert await tools.listed(archived=True) == []  # that waits for the whole index
        assert (await tools("thread_list"))["incomplete"] is None


async def test_where_no_state_db_can_be_opened_lists_come_from_the_files_and_not_from_the_first_look(
    home: Path,
) -> None:
    keys = plant_two_batches(home)
    (home / "a file").touch()
    config = replace(Config.load(home), state_path=home / "a file" / "threadstore.sqlite", watch=False)
    async with Client(build_server(config)) as client:
        tools = Tools(client)
        assert await tools.listed(archived=True) == []  # that waits until the state DB is given up
        first = await tools("thread_list", limit=1)
        assert (first["total"], first["incomplete"]) == (len(keys), None)
        assert await tools.listed(limit=1) == keys[-1:]
        newer = plant(home, len(keys))
        assert await tools.listed(limit=1) == [newer]


async def test_a_state_db_path_that_no_system_accepts_leaves_the_files_to_serve(home: Path) -> None:
    key = plant(home, 1)
    config = replace(Config.load(home), state_path=home / ("x" * 300) / "threadstore.sqlite", watch=False)
    async with Client(build_server(config)) as client:
        assert await Tools(client).listed() == [key]


async def test_a_call_waits_for_as_long_as_the_index_grows(home: Path) -> None:
    app = build_server(Config.load(home, wait_seconds=4.0)).app
    answered = anyio.Event()

    async def call() -> None:
        await app.ready()
        answered.set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            for done in range(10):  # five seconds in all
                app.advance(done, 10)
                await anyio.sleep(0.5)
                assert not answered.is_set()
            # Now it has stopped: the same figures again are no progress.
            app.advance(9, 10)
            await answered.wait()
    assert not app.released.is_set()


# Codex: try_init_waits_for_concurrent_startup_backfill
async def test_two_servers_that_start_together_build_one_index(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        ids = {await tools.written(f"thread {n}") for n in range(5)}
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    seen: list[set[str]] = []

    async def start() -> None:
        async with Client(stdio_server(home)) as client:
            seen.append(set(await Tools(client).listed()))

    async with anyio.create_task_group() as servers:
        for _ in range(3):
            servers.start_soon(start)
    assert seen == [ids] * 3


async def test_a_later_start_takes_in_what_changed_moved_came_and_went(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        kept, moved, gone = [await tools.written(text) for text in ("kept", "moved", "gone")]
    paths = {thread_id: next(p for p in rollouts(home) if thread_id in p.name) for thread_id in (kept, moved, gone)}
    elsewhere = home / "sessions" / "2020" / "01" / "01"
    elsewhere.mkdir(parents=True)
    paths[moved].rename(elsewhere / paths[moved].name)
    paths[gone].unlink()
    came = "01a20564-0000-7000-8000-000000000001"
    text = paths[kept].read_text(encoding="utf-8").replace(kept, came)
    (paths[kept].parent / f"rollout-2026-11-22T10-00-00-{came}.jsonl").write_text(text, encoding="utf-8")
    async with connect() as tools:
        # the handle is there at once; what happened while no server ran is announced a moment later
        started = await tools("events_read", thread_id=came, types=["thread/started"], wait_seconds=20)
        assert [event["type"] for event in started["data"]] == ["thread/started"]
        assert set(await tools.listed()) == {kept, moved, came}
        assert str(elsewhere) in (await tools("thread_read", thread_id=moved))["thread"]["path"]


# Codex: find_thread_path_accepts_existing_state_db_path_without_canonical_filename
async def test_a_row_whose_file_carries_its_id_is_right_whatever_the_file_is_called(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        thread_id = await tools.written("hello")
        await tools("thread_unsubscribe", thread_id=thread_id)
        (rollout,) = rollouts(home)
        odd = rollout.with_name("kept-by-hand.jsonl")
        rollout.rename(odd)
        with sqlite3.connect(home / "threadstore.sqlite") as connection:
            connection.execute("UPDATE threads SET path = ?", (odd.relative_to(home).as_posix(),))
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        assert read["thread"]["path"] == str(odd)
        assert read["total"] == 1


# Codex: find_thread_path_falls_back_when_db_path_points_to_another_thread
async def test_a_row_that_points_to_another_threads_file_is_repaired(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        one, other = await tools.written("one"), await tools.written("other")
        for thread_id in (one, other):
            await tools("thread_unsubscribe", thread_id=thread_id)
        with sqlite3.connect(home / "threadstore.sqlite") as connection:
            (path,) = connection.execute("SELECT path FROM threads WHERE id = ?", (other,)).fetchone()
            connection.execute("UPDATE threads SET path = ?, size = 1 WHERE id = ?", (path, one))
        read = await tools("thread_read", thread_id=one)
        assert one in read["thread"]["path"]
        assert read["thread"]["preview"] == "one"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# Codex: list_threads_db_enabled_drops_missing_rollout_paths, list_threads_db_enabled_repairs_stale_rollout_paths
async def test_a_list_shows_no_row_whose_file_is_gone_and_finds_one_that_was_moved(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        kept, moved, gone = [await tools.written(text) for text in ("kept", "moved", "gone")]
        for thread_id in (kept, moved, gone):
            await tools("thread_unsubscribe", thread_id=thread_id)
        paths = {thread_id: next(p for p in rollouts(home) if thread_id in p.name) for thread_id in (moved, gone)}
        elsewhere = home / "sessions" / "2020" / "01" / "01"
        elsewhere.mkdir(parents=True)
        paths[moved].rename(elsewhere / paths[moved].name)
        paths[gone].unlink()
        listed = await tools("thread_list")
        assert {thread["id"] for thread in listed["data"]} == {kept, moved}
        assert (listed["total"], listed["hidden"]["file_missing"]) == (2, 0)
