"""An agent does not end itself or what it runs under; a person who can be asked decides."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import ElicitResult

from tests.mission.conftest import Connect, Refused, Tools, grow
from tests.mission.person import NO, YES, Person

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize("ending", [{"status": "completed"}, {"status": "failed", "error": "it failed"}])
async def test_an_agent_ends_its_own_turn_and_no_ancestors(tools: Tools, ending: dict[str, Any]) -> None:
    tree = await grow(tools)
    for thread_id in (tree.left, tree.leaf):
        await tools("thread_resume", thread_id=thread_id)
        await tools("turn_start", thread_id=thread_id, input="work")
    with pytest.raises(Refused) as refused:
        await tools("turn_complete", thread_id=tree.left, caller_thread_id=tree.leaf, **ending)
    assert refused.value.code == "would_interrupt_self"
    ended = await tools("turn_complete", thread_id=tree.leaf, caller_thread_id=tree.leaf, **ending)
    assert ended["turn"]["status"] == ending["status"]


@pytest.mark.parametrize("target", ["leaf", "left"])
async def test_an_agent_interrupts_no_turn_of_its_own_or_an_ancestor_by_leaving(tools: Tools, target: str) -> None:
    tree = await grow(tools)
    thread_id = getattr(tree, target)
    handle = (await tools("thread_resume", thread_id=thread_id))["subscription_id"]
    await tools("turn_start", thread_id=thread_id, input="work")
    by: dict[str, str]
    for by in ({"thread_id": thread_id}, {"subscription_id": handle}):
        with pytest.raises(Refused) as refused:
            await tools("thread_unsubscribe", meta={"threadId": tree.leaf}, **by)
        assert refused.value.code == "would_interrupt_self"
    second = (await tools("thread_resume", thread_id=thread_id))["subscription_id"]
    left = await tools("thread_unsubscribe", subscription_id=second, caller_thread_id=tree.leaf)
    assert left["status"] == "unsubscribed", "others stay, so nothing is interrupted"
    await tools("turn_complete", thread_id=thread_id)
    left = await tools("thread_unsubscribe", thread_id=thread_id, caller_thread_id=tree.leaf)
    assert left["status"] == "unsubscribed", "no turn runs, so nothing is interrupted"


@pytest.mark.parametrize("odd", ["", "  \n", 7, [], ["x"], {}, True, "nobody", "01a20564-0000-7000-8000-000000000000"])
async def test_an_odd_id_from_the_host_gives_way_to_the_next_source(tools: Tools, odd: Any) -> None:
    tree = await grow(tools)
    sources: list[dict[str, Any]] = [
        {"meta": {"threadId": odd, "threadstore/callerThreadId": tree.leaf}},
        {"meta": {"threadId": odd}, "caller_thread_id": tree.leaf},
        {"meta": {"threadId": odd, "threadstore/callerThreadId": odd}, "caller_thread_id": tree.leaf},
    ]
    for source in sources:
        with pytest.raises(Refused) as refused:
            await tools("thread_archive", thread_id=tree.root, **source)
        assert refused.value.code == "would_archive_self"


async def test_a_caller_name_that_several_threads_have_is_refused_as_ambiguous(tools: Tools) -> None:
    tree = await grow(tools)
    for thread_id in (tree.leaf, tree.right):
        await tools("thread_update", thread_id=thread_id, name="twin")
    with pytest.raises(Refused) as refused:
        await tools("thread_archive", thread_id=tree.root, caller_thread_id="twin")
    assert refused.value.code == "ambiguous_reference"


async def test_the_caller_that_the_host_names_overrides_the_one_that_the_model_names(tools: Tools) -> None:
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
async def test_a_dry_run_on_an_ancestor_is_refused_like_the_call(tools: Tools, verb: str) -> None:
    tree = await grow(tools)
    told: list[str] = []
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            await tools(verb, thread_id=tree.root, dry_run=dry_run, caller_thread_id=tree.leaf)
        told.append(refused.value.sentence)
    assert told[0] == told[1]
    assert tree.leaf in told[0]


async def test_a_caller_that_this_home_does_not_know_may_archive(tools: Tools) -> None:
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
        plan = await tools("thread_archive", thread_id=tree.root, dry_run=True, caller_thread_id=tree.leaf)
        assert len(plan["archived"]) == 3
        assert plan["needs"].startswith("a person's yes to: Agent thread")
        assert tree.leaf in plan["needs"]
    assert person.asked == []
