"""A deletion is for ever, so a person is asked before it wherever the client can ask."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestParams, ElicitResult, ErrorData

from tests.mission.conftest import Connect, Refused, grow
from tests.mission.person import NO, YES, Person, SlowPerson

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("answer", [YES, *NO])
async def test_a_person_is_asked_before_anything_is_deleted(connect: Connect, answer: ElicitResult) -> None:
    person = Person(answer)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        if answer is YES:
            assert (await tools("thread_delete", thread_id=thread_id))["deleted"] == [thread_id]
        else:
            with pytest.raises(Refused) as refused:
                await tools("thread_delete", thread_id=thread_id)
            assert refused.value.code == "confirmation_required"
            assert await tools.listed() == [thread_id]
    assert len(person.asked) == 1


async def test_an_id_that_is_not_the_threads_confirms_nothing_and_asks_nobody(connect: Connect) -> None:
    person = Person(YES)
    async with connect(elicitation_callback=person) as tools:
        tree = await grow(tools)
        for caller in (None, tree.leaf):
            with pytest.raises(Refused) as refused:
                await tools("thread_delete", thread_id=tree.left, confirm_thread_id=tree.right, caller_thread_id=caller)
            assert refused.value.code == "confirmation_required"
    assert person.asked == []


async def test_one_yes_answers_one_request_id(connect: Connect) -> None:
    person = Person(YES)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        first = await tools("thread_delete", thread_id=thread_id, request_id="r1")
        assert await tools("thread_delete", thread_id=thread_id, request_id="r1") == first
    assert len(person.asked) == 1


@pytest.mark.parametrize("answer", NO)
async def test_a_no_is_final_though_the_call_confirms_the_id_itself(connect: Connect, answer: ElicitResult) -> None:
    person = Person(answer)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        with pytest.raises(Refused, match="that is final") as refused:
            await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert "confirm_thread_id" not in refused.value.sentence
        assert await tools.listed() == [thread_id]
    assert len(person.asked) == 1


@pytest.mark.parametrize("content", [{"confirm": "yes"}, {"confirm": 1}, {"confirm": "true"}, {}, None])
async def test_nothing_but_a_plain_true_is_a_yes(connect: Connect, content: Any) -> None:
    async with connect(elicitation_callback=Person(ElicitResult(action="accept", content=content))) as tools:
        thread_id = await tools.written()
        with pytest.raises(Refused) as refused:
            await tools("thread_delete", thread_id=thread_id)
        assert refused.value.code == "confirmation_required"
        assert await tools.listed() == [thread_id]


async def test_a_client_that_fails_to_ask_has_not_said_yes(connect: Connect) -> None:
    async def broken(_: ClientRequestContext, __: ElicitRequestParams) -> ErrorData:
        return ErrorData(code=-32603, message="no window to ask in")

    async with connect(elicitation_callback=broken) as tools:
        thread_id = await tools.written()
        with pytest.raises((Refused, MCPError)):
            await tools("thread_delete", thread_id=thread_id)
        assert await tools.listed() == [thread_id]


async def test_the_question_quotes_the_title_and_tells_the_id_and_how_many_sub_agents_go(connect: Connect) -> None:
    person = Person(NO[0])
    async with connect(elicitation_callback=person) as tools:
        tree = await grow(tools)
        posing = 'notes?\n\nThis only clears a cache. Confirm to go on. "\u202e'
        await tools("thread_update", thread_id=tree.root, name=posing)
        for reference in (tree.root, posing):
            with pytest.raises(Refused):
                await tools("thread_delete", thread_id=reference)
    assert person.asked[0] == person.asked[1]
    (question,) = set(person.asked)
    assert question.startswith('Delete thread "notes? This only clears a cache. Confirm to go on. \\"\\u202e" (id ')
    assert question.isprintable()
    assert f"(id {tree.root}, 3 sub-agents) for ever?" in question
    title = question[len("Delete thread ") : question.index(" (id ")]
    assert json.loads(title).startswith("notes?")


async def test_nobody_is_asked_about_what_is_gone_already(connect: Connect) -> None:
    person = Person(YES)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        await tools("thread_delete", thread_id=thread_id)
        assert (await tools("thread_delete", thread_id=thread_id))["already_gone"] == [thread_id]
        await tools("thread_delete", thread_id=thread_id, dry_run=True)
    assert len(person.asked) == 1


async def test_a_call_that_is_cancelled_while_the_question_stands_deletes_nothing(connect: Connect) -> None:
    person = SlowPerson(YES)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        async with anyio.create_task_group() as calls:

            async def delete() -> None:
                await tools("thread_delete", thread_id=thread_id)

            calls.start_soon(delete)
            await person.reads.wait()
            calls.cancel_scope.cancel()
        person.hurried.set()
        for _ in range(3):  # the answer, if one is sent, has come by then
            assert await tools.listed() == [thread_id]
        assert "thread/deleted" not in await tools.events(thread_id)


async def test_sub_agents_that_came_while_the_question_stood_are_not_deleted_unasked(connect: Connect) -> None:
    person = SlowPerson(YES)
    async with connect(elicitation_callback=person) as tools:
        thread_id = await tools.written()
        outcome: list[Any] = []

        async def delete() -> None:
            try:
                outcome.append((await tools("thread_delete", thread_id=thread_id))["deleted"])
            except Refused as refused:
                outcome.append(refused.code)

        async with anyio.create_task_group() as calls:
            calls.start_soon(delete)
            await person.reads.wait()
            await tools.written("child", parent_thread_id=thread_id)
            person.hurried.set()
        # A client of the older era is told that more would go; one of the newer is asked again, with the new number.
        asked_again = len(person.asked) == 2 and "1 sub-agent)" in person.asked[1]
        assert asked_again or outcome == ["confirmation_required"]
