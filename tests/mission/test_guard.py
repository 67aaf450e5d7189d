"""An agent does not end itself or what it runs under; a person who can be asked decides, of deletions too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from tests.mission.conftest import Connect, Refused, Tools, grow

pytestmark = pytest.mark.anyio

YES = ElicitResult(action="accept", content={"confirm": True})
NO = [
    ElicitResult(action="accept", content={"confirm": False}),
    ElicitResult(action="decline"),
    ElicitResult(action="cancel"),
]


@dataclass
class Person:
    """Gives one answer to every question, and remembers the questions."""

    answer: ElicitResult
    asked: list[str] = field(default_factory=list[str])

    async def __call__(self, _: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return self.answer


@pytest.mark.parametrize(
    ("by", "target"),
    [
        *(("threadId", target) for target in ("leaf", "left", "root")),
        ("threadstore/callerThreadId", "left"),
        ("parameter", "leaf"),
        ("parameter", "root"),
    ],
)
async def test_an_agent_archives_neither_itself_nor_an_ancestor(tools: Tools, by: str, target: str) -> None:
    tree = await grow(tools)
    caller: dict[str, Any] = {"caller_thread_id": tree.leaf} if by == "parameter" else {"meta": {by: tree.leaf}}
    with pytest.raises(Refused, match=f"{tree.leaf}, may not archive .*a person must confirm") as refused:
        await tools("thread_archive", thread_id=getattr(tree, target), **caller)
    assert refused.value.code == "would_archive_self"
    assert "thread/archived" not in await tools.events()
    assert (await tools("thread_archive", thread_id=tree.right, **caller))["archived"] == [tree.right]


async def test_an_agent_neither_deletes_nor_interrupts_what_it_runs_under(tools: Tools) -> None:
    tree = await grow(tools)
    with pytest.raises(Refused, match="may not delete its ancestor") as refused:
        await tools("thread_delete", thread_id=tree.root, confirm_thread_id=tree.root, caller_thread_id=tree.leaf)
    assert refused.value.code == "would_delete_self"
    await tools("thread_resume", thread_id=tree.root)
    await tools("turn_start", thread_id=tree.root, input="work")
    with pytest.raises(Refused, match="may not interrupt its ancestor") as refused:
        await tools("turn_complete", thread_id=tree.root, status="interrupted", caller_thread_id=tree.leaf)
    assert refused.value.code == "would_interrupt_self"
    await tools("turn_complete", thread_id=tree.root, status="completed", caller_thread_id=tree.leaf)


async def test_what_the_clients_host_says_goes_before_what_the_model_says(tools: Tools) -> None:
    tree = await grow(tools)
    meta = {"threadId": tree.leaf}
    with pytest.raises(Refused) as refused:
        await tools("thread_archive", thread_id=tree.root, caller_thread_id=tree.right, meta=meta)
    assert refused.value.code == "would_archive_self"
    assert tree.leaf in refused.value.sentence


@pytest.mark.parametrize("state", [True, False], ids=["with the state DB", "from the files alone"])
async def test_an_agent_that_has_said_nothing_yet_is_known_as_its_parents_child(connect: Connect, state: bool) -> None:
    async with connect(state=state) as tools:
        root = await tools.written("root")
        fresh = await tools.start(parent_thread_id=await tools.start(parent_thread_id=root))
        for verb, code in (("thread_archive", "would_archive_self"), ("thread_delete", "would_delete_self")):
            with pytest.raises(Refused) as refused:
                await tools(verb, thread_id=root, caller_thread_id=fresh)
            assert refused.value.code == code


@pytest.mark.parametrize("verb", ["thread_archive", "thread_delete"])
async def test_a_plan_of_it_may_be_looked_at(tools: Tools, verb: str) -> None:
    tree = await grow(tools)
    plan = await tools(verb, thread_id=tree.root, dry_run=True, caller_thread_id=tree.leaf)
    assert (plan["dry_run"], plan["operation_id"]) == (True, None)
    assert len(await tools.listed(source_kinds=["appServer", "subAgent"])) == 4


async def test_a_caller_that_this_home_does_not_know_is_no_obstacle(tools: Tools) -> None:
    tree = await grow(tools)
    unknown = {"threadId": "01a20564-0000-7000-8000-000000000000"}
    assert tree.root in (await tools("thread_archive", thread_id=tree.root, meta=unknown))["archived"]


# ---------------------------------------------------------------------------------------------- who can be asked


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        *(("archive", answer) for answer in (YES, *NO)),
        *(("delete", answer) for answer in (YES, NO[0])),
        *(("interrupt", answer) for answer in (YES, NO[1])),
    ],
)
async def test_a_person_who_can_be_asked_decides(connect: Connect, verb: str, answer: ElicitResult) -> None:
    person = Person(answer)
    async with connect(elicitation_callback=person) as tools:
        tree = await grow(tools)
        await tools("thread_resume", thread_id=tree.left)
        if verb == "interrupt":
            await tools("turn_start", thread_id=tree.left, input="work")
        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "archive": ("thread_archive", {}),
            "delete": ("thread_delete", {"confirm_thread_id": tree.left}),
            "interrupt": ("turn_complete", {"status": "interrupted"}),
        }
        tool, arguments = calls[verb]
        if answer is YES:
            done = await tools(tool, thread_id=tree.left, caller_thread_id=tree.leaf, **arguments)
            shown = {
                "archive": lambda: done["archived"] == [tree.left, tree.leaf],
                "delete": lambda: done["deleted"] == [tree.leaf, tree.left],
                "interrupt": lambda: done["turn"]["status"] == "interrupted",
            }
            assert shown[verb]()
        else:
            with pytest.raises(Refused) as refused:
                await tools(tool, thread_id=tree.left, caller_thread_id=tree.leaf, **arguments)
            assert refused.value.code == f"would_{verb}_self"
            assert tree.left in await tools.listed(source_kinds=["subAgent"])
    assert len(person.asked) == 1
    assert tree.leaf in person.asked[0]
    assert tree.left in person.asked[0]


async def test_nobody_is_asked_about_a_thread_that_the_agent_does_not_run_under(connect: Connect) -> None:
    person = Person(YES)
    async with connect(elicitation_callback=person) as tools:
        tree = await grow(tools)
        await tools("thread_archive", thread_id=tree.right, caller_thread_id=tree.leaf)
        await tools("thread_archive", thread_id=tree.root, dry_run=True, caller_thread_id=tree.leaf)
    assert person.asked == []


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
