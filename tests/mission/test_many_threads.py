"""thread_archive and thread_delete of several threads in one operation, and the undo of an archive by its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.files.locks import CodexWriterLocks
from tests.mission.conftest import Connect, Refused, Tools, grow, rollouts
from tests.mission.person import YES, Person

pytestmark = pytest.mark.anyio

KINDS = ["appServer", "subAgent"]


async def alone(tools: Tools, *names: str) -> list[str]:
    """Threads that nobody has loaded."""
    ids = [await tools.written(f"message of {name}", name=name) for name in names]
    for thread_id in ids:
        await tools("thread_unsubscribe", thread_id=thread_id)
    return ids


async def test_many_threads_with_their_sub_agents_are_archived_in_one_operation(tools: Tools) -> None:
    tree = await grow(tools)
    one, other, left_out = await alone(tools, "one", "other", "left out")
    receipt = await tools("thread_archive", thread_ids=[one, tree.root, "other"])
    assert set(receipt["archived"]) == {one, other, *tree.all()}
    assert receipt["archived"][:3] == [one, tree.root, other], "roots first"
    assert await tools.listed(source_kinds=KINDS) == [left_out]
    told = await tools("events_read", types=["thread/archived"], limit=100)
    assert [event["thread_id"] for event in told["data"]] == receipt["archived"]


async def test_a_thread_named_twice_or_below_another_is_moved_once(tools: Tools) -> None:
    tree = await grow(tools)
    receipt = await tools("thread_archive", thread_ids=[tree.leaf, tree.root, tree.root, tree.left])
    assert sorted(receipt["archived"]) == sorted(tree.all())
    assert receipt["failed"] == []


async def test_what_is_refused_is_passed_over_and_the_others_are_archived(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    plain, held, running = await alone(tools, "plain", "held", "running")
    await tools("thread_resume", thread_id=running)
    await tools("turn_start", thread_id=running, input="still at work")
    locks = CodexWriterLocks(home)
    locks.acquire([held, tree.leaf])
    for dry_run in (True, False):
        receipt = await tools("thread_archive", thread_ids=[plain, held, running, tree.root, "nobody"], dry_run=dry_run)
        assert receipt["archived"] == [plain]
        reasons = {failure["thread_id"]: failure["reason"] for failure in receipt["failed"]}
        assert set(reasons) == {held, running, tree.root, "nobody"}
        assert "active writer" in reasons[held]
        assert "active writer" in reasons[tree.root]
        assert "a turn is running" in reasons[running]
        assert "no thread" in reasons["nobody"]
    locks.release([held, tree.leaf])
    assert await tools.listed(archived=True) == [plain]


async def test_a_call_that_can_move_none_is_refused(tools: Tools) -> None:
    (running,) = await alone(tools, "running")
    await tools("thread_resume", thread_id=running)
    await tools("turn_start", thread_id=running, input="still at work")
    with pytest.raises(Refused) as refused:
        await tools("thread_archive", thread_ids=["nobody", running])
    assert refused.value.code == "turns_running"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "thread_id"),
        ({"thread_ids": []}, "thread_ids"),
        ({"thread_id": "a", "thread_ids": ["b"]}, "thread_id"),
        ({"thread_ids": ["nobody"] * 101}, "thread_ids"),
    ],
)
async def test_neither_both_none_or_too_many_are_refused(tools: Tools, arguments: dict[str, Any], named: str) -> None:
    for verb in ("thread_archive", "thread_delete"):
        with pytest.raises(Refused, match=named) as refused:
            await tools(verb, **arguments)
        assert refused.value.code == "invalid_argument"


async def test_a_dry_run_shows_titles_beside_the_ids_and_moves_nothing(home: Path, tools: Tools) -> None:
    named, nameless = *await alone(tools, "named"), await tools.written("said first")
    before = rollouts(home)
    plan = await tools("thread_archive", thread_ids=[named, nameless], dry_run=True)
    assert plan["titles"] == [{"id": named, "title": "named"}, {"id": nameless, "title": "said first"}]
    assert rollouts(home) == before
    result = await tools.client.call_tool("thread_archive", {"thread_id": named, "dry_run": True})
    assert f"id: {named}, title: named" in str(result.content[0])


async def test_an_archive_is_undone_by_its_operation_and_nothing_else_is(tools: Tools) -> None:
    tree = await grow(tools)
    one, other = await alone(tools, "one", "other")
    await tools("thread_archive", thread_id=tree.left)
    done = await tools("thread_archive", thread_ids=[tree.root, one])
    await tools("thread_archive", thread_id=other)
    plan = await tools("thread_unarchive", operation_id=done["operation_id"], dry_run=True)
    assert sorted(one["title"] for one in plan["titles"]) == ["one", "right", "the root"]
    back = await tools("thread_unarchive", operation_id=done["operation_id"])
    assert back["unarchived"] == [tree.root, one, tree.right]
    assert set(await tools.listed(archived=True, source_kinds=KINDS)) == {tree.left, tree.leaf, other}
    again = await tools("thread_unarchive", operation_id=done["operation_id"])
    assert (again["unarchived"], set(again["already_unarchived"])) == ([], {tree.root, tree.right, one})


async def test_an_undo_leaves_what_was_archived_anew_or_deleted_since(tools: Tools) -> None:
    kept, anew, gone = await alone(tools, "kept", "anew", "gone")
    done = await tools("thread_archive", thread_ids=[kept, anew, gone])
    await tools("thread_unarchive", thread_id=anew)
    await tools("thread_archive", thread_id=anew)
    await tools("thread_delete", thread_id=gone, confirm_thread_id=gone)
    back = await tools("thread_unarchive", operation_id=done["operation_id"])
    assert back["unarchived"] == [kept]
    assert {failure["thread_id"] for failure in back["failed"]} == {anew, gone}
    assert await tools.listed(archived=True) == [anew]


@pytest.mark.parametrize("operation_id", ["op_unknown", ""])
async def test_an_unknown_operation_is_refused(tools: Tools, operation_id: str) -> None:
    with pytest.raises(Refused, match="operation_id") as refused:
        await tools("thread_unarchive", operation_id=operation_id)
    assert refused.value.code == "invalid_argument"


async def test_an_unarchive_is_no_operation_to_undo(tools: Tools) -> None:
    (thread_id,) = await alone(tools, "one")
    await tools("thread_archive", thread_id=thread_id)
    back = await tools("thread_unarchive", thread_id=thread_id)
    with pytest.raises(Refused, match="no archive on record"):
        await tools("thread_unarchive", operation_id=back["operation_id"])


async def test_many_are_deleted_once_all_their_ids_are_confirmed(tools: Tools) -> None:
    tree = await grow(tools)
    one, kept = await alone(tools, "one", "kept")
    for confirmed in (None, [one], [one, tree.root, kept]):
        with pytest.raises(Refused, match="confirm_thread_ids") as refused:
            await tools("thread_delete", thread_ids=[one, tree.root], confirm_thread_ids=confirmed)
        assert refused.value.code == "confirmation_required"
    plan = await tools("thread_delete", thread_ids=[one, tree.root], dry_run=True)
    assert "confirm_thread_ids" in plan["needs"]
    receipt = await tools("thread_delete", thread_ids=["one", tree.root], confirm_thread_ids=[tree.root, one])
    assert sorted(receipt["deleted"]) == sorted([one, *tree.all()])
    assert await tools.listed(source_kinds=KINDS) == [kept]
    again = await tools("thread_delete", thread_ids=[one, tree.root], confirm_thread_ids=[tree.root, one])
    assert (again["deleted"], sorted(again["already_gone"])) == ([], sorted([one, tree.root]))


async def test_a_person_is_asked_once_for_all_of_them_by_title(connect: Connect) -> None:
    person = Person(YES)
    async with connect(elicitation_callback=person) as tools:
        ids = await alone(tools, "first", "second")
        assert sorted((await tools("thread_delete", thread_ids=ids))["deleted"]) == sorted(ids)
    (question,) = person.asked
    assert '2 threads: "first"' in str(question)
    assert '"second"' in str(question)


async def test_an_agent_can_archive_others_but_not_with_its_own_thread_among_them(tools: Tools) -> None:
    tree = await grow(tools)
    (other,) = await alone(tools, "other")
    with pytest.raises(Refused) as refused:
        await tools("thread_archive", thread_ids=[other, tree.root], caller_thread_id=tree.leaf)
    assert refused.value.code == "would_archive_self"
    assert await tools.listed(archived=True) == []


async def test_a_repeated_archive_of_many_gives_the_first_receipt(tools: Tools) -> None:
    ids = await alone(tools, "one", "other")
    first = await tools("thread_archive", thread_ids=ids, request_id="r1")
    assert await tools("thread_archive", thread_ids=ids, request_id="r1") == first
    assert sorted(first["archived"]) == sorted(ids)
