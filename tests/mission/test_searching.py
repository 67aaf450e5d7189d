"""Finding what was said: thread_search, over all threads and within one."""

from __future__ import annotations

import pytest

from tests.mission.conftest import Refused, Tools, grow
from tests.mission.searches import closed, passages, search, snippets, threads

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
    (row,) = [row for row in await search(tools, term) if row["thread"]["id"] == said]
    assert any(shown in passage["text"] for passage in row["passages"])


@pytest.mark.parametrize("term", ["parser absent", '"in fails"', "inte*", "session.py:89", "错信", "parser -linter"])
async def test_text_that_nobody_said_is_not_found(tools: Tools, term: str) -> None:
    await tools.written(SAID)
    answer = await tools("thread_search", search_term=term)
    assert (answer["data"], answer["next_cursor"], answer["total"]) == ([], None, 0)


async def test_names_are_found_before_what_was_said(tools: Tools) -> None:
    (said,) = await closed(tools, "about the needle")
    (named,) = await closed(tools, "hay", name="The Needle thread")
    first, second = await search(tools, "needle")
    assert (first["thread"]["id"], first["passages"]) == (named, [{"text": "The **Needle** thread"}])
    assert second["thread"]["id"] == said
    assert await threads(tools, "needle", thread_id=named) == [named]
    await tools("thread_update", thread_id=named, name="another")
    assert await threads(tools, "needle") == [said]


async def test_names_and_texts_are_found_with_and_without_accents(tools: Tools) -> None:
    named, said = await closed(tools, "hay", "hay"), await closed(tools, "the résumé of Łukasz", "a plain resume")
    await tools("thread_update", thread_id=named[0], name="Café Größe")
    for term in ("cafe", "CAFÉ", "größe"):
        assert await threads(tools, term) == [named[0]]
    for term in ("resume", "résumé", "RESUME*"):
        assert sorted(await threads(tools, term)) == sorted(said)


async def test_the_ids_of_a_match_lead_to_the_item(tools: Tools) -> None:
    thread_id = await tools.start()
    for n in range(3):
        await tools("turn_start", thread_id=thread_id, input=f"question {n}")
        await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": f"thought {n}"}])
        await tools("turn_complete", thread_id=thread_id, message=f"answer {n}")
    for term in ("question 1", "thought 1", "answer 1"):
        (hit,) = await passages(tools, f'"{term}"')
        items = await tools("thread_items", thread_id=thread_id, turn_id=hit["turn_id"], item_id=hit["item_id"])
        (entry,) = items["data"]
        text = entry["item"].get("text") or entry["item"]["content"][0]["text"]
        assert text == term


async def test_tool_calls_and_their_outputs_are_found_where_nothing_else_fits_and_that_is_said(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="go")
    call = {"type": "toolCall", "call_id": "c", "name": "shell", "arguments": {"cmd": "grep needle"}}
    await tools("turn_append", thread_id=thread_id, items=[call])
    output = {"type": "toolOutput", "call_id": "c", "output": "in the haystack", "success": True}
    await tools("turn_append", thread_id=thread_id, items=[output])
    await tools("turn_complete", thread_id=thread_id, message="done")
    for term in ("needle", "haystack", "needle haystack"):
        answer = await tools("thread_search", search_term=term)
        assert [row["thread"]["id"] for row in answer["data"]] == [thread_id]
        assert answer["notes"] == ["no message holds all of it, so tool calls and their outputs are included"]
        assert await threads(tools, term, include_tool_calls=True) == [thread_id]
    assert await threads(tools, "completed", include_tool_calls=True) == []  # how it ended is nothing that was said
    (said,) = await closed(tools, "a needle was said")
    answer = await tools("thread_search", search_term="needle")
    assert ([row["thread"]["id"] for row in answer["data"]], answer["notes"]) == ([said], [])
    assert sorted(await threads(tools, "needle", include_tool_calls=True)) == sorted([said, thread_id])


# ---------------------------------------------------------------------------------------------- ranking


async def test_words_may_stand_anywhere_in_a_thread_and_most_of_them_come_after_all_of_them(tools: Tools) -> None:
    whole = await tools.written("the checkout", name="payments")
    await tools("turn_start", thread_id=whole, input="is slow")
    await tools("turn_complete", thread_id=whole, message="since the cache is cold")
    most, few = await closed(tools, "checkout slow slow slow checkout", "checkout alone")
    rows = await search(tools, "checkout slow cache")
    assert [row["thread"]["id"] for row in rows] == [whole, most]
    assert len(rows[0]["passages"]) == 3
    assert (rows[0].get("missing"), rows[1]["missing"]) == (None, ["cache"])
    assert few not in await threads(tools, "checkout slow cache")


async def test_beginnings_and_other_forms_of_words_are_found_after_the_word_itself(tools: Tools) -> None:
    begins, word, form = await closed(tools, "refreshing tokens", "refresh tokens", "it was refreshed")
    assert (await threads(tools, "refresh"))[0] == word
    assert sorted(await threads(tools, "refresh")) == sorted([word, begins, form])
    assert sorted(await threads(tools, "refreshing")) == sorted([word, begins, form])
    assert (await threads(tools, "refreshing"))[0] == begins


