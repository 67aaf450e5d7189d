"""What is bounded, and what happens at each bound: the one too many is refused, what was there goes on.

The bound of a body over HTTP is with the other defences of that transport, in test_security.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.subscriptions import ResourceUpdated

from mcp_server.config import Config
from mcp_server.handlers.http import MAX_BODY_BYTES
from mcp_server.handlers.notifications import WatchLimits
from mcp_server.server import HomeServer, build_server
from mcp_server.threads.loaded import LoadedLimits
from tests.bare import bare, request
from tests.mission.conftest import Era, Refused, Tools

pytestmark = pytest.mark.anyio


async def test_a_line_over_stdio_that_is_too_long_is_answered_and_ends_the_connection_in_order(home: Path) -> None:
    async with bare(home) as server:
        with anyio.fail_after(60), suppress(anyio.BrokenResourceError):  # it stops reading in the middle
            await server.send(request(5, "x" * MAX_BODY_BYTES))
        (answer,) = await server.rest()
    assert answer["id"] == 5
    assert "a message of more than 33554432 bytes; the connection ends here" in answer["error"]["message"]


@pytest.fixture
def server(home: Path) -> HomeServer:
    return build_server(replace(Config.load(home), watch=False))


@pytest.fixture
async def tools(server: HomeServer, era: Era) -> AsyncIterator[Tools]:
    async with Client(server, mode=era) as client:
        yield Tools(client)


@pytest.fixture
async def other(server: HomeServer, era: Era) -> AsyncIterator[Tools]:
    """Another client of the same server."""
    async with Client(server, mode=era) as client:
        yield Tools(client)


async def test_one_thread_too_many_is_refused_and_the_others_stay(server: HomeServer, tools: Tools) -> None:
    stored = await tools.written()
    await tools("thread_unsubscribe", thread_id=stored)
    server.app.service.loaded.limits = LoadedLimits(threads=1)
    loaded = await tools.start()
    for call in (
        partial(tools, "thread_start"),
        partial(tools, "thread_resume", thread_id=stored),
        partial(tools, "thread_fork", thread_id=stored),
    ):
        with pytest.raises(Refused, match="too many loaded threads: the limit is 1; unsubscribe") as refused:
            await call()
        assert refused.value.code == "limit_reached"
    assert await tools.loaded() == [loaded]
    await tools("thread_unsubscribe", thread_id=loaded)
    assert (await tools("thread_resume", thread_id=stored))["thread"]["id"] == stored


async def test_one_handle_too_many_is_refused_and_the_others_hold(server: HomeServer, tools: Tools) -> None:
    thread_id = await tools.written()
    server.app.service.loaded.limits = LoadedLimits(subscriptions=1)
    for call in (partial(tools, "thread_start"), partial(tools, "thread_resume", thread_id=thread_id)):
        with pytest.raises(Refused, match="too many subscriptions: the limit is 1") as refused:
            await call()
        assert refused.value.code == "limit_reached"
    assert await tools.loaded() == [thread_id]


async def test_one_waiter_too_many_is_refused_at_once_and_the_others_still_hear(
    server: HomeServer, tools: Tools, other: Tools
) -> None:
    server.app.events.max_waiters = 1
    after = (await tools("events_read", limit=100))["last_seq"]
    heard: list[str] = []
    started: list[str] = []
    refused: list[Refused] = []
    one_is_refused = anyio.Event()

    async def wait(tools: Tools) -> None:
        try:
            answer = await tools("events_read", after=after, types=["thread/started"], wait_seconds=30)
            heard.extend(event["thread_id"] for event in answer["data"])
        except Refused as refusal:
            refused.append(refusal)
            one_is_refused.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as waiters:
            waiters.start_soon(wait, tools)
            waiters.start_soon(wait, other)
            await one_is_refused.wait()
            started.append(await tools.start())
    assert [refusal.code for refusal in refused] == ["limit_reached"]
    assert "too many calls wait for events: the limit is 1; read without wait_seconds" in refused[0].sentence
    assert heard == started


async def test_one_listen_stream_too_many_is_refused_and_the_others_are_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is the SDK's: 1,024 streams on a server."""
    bounds = ListenHandler.__init__.__kwdefaults__
    assert bounds is not None
    assert bounds["max_subscriptions"] == 1_024
    monkeypatch.setitem(bounds, "max_subscriptions", 1)
    recent = ["threads://recent"]
    async with (
        Client(build_server(Config.load(home))) as client,
        client.listen(resource_subscriptions=recent) as stream,
    ):
        with pytest.raises(MCPError, match="Subscription limit reached"):
            await client.listen(resource_subscriptions=recent).__aenter__()
        await Tools(client).start()
        with anyio.fail_after(20):
            assert await anext(aiter(stream)) == ResourceUpdated(uri="threads://recent")


@pytest.mark.parametrize("limits", [WatchLimits(by_one=2), WatchLimits(by_all=2)])
async def test_one_watched_resource_too_many_is_refused_and_one_less_makes_room(
    server: HomeServer, limits: WatchLimits
) -> None:
    server.runtime.notifier.watchers.limits = limits
    with warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning):
        async with Client(server, mode="legacy") as client:
            watch = client.session.subscribe_resource  # pyright: ignore[reportDeprecated] -- 2025
            await watch("threads://recent")
            await watch("threads://events")
            await watch("threads://events")
            with pytest.raises(MCPError, match="may watch 2 resources; unsubscribe from some"):
                await watch("threads://loaded")
            await client.session.unsubscribe_resource("threads://recent")  # pyright: ignore[reportDeprecated]
            await watch("threads://loaded")
        async with Client(server, mode="legacy") as client:  # what ended counts no more
            await client.session.subscribe_resource("threads://recent")  # pyright: ignore[reportDeprecated]
