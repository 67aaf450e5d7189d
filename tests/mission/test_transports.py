"""The same tools over real stdio and real Streamable HTTP, in both eras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from tests.mission.conftest import Era, Refused, Tools
from tests.servers import serving_http, stdio_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["stdio", "http"])
async def over_wire(request: pytest.FixtureRequest, home: Path, era: Era) -> AsyncIterator[Tools]:
    if request.param == "stdio":
        async with Client(stdio_server(home), mode=era) as client:
            yield Tools(client)
        return
    with serving_http(home) as url:
        async with Client(url, mode=era) as client:
            yield Tools(client)


async def test_a_thread_lives_its_whole_life(over_wire: Tools) -> None:
    tools = over_wire
    started = await tools("thread_start", name="over the wire")
    thread_id = started["thread"]["id"]
    await tools("turn_start", thread_id=thread_id, input=[{"type": "text", "text": "hello"}])
    call = {"type": "toolCall", "call_id": "c1", "name": "ls", "arguments": {"path": "."}}
    output = {"type": "toolOutput", "call_id": "c1", "output": "README.md", "success": True}
    await tools("turn_append", thread_id=thread_id, items=[call, output])
    await tools("turn_complete", thread_id=thread_id, message="one file")
    read = await tools("thread_read", thread_id=thread_id, include_turns=True, items_view="full")
    kinds = [item["type"] for item in read["turns"][0]["items"]]
    assert kinds == ["userMessage", "dynamicToolCall", "agentMessage"]
    assert (await tools("thread_search", search_term="ONE FILE"))["data"][0]["thread"]["id"] == thread_id
    fork = await tools("thread_fork", thread_id=thread_id)
    assert (fork["thread"]["name"], fork["thread"]["forked_from_id"]) == ("over the wire", thread_id)
    await tools("thread_update", thread_id=thread_id, git_info={"branch": "main"})
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["git_info"]["branch"] == "main"
    await tools("thread_unsubscribe", subscription_id=started["subscription_id"])
    assert (await tools("thread_archive", thread_id=thread_id))["archived"] == [thread_id]
    assert (await tools("thread_unarchive", thread_id=thread_id))["unarchived"] == [thread_id]
    with pytest.raises(Refused):
        await tools("thread_delete", thread_id=thread_id)
    assert (await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id))["deleted"] == [thread_id]


async def test_resources_and_completions_answer(over_wire: Tools) -> None:
    thread_id = await over_wire.written("hello there")
    client = over_wire.client
    for uri in (f"thread://{thread_id}", f"thread://{thread_id}/turns", "threads://recent", "threads://events"):
        text = getattr((await client.read_resource(uri)).contents[0], "text", "")
        assert thread_id in text, uri
    transcript = getattr((await client.read_resource(f"thread://{thread_id}/transcript")).contents[0], "text", "")
    assert "**User**\n> hello there\n" in transcript


async def test_two_clients_of_one_http_server_share_its_threads(home: Path) -> None:
    with serving_http(home) as url:
        async with Client(url) as one, Client(url, mode="legacy") as other:
            thread_id = await Tools(one).written("shared")
            assert await Tools(other).loaded() == [thread_id]
            again = await Tools(other)("thread_resume", thread_id=thread_id)
            assert again["thread"]["status"] == {"type": "idle"}
            await Tools(other)("turn_start", thread_id=thread_id, input="from the other")
            with pytest.raises(Refused) as refused:
                await Tools(one)("turn_start", thread_id=thread_id, input="at the same time")
            assert refused.value.code == "turn_in_progress"


async def test_a_thread_loaded_by_another_process_is_refused_with_its_holder(home: Path) -> None:
    async with Client(stdio_server(home)) as one, Client(stdio_server(home)) as other:
        thread_id = await Tools(one).written("mine")
        for verb in ("thread_resume", "thread_archive"):
            with pytest.raises(Refused, match=r"already has an active writer: .*\(pid \d+\) since \d{4}-") as refused:
                await Tools(other)(verb, thread_id=thread_id)
            assert refused.value.code == "active_writer"
        assert (await Tools(other)("thread_read", thread_id=thread_id))["thread"]["preview"] == "mine"
        await Tools(one)("thread_unsubscribe", thread_id=thread_id)
        assert (await Tools(other)("thread_resume", thread_id=thread_id))["thread"]["id"] == thread_id


async def test_ten_megabytes_pass_over_the_wire_and_answers_stay_small(over_wire: Tools) -> None:
    """Clients bound what they take: the SDK's takes 1 MiB an event over HTTP."""
    thread_id = await over_wire.start()
    started = await over_wire("turn_start", thread_id=thread_id, input="0123456789" * 1_000_000)
    shown = started["turn"]["items"][0]
    assert shown["truncated"] == {"content.0.text": 10_000_000}
    tail = await over_wire("thread_items", thread_id=thread_id, item_id=shown["id"], text_offset=9_999_990)
    assert tail["data"][0]["item"]["content"][0]["text"] == "0123456789"
    assert len((await over_wire("thread_list"))["data"][0]["preview"]) <= 2_000
    items = [{"type": "agentMessage", "text": "x" * 5_000}] * 500
    await over_wire("turn_append", thread_id=thread_id, items=items)
    read = await over_wire("thread_read", thread_id=thread_id, include_turns=True, items_view="full")
    assert read["total"] == 1
    everything = await over_wire("thread_items", thread_id=thread_id, limit=100, max_chars=50_000)
    assert everything["total"] == 501
