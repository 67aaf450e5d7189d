"""Threads that are attached to another (Codex: `attachToSource`), agents without a first message, threads by id."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mission.conftest import Connect, Refused, Tools
from tests.mission.searches import ONE, TWO, asked, put, threads
from tests.threads.rollout_lines import ended, started, user

pytestmark = pytest.mark.anyio

SIDE = "01a20581-0000-7000-8000-00000000000a"
FORK = "01a20581-0000-7000-8000-00000000000b"
NOBODY = "01a20581-0000-7000-8000-0000000000ff"


def paginated(home: Path, thread_id: str, said: str, **meta: object) -> int:
    turn = f"turn-of-{thread_id[-1]}"
    return put(home, thread_id, started(turn), asked(turn, said), ended(turn), history_mode="paginated", **meta)


def beside(home: Path) -> None:
    """A thread, one that is attached to it, and a fork of it."""
    size = paginated(home, ONE, "source words")
    base = {"thread_id": ONE, "end_ordinal_exclusive": 4, "end_byte_offset": size}
    borrowed = {"forked_from_id": ONE, "history_base": base}
    paginated(home, SIDE, "side words", attached_thread=True, **borrowed)
    paginated(home, FORK, "fork words", **borrowed)


async def test_an_attached_thread_is_hidden_counted_and_shown_on_request(home: Path, connect: Connect) -> None:
    beside(home)
    async with connect() as tools:
        answer = await tools("thread_list")
        assert {thread["id"] for thread in answer["data"]} == {ONE, FORK}
        assert (answer["total"], answer["hidden"]["attached"]) == (2, 1)
        answer = await tools("thread_list", include_attached_threads=True)
        assert {thread["id"] for thread in answer["data"]} == {ONE, FORK, SIDE}
        assert (answer["total"], answer["hidden"]["attached"]) == (3, 0)
        (side,) = (await tools("thread_list", attached_to_thread_id=ONE))["data"]
        assert (side["id"], side["attached_to_thread_id"], side["preview"]) == (SIDE, ONE, "source words")
        assert await tools.listed(attached_to_thread_id=SIDE) == []


async def test_an_attached_thread_is_searched_on_request(home: Path, connect: Connect) -> None:
    beside(home)
    async with connect() as tools:
        assert await threads(tools, "side words") == []
        assert await threads(tools, "side words", include_attached_threads=True) == [SIDE]
        assert await threads(tools, "side words", thread_id=SIDE) == [SIDE]
        assert set(await threads(tools, "source words", include_attached_threads=True)) == {ONE, FORK}


async def test_an_attached_thread_shows_its_own_turns_alone_and_a_fork_all(home: Path, connect: Connect) -> None:
    beside(home)
    async with connect() as tools:
        shown = {
            thread_id: [
                turn["id"] for turn in (await tools("thread_read", thread_id=thread_id, include_turns=True))["turns"]
            ]
            for thread_id in (SIDE, FORK)
        }
        assert shown == {SIDE: ["turn-of-a"], FORK: ["turn-of-b", "turn-of-1"]}
        assert (await tools("thread_items", thread_id=SIDE))["total"] == 1


async def test_a_copy_of_an_attached_thread_has_what_a_model_goes_on_with(home: Path, connect: Connect) -> None:
    beside(home)
    async with connect() as tools:
        copy = (await tools("thread_fork", thread_id=SIDE))["thread"]["id"]
        read = await tools("thread_read", thread_id=copy, include_turns=True)
        assert [turn["id"] for turn in read["turns"]] == ["turn-of-a", "turn-of-1"]
        assert copy in await tools.listed()


async def test_a_thread_with_attached_ones_is_not_deleted_before_them(home: Path, connect: Connect) -> None:
    paginated(home, ONE, "source words")
    paginated(home, SIDE, "side words", attached_thread=True, forked_from_id=ONE)
    async with connect() as tools:
        with pytest.raises(Refused, match=f"while attached thread {SIDE} exists") as refused:
            await tools("thread_delete", thread_id=ONE, confirm_thread_id=ONE)
        assert refused.value.code == "attached_thread_exists"
        for thread_id in (SIDE, ONE):
            await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert await tools.listed(include_attached_threads=True) == []


async def test_archiving_a_thread_leaves_those_that_are_attached_to_it(home: Path, connect: Connect) -> None:
    beside(home)
    async with connect() as tools:
        assert (await tools("thread_archive", thread_id=ONE))["archived"] == [ONE]
        assert await tools.listed(attached_to_thread_id=ONE) == [SIDE]


async def test_sub_agents_without_a_first_message_are_listed_below_their_parent(home: Path, connect: Connect) -> None:
    put(home, ONE, user("go on"))
    spawn = {"parent_thread_id": ONE, "depth": 1, "agent_path": "/root/task", "agent_nickname": "Ada"}
    put(home, TWO, started("a"), ended("a"), source={"subagent": {"thread_spawn": spawn}})
    async with connect() as tools:
        assert await tools.listed(parent_thread_id=ONE) == [TWO]
        assert await tools.listed(ancestor_thread_id=ONE) == [TWO]
        assert await tools.listed(source_kinds=["subAgent"]) == []


async def test_a_sub_agent_without_a_first_message_is_headed_by_its_task(home: Path, connect: Connect) -> None:
    put(home, ONE, user("go on"))
    spawn = {"parent_thread_id": ONE, "depth": 1, "agent_path": "/root/review/fix_login", "agent_nickname": "Ada"}
    put(home, TWO, started("a"), ended("a"), source={"subagent": {"thread_spawn": spawn}})
    async with connect() as tools:
        (row,) = (await tools("thread_list", parent_thread_id=ONE, response_format="concise"))["data"]
        assert (row["nickname"], row["task"]) == ("Ada", "fix_login")
        nodes = (await tools("thread_tree", thread_id=ONE))["nodes"]
        assert [node["title"] for node in nodes] == ["go on", "fix_login"]
        exported = (await tools("thread_export", thread_id=TWO, format="markdown"))["path"]
        assert Path(exported).read_text().startswith("# fix\\_login\n")
        (content,) = (await tools.client.read_resource(f"thread://{TWO}/transcript")).contents
        assert '**"fix_login"**' in getattr(content, "text", "")


async def test_threads_are_listed_by_their_ids_and_other_filters_still_apply(tools: Tools) -> None:
    one, two, three = [await tools.written(text) for text in ("one", "two", "three")]
    await tools("thread_archive", thread_id=three)
    answer = await tools("thread_list", thread_ids=[one, three, NOBODY])
    assert ([thread["id"] for thread in answer["data"]], answer["total"], answer["hidden"]["archived"]) == ([one], 1, 1)
    assert await tools.listed(thread_ids=[one, two[:20], three], search_term="two") == [two]
    assert await tools.listed(thread_ids=[one, three], archived=True) == [three]
    assert await tools.listed(thread_ids=[]) == []


async def test_more_than_a_hundred_ids_are_refused(tools: Tools) -> None:
    with pytest.raises(Refused, match="at most 100") as refused:
        await tools("thread_list", thread_ids=[NOBODY] * 101)
    assert refused.value.code == "invalid_argument"
