"""Lists that answer: when what was worked on where, how it ended, and who works on it now."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from mcp_server.storage.files.locks import CodexWriterLocks
from tests.mission.conftest import Connect, Refused, Tools, grow
from tests.stores.rollout_text import event, meta, text_of, user

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)


def lay(home: Path, number: int, at: datetime = NOW, *events: dict[str, Any], cwd: str = "/w") -> str:
    """A rollout of a thread that was begun a year ago and worked on last at a time; returns the thread's id."""
    key = f"01a20581-0000-7000-8000-{number:012x}"
    begun, told = NOW - timedelta(days=365), at.isoformat()
    path = home / f"sessions/{begun:%Y/%m/%d}" / f"rollout-{begun:%Y-%m-%dT%H-%M-%S}-{key}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [meta(key, timestamp=begun.isoformat(), cwd=cwd), event("task_started", told, turn_id="t")]
    path.write_bytes(text_of(*lines, user(f"message {number}", told), *events))
    os.utime(path, (at.timestamp(), at.timestamp()))
    return key


def ended(**fields: Any) -> dict[str, Any]:
    return event("task_complete", NOW.isoformat(), turn_id="t", **fields)


async def test_the_threads_worked_on_last_come_first_and_a_name_or_the_archive_moves_none(tools: Tools) -> None:
    first, second, third = [await tools.written(text) for text in ("first", "second", "third")]
    for thread_id in (first, second, third):
        await tools("thread_unsubscribe", thread_id=thread_id)
    await tools.go_on(first, "and more")
    assert await tools.listed() == [first, third, second]
    await tools("thread_update", thread_id=second, name="named late")
    await tools("thread_archive", thread_id=third)
    await tools("thread_unarchive", thread_id=third)
    assert await tools.listed() == [first, third, second]
    rows = (await tools("thread_list"))["data"]
    assert [row["recency_at"] for row in rows] == sorted((row["recency_at"] for row in rows), reverse=True)


async def test_since_and_until_take_days_and_ages_and_bound_what_the_list_is_sorted_by(
    home: Path, connect: Connect
) -> None:
    ages = (timedelta(minutes=1), timedelta(hours=30), timedelta(days=6), timedelta(days=40))
    minute, hours, days, long_ago = (lay(home, n, NOW - age) for n, age in enumerate(ages))
    day = f"{NOW - timedelta(days=6):%Y-%m-%d}"
    async with connect() as tools:
        assert await tools.listed() == [minute, hours, days, long_ago]
        assert await tools.listed(since="7d") == [minute, hours, days]
        assert await tools.listed(since="24h") == [minute]
        assert await tools.listed(until="24h", since="2w") == [hours, days]
        assert await tools.listed(since=f"{day} UTC", until=f"{day} UTC") == [days]
        assert await tools.listed(since="7d", sort_key="created_at") == []
        assert await tools.listed(until="7d", sort_key="created_at") != []
        with pytest.raises(Refused, match=r"since.*last week.*yesterday or 7d") as refused:
            await tools("thread_list", since="last week")
        assert refused.value.code == "invalid_argument"


