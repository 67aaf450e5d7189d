"""thread_brief, thread_outline and thread_stats: much in one call, of what the thread itself tells."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.mission.conftest import Refused, Tools, grow

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

PLAN = {
    "plan": [
        {"step": "Find the race", "status": "completed"},
        {"step": "Add a lock", "status": "in_progress"},
        {"step": "Write a test", "status": "pending"},
    ]
}


async def at_work(tools: Tools) -> str:
    """A thread with two turns: one with tools and a plan, one that failed."""
    thread_id = await tools.start(name="Checkout race", cwd="/work/shop")
    await tools("turn_start", thread_id=thread_id, input="Fix the race in the checkout")
    patch = "*** Begin Patch\n*** Update File: src/checkout.py\n@@\n-a\n+b\n*** End Patch"
    items: list[Json] = [
        {"type": "toolCall", "call_id": "c1", "name": "update_plan", "arguments": PLAN},
        {"type": "toolOutput", "call_id": "c1", "output": "Plan updated"},
        {"type": "toolCall", "call_id": "c2", "name": "apply_patch", "arguments": {"input": patch}},
        {"type": "toolOutput", "call_id": "c2", "output": "Success"},
        {"type": "toolCall", "call_id": "c3", "name": "run_tests", "arguments": {}},
        {"type": "toolOutput", "call_id": "c3", "output": "1 passed\nE  lock is None", "success": False},
        {"type": "agentMessage", "text": "I looked around. We'll use a row lock instead of a mutex. Shall I go on?"},
    ]
    await tools("turn_append", thread_id=thread_id, items=items)
    await tools("turn_complete", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="Yes, but do not touch the tests")
    await tools("turn_complete", thread_id=thread_id, status="failed", error="the model is overloaded")
    await tools("thread_unsubscribe", thread_id=thread_id)
    return thread_id


async def test_a_brief_tells_goal_state_decisions_open_points_files_and_failures(tools: Tools) -> None:
    thread_id = await at_work(tools)
    brief = await tools("thread_brief", thread_id="Checkout race")
    assert (brief["thread_id"], brief["cwd"]) == (thread_id, "/work/shop")
    assert brief["goal"] == "Fix the race in the checkout"
    assert (brief["state"]["turns"], brief["state"]["last_turn"]) == (2, "failed")
    assert brief["state"]["error"] == "the model is overloaded"
    assert brief["decisions"] == ["Yes, but do not touch the tests", "We'll use a row lock instead of a mutex."]
    assert brief["open_points"] == ["Add a lock", "Write a test"]
    assert brief["files"] == ["src/checkout.py"]
    assert [(one["what"], one["error"]) for one in brief["failures"]] == [
        ("turn", "the model is overloaded"),
        ("run_tests", "E  lock is None"),
    ]
    assert [one.get("asked") for one in brief["answers"]] == [
        "Yes, but do not touch the tests",
        "Fix the race in the checkout",
    ]
    assert "thread_resume" in brief["how_to_go_on"]


async def test_a_question_at_the_end_is_an_open_point(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="hello")
    await tools("turn_complete", thread_id=thread_id, message="Two ways lead there.\nWhich one do you prefer?")
    brief = await tools("thread_brief", thread_id=thread_id)
    assert brief["open_points"] == ["Which one do you prefer?"]


async def test_a_brief_has_the_sub_agents_those_that_failed_first(tools: Tools) -> None:
    tree = await grow(tools)
    await tools("thread_resume", thread_id=tree.leaf)
    await tools("turn_start", thread_id=tree.leaf, input="again")
    await tools("turn_complete", thread_id=tree.leaf, status="failed", error="out of memory")
    agents = (await tools("thread_brief", thread_id=tree.root))["sub_agents"]
    assert agents[0] == {"thread_id": tree.leaf, "name": "Leaf", "status": "failed", "answer": "out of memory"}
    assert {agent["thread_id"] for agent in agents} == {tree.left, tree.right, tree.leaf}


async def test_a_brief_of_a_huge_thread_stays_within_its_bound_and_says_what_it_left_out(tools: Tools) -> None:
    root = await tools.start(name="n" * 3_000, cwd="/" + "d" * 2_000)
    await tools("turn_start", thread_id=root, input="goal " * 5_000)
    files: list[Json] = [
        {"type": "toolCall", "call_id": f"c{n}", "name": "write_file", "arguments": {"path": f"/{'p' * 300}/{n}.py"}}
        for n in range(100)
    ]
    steps = [{"step": f"step {n} " + "s" * 500, "status": "pending"} for n in range(60)]
    plan: Json = {"type": "toolCall", "call_id": "plan", "name": "update_plan", "arguments": {"plan": steps}}
    said: Json = {"type": "agentMessage", "text": "We decided to keep it. " * 3_000}
    await tools("turn_append", thread_id=root, items=[*files, plan, said])
    await tools("turn_complete", thread_id=root, status="failed", error="e" * 20_000)
    for n in range(12):
        child = await tools.written("task " * 300, parent_thread_id=root, agent_nickname=f"Agent {n}" * 20)
        await tools("thread_unsubscribe", thread_id=child)
    brief = await tools("thread_brief", thread_id=root)
    assert 1_500 < len(json.dumps(brief, separators=(",", ":"), ensure_ascii=False)) <= 6_000
    assert brief["more"]["files"] + len(brief["files"]) == 100
    assert brief["more"]["sub_agents"] + len(brief["sub_agents"]) == 12


async def test_briefs_of_archived_fresh_and_unknown_threads(tools: Tools) -> None:
    archived, fresh = await tools.written(), await tools.start()
    await tools("thread_archive", thread_id=archived)
    assert (await tools("thread_brief", thread_id=archived))["how_to_go_on"].startswith("thread_unarchive")
    assert (await tools("thread_brief", thread_id=fresh))["state"]["turns"] == 0
    with pytest.raises(Refused) as refused:
        await tools("thread_brief", thread_id="nobody")
    assert refused.value.code == "thread_not_found"


async def test_an_outline_has_all_that_the_user_said_with_turn_ids(tools: Tools) -> None:
    thread_id = await tools.start()
    ids: list[str] = []
    for text in ("first", "x" * 1_000):
        ids.append((await tools("turn_start", thread_id=thread_id, input=text))["turn"]["id"])
        await tools("turn_append", thread_id=thread_id, items=[{"type": "userMessage", "text": f"steer {len(ids)}"}])
        await tools("turn_complete", thread_id=thread_id, message="done")
    outline = await tools("thread_outline", thread_id=thread_id)
    told = [(entry["turn_id"], entry["text"][:10]) for entry in outline["data"]]
    assert told == [(ids[0], "first"), (ids[0], "steer 1"), (ids[1], "x" * 10), (ids[1], "steer 2")]
    assert (outline["total"], outline["data"][2]["chars"], len(outline["data"][2]["text"])) == (2, 1_000, 201)
    first = await tools("thread_outline", thread_id=thread_id, limit=1)
    rest = await tools("thread_outline", thread_id=thread_id, limit=1, cursor=first["next_cursor"])
    assert [entry["turn_id"] for entry in (*first["data"], *rest["data"])] == [ids[0]] * 2 + [ids[1]] * 2
    assert rest["next_cursor"] is None


async def test_an_outline_in_several_answers_leaves_out_nothing_that_was_said(tools: Tools) -> None:
    thread_id = await tools.start()
    said: set[str] = set()
    for turn in range(4):
        texts = [f"{turn}.{n} {'s' * 190}" for n in range(10)]
        said |= set(texts)
        await tools("turn_start", thread_id=thread_id, input=texts[0])
        items = [{"type": "userMessage", "text": text} for text in texts[1:]]
        await tools("turn_append", thread_id=thread_id, items=items)
        await tools("turn_complete", thread_id=thread_id)
    told: set[str] = set()
    cursor: str | None = None
    answers = 0
    while answers == 0 or cursor is not None:
        outline = await tools("thread_outline", thread_id=thread_id, cursor=cursor)
        told |= {entry["text"] for entry in outline["data"]}
        cursor, answers = outline["next_cursor"], answers + 1
    assert told == said
    assert answers > 1


async def test_turns_failures_and_threads_are_counted_by_each_group(tools: Tools) -> None:
    failed = await at_work(tools)
    tree = await grow(tools)
    await tools("thread_update", thread_id=failed, tags=["shop", "bug"])
    await tools("thread_archive", thread_id=failed)
    today = datetime.now().astimezone().date().isoformat()
    by_day = await tools("thread_stats")
    assert by_day["data"] == [{"key": today, "threads": 5, "turns": 6, "failed": 1}]
    assert by_day["total"] == {"threads": 5, "turns": 6, "failed": 1}
    by_cwd = await tools("thread_stats", group_by="cwd", cwd="/work/shop")
    assert by_cwd["data"] == [{"key": "/work/shop", "threads": 1, "turns": 2, "failed": 1}]
    by_tag = await tools("thread_stats", group_by="tag")
    assert {row["key"]: row["turns"] for row in by_tag["data"]} == {"(none)": 4, "bug": 2, "shop": 2}
    by_agent = await tools("thread_stats", group_by="agent", ancestor_thread_id=tree.root)
    assert {row["key"]: row["threads"] for row in by_agent["data"]} == {"Left": 1, "Right": 1, "Leaf": 1}
    by_status = await tools("thread_stats", group_by="status")
    assert {row["key"]: row["threads"] for row in by_status["data"]} == {"completed": 4, "failed": 1}
    assert (await tools("thread_stats", archived=False))["total"]["threads"] == 4


async def test_turns_outside_the_time_do_not_count(tools: Tools) -> None:
    await tools.written()
    assert (await tools("thread_stats", until="2001-01-01T00:00:00Z"))["total"] == {"threads": 0, "turns": 0}
    assert (await tools("thread_stats", since="2001-01-01T00:00:00Z"))["total"]["turns"] == 1


async def test_a_turn_that_a_fork_has_copied_counts_once(tools: Tools) -> None:
    source = await tools.written("hello")
    await tools("thread_fork", thread_id=source)
    assert (await tools("thread_stats"))["total"]["threads"] in (1, 2)


async def test_groups_beyond_the_limit_are_in_the_sum_alone(tools: Tools) -> None:
    for n in range(3):
        await tools.written(cwd=f"/work/{n}")
    counted = await tools("thread_stats", group_by="cwd", limit=1)
    assert (len(counted["data"]), counted["more_groups"], counted["total"]["turns"]) == (1, 2, 3)
