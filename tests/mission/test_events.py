"""Archive and unarchive reach every client that listens: events, listen streams, legacy subscriptions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPDeprecationWarning
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import ResourceUpdatedNotification

from mcp_server.config import Config
from mcp_server.models.times import Clocks, now_ms
from mcp_server.server import build_server
from mcp_server.storage.sqlite.bounds import StateBounds
from tests.mission.conftest import Connect, Refused, Tools
from tests.servers import serving_http, stdio_server

pytestmark = pytest.mark.anyio

_SECONDS = 15


async def test_an_event_is_in_the_log_that_another_process_reads(home: Path) -> None:
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


async def stored(home: Path) -> str:
    """A thread of an earlier server, so that nothing but what a test does to it is told."""
    async with Client(build_server(replace(Config.load(home), watch=False))) as client:
        return await Tools(client).written()


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_listen_stream_gets_the_update(home: Path, where: str) -> None:
    thread_id = await stored(home)
    uri = f"thread://{thread_id}"
    with serving_http(home) as url:
        async with Client(url) as listener, Client(url if where == "this process" else stdio_server(home)) as other:
            for verb, kind in (("thread_archive", "thread/archived"), ("thread_unarchive", "thread/unarchived")):
                after = (await Tools(listener)("events_read", limit=100))["last_seq"]
                told: set[str] = set()
                async with listener.listen(resource_subscriptions=[uri, "threads://events"]) as stream:
                    await Tools(other)(verb, thread_id=thread_id)
                    with anyio.fail_after(_SECONDS):
                        async for event in stream:
                            assert isinstance(event, ResourceUpdated)
                            told.add(event.uri)
                            if told == {uri, "threads://events"}:
                                break
                missed = await Tools(listener)("events_read", after=after)
                assert [(event["type"], event["thread_id"]) for event in missed["data"]] == [(kind, thread_id)]


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_legacy_subscription_gets_the_update(home: Path, where: str) -> None:
    thread_id = await stored(home)
    told = {verb: anyio.Event() for verb in ("thread_archive", "thread_unarchive")}
    awaited = "thread_archive"

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification) and str(message.params.uri) == f"thread://{thread_id}":
            told[awaited].set()

    with serving_http(home) as url:
        listening = Client(url, mode="legacy", message_handler=hear)
        async with listening, Client(url if where == "this process" else stdio_server(home)) as other:
            with warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning):
                subscribe = listening.session.subscribe_resource  # pyright: ignore[reportDeprecated] -- 2025
                await subscribe(f"thread://{thread_id}")
            for verb, heard in told.items():
                awaited = verb
                await Tools(other)(verb, thread_id=thread_id)
                with anyio.fail_after(_SECONDS):
                    await heard.wait()


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


async def test_events_are_kept_for_thirty_days_and_a_reader_of_older_ones_is_told(connect: Connect) -> None:
    async with connect() as tools:
        await tools.written()
    later, few = Clocks(now_ms=lambda: now_ms() + 31 * 86_400_000), StateBounds(kept_events=2)
    async with connect(clocks=later, database=few) as tools:
        while "gone" not in (answer := await tools("events_read")):  # a server prunes beside its calls
            pass
        last = answer["last_seq"]
        assert answer["gone"] == last - 2
        assert [event["seq"] for event in answer["data"]][:2] == [last - 1, last]
        assert (await tools("events_read", after=last - 2))["data"][0]["seq"] == last - 1
        with pytest.raises(Refused, match=f"go on after {last - 2}") as refused:
            await tools("events_read", after=1)
        assert refused.value.code == "invalid_argument"