async def test_parts_of_words_are_found_only_where_no_word_begins_so(tools: Tools) -> None:
    (trace,) = await closed(tools, "the trace of it")
    answer = await tools("thread_search", search_term="race")
    assert [row["thread"]["id"] for row in answer["data"]] == [trace]
    assert answer["notes"] == ["no word begins with race, so parts of words are shown"]
    (race,) = await closed(tools, "the race of it")
    answer = await tools("thread_search", search_term="race")
    assert ([row["thread"]["id"] for row in answer["data"]], answer["notes"]) == ([race], [])


async def test_one_of_several_words_is_enough_where_they_are_joined_by_or(tools: Tools) -> None:
    one, two, three = await closed(tools, "login works", "auth works", "auth fails")
    assert sorted(await threads(tools, "login OR auth")) == sorted([one, two, three])
    assert sorted(await threads(tools, "login OR auth works")) == sorted([one, two])
    assert await threads(tools, "auth -works") == [three]
    assert await threads(tools, 'auth -"auth fails"') == [two]


async def test_of_equal_threads_the_newer_one_comes_first(tools: Tools) -> None:
    ids = await closed(tools, *("some equal words",) * 3)
    assert await threads(tools, "equal") == ids[::-1]
    assert await threads(tools, "equal", sort_by="time") == ids[::-1]


async def test_where_nothing_is_found_the_answer_tells_what_may_help(tools: Tools) -> None:
    old, _ = await closed(tools, "reconciliation of batches", "batches of something else")
    await tools("thread_archive", thread_id=old)
    answer = await tools("thread_search", search_term="reconciliation batches")
    assert (answer["data"], answer["total"]) == ([], 0)
    assert answer["no_match"] == {
        "words": [{"word": "reconciliation", "threads": 0}, {"word": "batches", "threads": 1}],
        "elsewhere": {"archived": 1},
    }
    answer = await tools("thread_search", search_term="somethng")
    assert answer["no_match"] == {"words": [{"word": "somethng", "threads": 0, "nearest": ["something"]}]}


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
        await search(tools, "words", since="last week")
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
async def test_pages_hold_every_thread_once(tools: Tools, limit: int, order: str) -> None:
    ids = await closed(tools, *(f"words {n} asked" for n in range(7)))
    seen = await threads(tools, "words", limit=limit, sort_by=order)
    assert seen == ids[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_within_a_thread_hold_every_match_once_the_newest_first(tools: Tools, limit: int) -> None:
    thread_id = await tools.start(name="words 0")
    for m in range(2):
        await tools("turn_start", thread_id=thread_id, input=f"words {m} asked")
        again = {"type": "agentMessage", "text": f"words {m} thought"}
        await tools("turn_append", thread_id=thread_id, items=[again])
        await tools("turn_complete", thread_id=thread_id, message=f"words {m} answered")
    seen = await snippets(tools, "words", limit=limit, thread_id=thread_id)
    said = [f"**words** {m} {what}" for m in (1, 0) for what in ("answered", "thought", "asked")]
    assert seen == ["**words** 0", *said]


async def test_by_rank_whole_words_often_in_a_short_text_come_first(tools: Tools) -> None:
    ids = await closed(tools, "fox fox fox", "a fox", "a foxtrot " + "and more " * 400)
    assert await threads(tools, "fox") == ids
    assert await threads(tools, "fox", sort_by="time") == ids[::-1]


@pytest.mark.parametrize(("order", "cursor"), [("time", "r1"), ("rank", "u1"), ("rank", "x"), ("time", "t1#")])
async def test_a_cursor_of_another_order_is_refused(tools: Tools, order: str, cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        await tools("thread_search", search_term="x", sort_by=order, cursor=cursor)
    assert refused.value.code == "invalid_cursor"


# ---------------------------------------------------------------------------------------------- names as references


async def test_a_thread_is_named_in_any_case_and_without_accents_while_no_other_is_called_so(tools: Tools) -> None:
    one = await tools.written("hay", name="Café Größe")
    for name in ("café größe", "CAFE GRÖSSE", "Cafe Größe"):
        assert (await tools("thread_read", thread_id=name))["thread"]["id"] == one
    two = await tools.written("hay", name="cafe größe")
    assert (await tools("thread_read", thread_id="cafe größe"))["thread"]["id"] == two
    with pytest.raises(Refused) as refused:
        await tools("thread_read", thread_id="CAFE GRÖSSE")
    assert refused.value.code == "ambiguous_reference"


async def test_a_name_that_no_thread_has_brings_names_like_it(tools: Tools) -> None:
    await closed(tools, "hay", name="Checkout is slow")
    await closed(tools, "hay", name="something else")
    for name in ("chekout slow", "the slow checkout", "Checkout is slwo"):
        with pytest.raises(Refused, match="like it: 'Checkout is slow'") as refused:
            await tools("thread_read", thread_id=name)
        assert refused.value.code == "thread_not_found"
        assert "something else" not in refused.value.sentence
