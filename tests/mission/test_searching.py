"""Finding what was said: thread_search, over all threads and within one."""

from __future__ import annotations

import sys

import pytest

from tests.mission.conftest import Refused, Tools, grow
from tests.mission.searches import closed, search, snippets, threads

if sys.version_info >= (3, 14):
    pass
else:
    pass

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------------------------------------- what is typed

SAID = "The parser fails in session.py:88, says the linter: 编译器的错误信息"
FOUND = {
    "words in any order": ("linter parser", "the **linter**:"),
    "a phrase": ('"fails in"', "**fails in**"),
    "the beginning of a word": ("pars*", "**pars**er"),
    "any case": ("PARSER", "**parser**"),
    "a part of a word": ("inte", "l**inte**r"),
    "code": ("session.py:88", "**session.py:88**"),
    "two characters of Chinese": ("错误", "**错误**"),
    "one character of Chinese": ("器", "**器**"),
    "one letter": ("T", "**T**he"),
}


@pytest.mark.parametrize(("term", "shown"), FOUND.values(), ids=FOUND)
async def test_what_was_said_is_found(tools: Tools, term: str, shown: str) -> None:
    said = await tools.written(SAID)
    await tools.written("nothing of it")
    hits = [hit for hit in await search(tools, term) if hit["thread"]["id"] == said]
    assert shown in hits[-1]["snippet"]


@pytest.mark.parametrize("term", ["parser absent", '"in fails"', "inte*", "session.py:89", "错信"])
async def test_text_that_nobody_said_is_not_found(tools: Tools, term: str) -> None:
    await tools.written(SAID)
    answer = await tools("thread_search", search_term=term)
    assert (answer["data"], answer["next_cursor"], answer["total"]) == ([], None, 0)


async def test_names_are_found_before_what_was_said(tools: Tools) -> None:
    (said,) = await closed(tools, "about the needle")
    (named,) = await closed(tools, "hay", name="The Needle thread")
    first, second = await search(tools, "needle")
    assert (first["thread"]["id"], first["turn_id"], first["item_id"]) == (named, None, None)
    assert (first["snippet"], second["thread"]["id"]) == ("The **Needle** thread", said)
    assert await threads(tools, "needle", thread_id=named) == [named]
    await tools("thread_set_name", thread_id=named, name="another")
    assert await threads(tools, "needle") == [said]


async def test_the_ids_of_a_match_lead_to_the_item(tools: Tools) -> None:
    thread_id = await tools.start()
    for n in range(3):
        await tools("turn_start", thread_id=thread_id, input=f"question {n}")
        await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": f"thought {n}"}])
        await tools("turn_complete", thread_id=thread_id, message=f"answer {n}")
    for term in ("question 1", "thought 1", "answer 1"):
        (hit,) = await search(tools, f'"{term}"')
        items = await tools("thread_items", thread_id=thread_id, turn_id=hit["turn_id"], item_id=hit["item_id"])
        (entry,) = items["data"]
        text = entry["item"].get("text") or entry["item"]["content"][0]["text"]
        assert text == term


async def test_tool_calls_and_their_outputs_are_found_on_request_alone(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="go")
    call = {"type": "toolCall", "call_id": "c", "name": "shell", "arguments": {"cmd": "grep needle"}}
    await tools("turn_append", thread_id=thread_id, items=[call])
    assert len(await search(tools, "needle", include_tool_calls=True)) == 1
    assert await search(tools, "haystack", include_tool_calls=True) == []
    output = {"type": "toolOutput", "call_id": "c", "output": "in the haystack", "success": True}
    await tools("turn_append", thread_id=thread_id, items=[output])
    await tools("turn_complete", thread_id=thread_id, message="done")
    for term in ("needle", "haystack", "needle haystack", "ha"):
        assert await search(tools, term) == []
        assert len(await search(tools, term, include_tool_calls=True)) == 1


# ---------------------------------------------------------------------------------------------- which threads