async def test_a_folder_is_its_path_its_place_in_the_users_home_or_its_bare_name(
    home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shop, api, mine = (
        lay(home, n, NOW - timedelta(hours=n), cwd=cwd)
        for n, cwd in enumerate(("/srv/Shop", "/srv/Shop/api", f"{tmp_path}/notes/2026"))
    )
    async with connect() as tools:
        assert await tools.listed(cwd="/srv/Shop/") == await tools.listed(cwd="shop") == [shop, api]
        assert await tools.listed(cwd="api") == [api]
        assert await tools.listed(cwd="~") == await tools.listed(cwd=["~/notes"]) == [mine]
        assert await tools.listed(cwd=["2026", "/srv/Shop/api"]) == [api, mine]
        found = await tools("thread_list", cwd="shap")
        assert (found["data"], found["total"]) == ([], 0)
        assert found["note"] == 'No thread has worked in or below "shap"; the nearest known: "/srv/Shop".'
        elsewhere = await tools("thread_list", cwd="/srv/Shop", named=True)
        assert (elsewhere["total"], elsewhere["note"]) == (0, None)


async def test_named_loaded_and_the_last_turn_restrict_a_list(tools: Tools) -> None:
    named = await tools.written("named", name="called so")
    failed = await tools.written("fails")
    await tools("turn_start", thread_id=failed, input="again")
    await tools("turn_complete", thread_id=failed, status="failed", error="out of quota")
    running = await tools.start()
    await tools("turn_start", thread_id=running, input="at work")
    await tools("thread_unsubscribe", thread_id=named)
    assert await tools.listed(named=True) == [named]
    assert await tools.listed(named=False) == [running, failed]
    assert await tools.listed(loaded=True) == [running, failed]
    assert await tools.listed(last_turn="failed") == [failed]
    assert await tools.listed(last_turn=["running", "completed"]) == [running, named]
    assert await tools.listed(last_turn=["crashed", "interrupted"]) == []
    rows = {row["id"]: row for row in (await tools("thread_list"))["data"]}
    assert [rows[key]["last_turn"] for key in (named, failed, running)] == ["completed", "failed", "running"]
    assert (rows[failed]["last_error"], rows[failed]["last_answer"]) == ("out of quota", "done")
    assert [rows[key]["turn_count"] for key in (named, failed, running)] == [1, 2, 1]
    assert "last_error" not in rows[named]


async def test_threads_that_are_named_by_their_ids_are_listed_whatever_their_kind(tools: Tools) -> None:
    tree = await grow(tools)
    assert await tools.listed(thread_ids=[tree.leaf, "the root"]) == [tree.leaf, tree.root]
    with pytest.raises(Refused, match=r"thread_ids.*101 ids.*at most 100"):
        await tools("thread_list", thread_ids=[f"{n:08x}-0000-7000-8000-000000000000" for n in range(101)])


async def test_what_another_program_wrote_is_told_at_once_and_counted_once_it_is_indexed(
    home: Path, connect: Connect
) -> None:
    failed = lay(home, 1, NOW, ended(error={"message": "the server was overloaded"}, last_agent_message="I tried"))
    async with connect() as tools:
        (row,) = (await tools("thread_list", last_turn=["failed"]))["data"]
        told = [row.get(name) for name in ("id", "last_turn", "last_error", "last_answer")]
        assert told == [failed, "failed", "the server was overloaded", "I tried"]
        assert "turn_count" not in row
        await tools("thread_read", thread_id=failed, include_turns=True)
        (row,) = (await tools("thread_list"))["data"]
        assert (row["turn_count"], row["last_turn"]) == (1, "failed")


async def test_a_thread_that_another_process_has_open_says_so_in_list_read_and_tree(
    home: Path, connect: Connect
) -> None:
    key = lay(home, 1)
    other = CodexWriterLocks(home)
    other.acquire([key])
    holder = f"pid {os.getpid()}, "
    async with connect() as tools:
        (row,) = (await tools("thread_list", last_turn="running"))["data"]
        assert (row["id"], row["last_turn"], row["status"]["type"]) == (key, "running", "notLoaded")
        assert row["running_in"].startswith(holder)
        assert ", since 20" in row["running_in"]
        read = await tools("thread_read", thread_id=key, include_turns=True)
        assert (read["thread"]["running_in"], read["turns"][0]["status"]) == (row["running_in"], "inProgress")
        (node,) = (await tools("thread_tree", thread_id=key))["nodes"]
        assert (node["running_in"], node["last_turn"]) == (row["running_in"], "running")
        assert await tools.listed(last_turn="crashed") == []
        other.release([key])
        (row,) = (await tools("thread_list", last_turn="crashed"))["data"]
        assert "running_in" not in row
        shown = await tools.client.call_tool("thread_list", {})
        assert "last_turn: crashed" in json.encode([part.model_dump() for part in shown.content]).decode()
