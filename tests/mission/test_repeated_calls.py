"""A call that is repeated with its request id is done once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.mission.conftest import Connect, Refused, Tools

pytestmark = pytest.mark.anyio


async def test_the_same_request_id_returns_the_first_result_and_does_nothing(tools: Tools) -> None:
    first = await tools("thread_start", name="once", request_id="r1")
    again = await tools("thread_start", name="once", request_id="r1")
    assert again == first
    thread_id = first["thread"]["id"]
    assert await tools.loaded() == [thread_id]
    await tools("turn_start", thread_id=thread_id, input="hello")
    items = [{"type": "agentMessage", "text": "said once"}]
    for _ in range(2):
        await tools("turn_append", thread_id=thread_id, items=items, request_id="r2")
    assert (await tools("thread_items", thread_id=thread_id))["total"] == 2


async def test_a_request_id_is_not_taken_for_another_call(tools: Tools) -> None:
    await tools("thread_start", name="one", request_id="r1")
    with pytest.raises(Refused, match="was used before") as refused:
        await tools("thread_start", name="two", request_id="r1")
    assert refused.value.code == "request_id_reused"


async def test_a_refused_call_can_be_repeated_with_its_request_id(tools: Tools) -> None:
    thread_id = await tools.start()
    with pytest.raises(Refused):
        await tools("thread_archive", thread_id=thread_id, request_id="r1")
    await tools("turn_start", thread_id=thread_id, input="hello")
    await tools("turn_complete", thread_id=thread_id)
    assert (await tools("thread_archive", thread_id=thread_id, request_id="r1"))["archived"] == [thread_id]


async def test_a_request_id_of_one_tool_is_refused_by_every_other(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_set_name", thread_id=thread_id, name="named", request_id="r1")
    for verb in ("thread_archive", "thread_unsubscribe", "thread_fork"):
        with pytest.raises(Refused, match="thread_set_name") as refused:
            await tools(verb, thread_id=thread_id, request_id="r1")
        assert refused.value.code == "request_id_reused"
    assert await tools.loaded() == [thread_id]


async def test_calls_at_the_same_time_with_one_request_id_are_one_call(tools: Tools) -> None:
    answers: list[dict[str, Any]] = []

    async def start() -> None:
        answers.append(await tools("thread_start", request_id="r1"))

    async with anyio.create_task_group() as calls:
        for _ in range(5):
            calls.start_soon(start)
    assert answers == [answers[0]] * 5
    assert await tools.loaded() == [answers[0]["thread"]["id"]]


async def test_a_request_id_is_remembered_by_the_next_server(connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
        await tools("thread_unsubscribe", thread_id=thread_id)
        first = await tools("thread_archive", thread_id=thread_id, request_id="r1")
    async with connect() as tools:
        await tools("thread_unarchive", thread_id=thread_id)
        assert await tools("thread_archive", thread_id=thread_id, request_id="r1") == first
        assert await tools.listed() == [thread_id]
