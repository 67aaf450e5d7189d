"""Unsubscribe: the last one out closes the thread."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mcp import Client

from mcp_server.stores.locks import CodexWriterLocks
from tests.mission.conftest import Connect, Refused, Tools, lock_files, rollouts
from tests.servers import serving_http, stdio_server

pytestmark = pytest.mark.anyio


# Codex: thread_unsubscribe_unloads_thread_and_emits_thread_closed_notification
async def test_the_last_subscriber_closes_the_thread_and_frees_its_lock(home: Path, tools: Tools) -> None:
    thread_id = await tools.written()
    answer = await tools("thread_unsubscribe", thread_id=thread_id)
    assert answer == {"thread_id": thread_id, "status": "unsubscribed"}
    assert await tools.loaded() == []
    assert lock_files(home) == []
    locks = CodexWriterLocks(home)
    await locks.acquire(thread_id)
    await locks.release(thread_id)
    assert (await tools.events(thread_id))[-2:] == ["thread/status/changed", "thread/closed"]
    last = (await tools("events_read", thread_id=thread_id, limit=100))["data"][-2]
    assert last["payload"]["status"] == {"type": "notLoaded"}


# Codex: thread_unsubscribe_reports_not_loaded_after_thread_is_unloaded
async def test_leaving_again_says_not_loaded_and_an_unknown_thread_is_no_error(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "notLoaded"
    unknown = "01a20564-0000-7000-8000-000000000000"
    assert (await tools("thread_unsubscribe", thread_id=unknown))["status"] == "notLoaded"


async def test_a_handle_leaves_alone_while_another_stays(tools: Tools) -> None:
    first = await tools("thread_start")
    thread_id = first["thread"]["id"]
    await tools("turn_start", thread_id=thread_id, input="hello")
    second = await tools("thread_resume", thread_id=thread_id)
    left = await tools("thread_unsubscribe", subscription_id=first["subscription_id"])
    assert left["status"] == "unsubscribed"
    assert await tools.loaded() == [thread_id]
    again = await tools("thread_unsubscribe", subscription_id=first["subscription_id"], thread_id=thread_id)
    assert again["status"] == "notSubscribed"
    await tools("thread_unsubscribe", subscription_id=second["subscription_id"])
    assert await tools.loaded() == []


# Codex: thread_unsubscribe_during_turn_interrupts_turn_and_emits_thread_closed
async def test_a_running_turn_is_interrupted_and_recorded_so(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="work")
    await tools("thread_unsubscribe", thread_id=thread_id)
    (rollout,) = rollouts(home)
    last = json.loads(rollout.read_text(encoding="utf-8").splitlines()[-1])
    assert last["payload"]["type"] == "turn_aborted"
    assert (await tools.events(thread_id))[-3:] == ["thread/status/changed", "thread/status/changed", "thread/closed"]
    assert "turn/completed" in await tools.events(thread_id)
    read = await tools("thread_read", thread_id=thread_id, include_turns=True)
    assert read["thread"]["turns"][0]["status"] == "interrupted"


async def test_a_fresh_thread_vanishes(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert rollouts(home) == []
    with pytest.raises(Refused) as refused:
        await tools("thread_read", thread_id=thread_id)
    assert refused.value.code == "thread_not_found"


# Codex: thread_unsubscribe_clears_cached_status_before_resume
async def test_a_failed_turn_shows_system_error_until_the_thread_is_closed(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="work")
    failed = await tools("turn_complete", thread_id=thread_id, status="failed", error="the model is gone")
    assert failed["turn"]["error"]["message"] == "the model is gone"
    read = await tools("thread_read", thread_id=thread_id)
    assert read["thread"]["status"] == {"type": "systemError"}
    await tools("thread_unsubscribe", thread_id=thread_id)
    assert (await tools("thread_resume", thread_id=thread_id))["thread"]["status"] == {"type": "idle"}


# Codex: thread_unsubscribe_keeps_thread_loaded_until_idle_timeout
async def test_with_an_unload_delay_the_thread_stays_until_it_is_over(connect: Connect) -> None:
    async with connect(unload_delay=1.5) as tools:
        thread_id = await tools.written()
        assert (await tools("thread_unsubscribe", thread_id=thread_id))["status"] == "unsubscribed"
        assert await tools.loaded() == [thread_id]
        after = (await tools("events_read", limit=100))["last_seq"]
        closed = await tools("events_read", after=after, types=["thread/closed"], wait_seconds=10)
        assert [event["thread_id"] for event in closed["data"]] == [thread_id]
        assert await tools.loaded() == []


async def test_a_stdio_client_that_vanishes_counts(home: Path) -> None:
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        thread_id = await tools.start()
        await tools("turn_start", thread_id=thread_id, input="work")
        assert lock_files(home) == [f"{thread_id}.lock"]
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        assert lock_files(home) == []
        assert (await tools.events(thread_id))[-2:] == ["thread/status/changed", "thread/closed"]
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        assert read["thread"]["turns"][0]["status"] == "interrupted"


async def test_a_legacy_http_session_that_ends_counts_and_a_modern_one_keeps_its_handles(home: Path) -> None:
    with serving_http(home) as url:
        async with Client(url) as watcher:
            watch = Tools(watcher)
            async with Client(url, mode="legacy") as leaving:
                legacy = await Tools(leaving).start()
            async with Client(url) as leaving:
                modern = await Tools(leaving)("thread_start")
            closed = await watch("events_read", types=["thread/closed"], wait_seconds=10)
            assert [event["thread_id"] for event in closed["data"]] == [legacy]
            assert await watch.loaded() == [modern["thread"]["id"]]
            await watch("thread_unsubscribe", subscription_id=modern["subscription_id"])
            assert await watch.loaded() == []