async def test_filters_are_those_of_the_list(tools: Tools) -> None:
    (one,) = await closed(tools, "words one", cwd="/work/one", model_provider="rare")
    (two,) = await closed(tools, "words two", cwd="/work/two")
    (old,) = await closed(tools, "words old")
    await tools("thread_archive", thread_id=old)
    assert await threads(tools, "words") == [two, one]
    assert await threads(tools, "words", archived=True) == [old]
    assert await threads(tools, "words", cwd="/work/one") == [one]
    assert await threads(tools, "words", cwd=["/work/one", "/work/two/"]) == [two, one]
    assert await threads(tools, "words", model_providers=["rare"]) == [one]
    assert await threads(tools, "words", since="2001-01-01T00:00:00Z") == [two, one]
    assert await threads(tools, "words", until="2001-01-01T00:00:00Z") == []
    with pytest.raises(Refused) as refused:
        await search(tools, "words", since="yesterday")
    assert refused.value.code == "invalid_argument"


async def test_sub_agents_are_searched_too_unless_a_kind_is_asked_for(tools: Tools) -> None:
    tree = await grow(tools)
    everyone = await threads(tools, "done")
    assert sorted(everyone) == sorted(tree.all())
    assert sorted(await threads(tools, "done", ancestor_thread_id=tree.left)) == [tree.leaf]
    assert sorted(await threads(tools, "done", ancestor_thread_id=tree.root)) == sorted(tree.all()[1:])
    kinds = ["subAgentThreadSpawn"]
    assert sorted(await threads(tools, "done", source_kinds=kinds)) == sorted([tree.left, tree.right, tree.leaf])


async def test_a_search_in_one_thread_finds_it_whatever_the_default_filters_hide(tools: Tools) -> None:
    one, other = await closed(tools, "words here", "words there")
    await tools("thread_archive", thread_id=one)
    assert await threads(tools, "words", thread_id=one) == [one]
    assert await threads(tools, "words", thread_id=other[:-2]) == [other]
    assert await threads(tools, "here", thread_id=other) == [other]
    assert await threads(tools, "words here", thread_id=other) == [other]
    with pytest.raises(Refused) as refused:
        await search(tools, "words", thread_id="01a20581-0000-7000-8000-000000000001")
    assert refused.value.code == "thread_not_found"


# ---------------------------------------------------------------------------------------------- order, pages


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("order", ["time", "rank"])
async def test_pages_hold_every_match_once(tools: Tools, limit: int, order: str) -> None:
    for n in range(3):
        thread_id = await tools.start(name=f"words {n}")
        for m in range(2):
            await tools("turn_start", thread_id=thread_id, input=f"words {n} {m} asked")
            again = {"type": "agentMessage", "text": f"words {n} {m} thought"}
            await tools("turn_append", thread_id=thread_id, items=[again])
            await tools("turn_complete", thread_id=thread_id, message=f"words {n} {m} answered")
    seen = await snippets(tools, "words", limit=limit, sort_by=order)
    assert len(seen) == len(set(seen)) == 3 + 3 * 2 * 3
    if order == "time":
        assert seen[:3] == ["**words** 2", "**words** 1", "**words** 0"]
        assert seen[3:6] == [f"**words** 2 1 {what}" for what in ("answered", "thought", "asked")]
        assert seen[-1] == "**words** 0 0 asked"


async def test_by_rank_whole_words_often_in_a_short_text_come_first(tools: Tools) -> None:
    await closed(tools, "fox fox fox", "a fox", "a foxtrot " + "and more " * 400)
    shown = await snippets(tools, "fox", sort_by="rank")
    assert shown[:2] == ["**fox** **fox** **fox**", "a **fox**"]
    by_time = await snippets(tools, "fox")
    assert by_time[-1] == shown[0]
    assert sorted(by_time) == sorted(shown)


@pytest.mark.parametrize(("order", "cursor"), [("time", "r1"), ("rank", "n1"), ("rank", "x"), ("time", "t1#")])
async def test_a_cursor_of_another_order_is_refused(tools: Tools, order: str, cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        await tools("thread_search", search_term="x", sort_by=order, cursor=cursor)
    assert refused.value.code == "invalid_cursor"
