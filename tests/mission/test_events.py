"""Archive and unarchive reach every client that listens: events, listen streams, legacy subscriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import ResourceUpdatedNotification

from tests.mission.conftest import Tools
from tests.servers import serving_http, stdio_server

pytestmark = pytest.mark.anyio

_SECONDS = 15


async def test_another_process_is_told_by_the_log(home: Path) -> None:
    async with Client(stdio_server(home)) as one, Client(stdio_server(home)) as other:
        here, there = Tools(one), Tools(other)
        thread_id = await here.written()
        await here("thread_unsubscribe", thread_id=thread_id)
        after = (await there("events_read", limit=100))["last_seq"]
        seen: list[str] = []

        async def listen() -> None:
            answer = await there("events_read", after=after, types=["thread/archived"], wait_seconds=_SECONDS)
            seen.extend(event["thread_id"] for event in answer["data"])

        async with anyio.create_task_group() as listening:
            listening.start_soon(listen)
            await here("thread_archive", thread_id=thread_id)
        assert seen == [thread_id]
        await there("thread_unarchive", thread_id=thread_id)
        assert (await here.events(thread_id))[-2:] == ["thread/archived", "thread/unarchived"]


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_listen_stream_is_told(home: Path, where: str) -> None:
    with serving_http(home) as url:
        async with Client(url) as listener, Client(url if where == "this process" else stdio_server(home)) as other:
            tools = Tools(other)
            thread_id = await tools.written()
            uri = f"thread://{thread_id}"
            async with listener.listen(resource_subscriptions=[uri, "threads://events"]) as stream:
                await tools("thread_unsubscribe", thread_id=thread_id)
                await tools("thread_archive", thread_id=thread_id)
                told: set[str] = set()
                with anyio.fail_after(_SECONDS):
                    async for event in stream:
                        assert isinstance(event, ResourceUpdated)
                        told.add(event.uri)
                        if told == {uri, "threads://events"}:
                            break
            read = await Tools(listener)("thread_read", thread_id=thread_id)
            assert read["thread"]["archived"]


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_legacy_subscription_is_told(home: Path, where: str) -> None:
    told = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification) and str(message.params.uri) == "threads://events":
            told.set()

    with serving_http(home) as url:
        listening = Client(url, mode="legacy", message_handler=hear)
        async with listening, Client(url if where == "this process" else stdio_server(home)) as other:
            tools = Tools(other)
            thread_id = await tools.written()
            await tools("thread_unsubscribe", thread_id=thread_id)
            await listening.session.subscribe_resource("threads://events")  # pyright: ignore[reportDeprecated] -- 2025
            await tools("thread_archive", thread_id=thread_id)
            with anyio.fail_after(_SECONDS):
                await told.wait()


async def test_what_another_program_does_to_the_files_becomes_an_event(home: Path) -> None:
    async with Client(stdio_server(home)) as client:
        tools = Tools(client)
        thread_id = await tools.written()
        await tools("thread_unsubscribe", thread_id=thread_id)
        after = (await tools("events_read", limit=100))["last_seq"]
        (rollout,) = home.rglob("rollout-*.jsonl")
        (home / "archived_sessions").mkdir(exist_ok=True)
        rollout.rename(home / "archived_sessions" / rollout.name)
        answer = await tools("events_read", after=after, types=["thread/archived"], wait_seconds=_SECONDS)
        assert [event["thread_id"] for event in answer["data"]] == [thread_id]
        assert (await tools("thread_list", archived=True))["total"] == 1


async def test_events_are_paged_by_seq_and_filtered(tools: Tools) -> None:
    thread_id = await tools.written()
    other = await tools.start()
    first = await tools("events_read", limit=2)
    rest = await tools("events_read", after=first["last_seq"], limit=100)
    seqs = [event["seq"] for event in (*first["data"], *rest["data"])]
    assert seqs == sorted(set(seqs))
    assert first["more"]
    assert not rest["more"]
    assert {event["thread_id"] for event in rest["data"]} == {thread_id, other}
    started = await tools("events_read", types=["thread/started"], thread_id=other)
    assert [event["payload"]["thread"]["id"] for event in started["data"]] == [other]
