"""Finding what was said: thread_search, over all threads and within one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

import mcp_server.threads.search as searching
from mcp_server.models.rollout import RolloutLine, encode_line
from tests.mission.conftest import Connect, Json, Refused, Tools, grow, rollouts
from tests.threads.rollout_lines import agent, completed, ended, line, rolled_back, started, user

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


async def search(tools: Tools, term: str, **arguments: Any) -> list[Json]:
    """All matches, over as many pages as it takes; nothing may be left out."""
    hits: list[Json] = []
    cursor: str | None = None
    while True:
        page = await tools("thread_search", search_term=term, cursor=cursor, **arguments)
        assert page["incomplete"] == []
        hits += page["data"]
        if (cursor := page["next_cursor"]) is None:
            return hits


async def threads(tools: Tools, term: str, **arguments: Any) -> list[str]:
    return [hit["thread"]["id"] for hit in await search(tools, term, **arguments)]


async def snippets(tools: Tools, term: str, **arguments: Any) -> list[str]:
    return [hit["snippet"] for hit in await search(tools, term, **arguments)]


async def closed(tools: Tools, *messages: str, **arguments: Any) -> list[str]:
    """Threads with one turn each, none of them loaded."""
    ids = [await tools.written(message, **arguments) for message in messages]
    for thread_id in ids:
        await tools("thread_unsubscribe", thread_id=thread_id)
    return ids


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
async def test_what_was_not_said_is_not_found(tools: Tools, term: str) -> None:
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


async def test_one_thread_is_searched_alone_whatever_it_is(tools: Tools) -> None:
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


# ---------------------------------------------------------------------------------------------- what changes


async def test_what_was_acknowledged_is_found_while_the_turn_runs(two: tuple[Tools, Tools]) -> None:
    tools, other = two
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="asked 0")
    for n in range(1, 4):
        assert await threads(other, f"asked {n - 1}") == [thread_id]
        await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": f"asked {n}"}])
    assert await snippets(other, "asked") == [f"**asked** {n}" for n in (3, 2, 1, 0)]


async def test_a_thread_that_is_deleted_is_not_found(tools: Tools) -> None:
    stays, goes = await closed(tools, "words", "words", name="words")
    assert len(await search(tools, "words")) == 4
    await tools("thread_delete", thread_id=goes, confirm_thread_id=goes)
    assert await threads(tools, "words") == [stays, stays]


async def test_what_another_process_wrote_is_found_and_what_it_rolled_back_is_not(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        (thread_id,) = await closed(tools, "words one")
        assert len(await search(tools, "words")) == 1
    add(home, thread_id, started("x"), user("words two"), agent("words two answered"), ended("x"))
    async with connect() as tools:
        assert await snippets(tools, "words") == ["**words** two answered", "**words** two", "**words** one"]
    add(home, thread_id, rolled_back(1), started("y"), user("words three"), ended("y"))
    async with connect() as tools:
        assert await snippets(tools, "words") == ["**words** three", "**words** one"]


async def test_a_rollout_that_was_rewritten_is_found_as_it_is_now(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        (thread_id,) = await closed(tools, "the old words")
        assert len(await search(tools, "words")) == 1
    (path,) = rollouts(home)
    path.write_bytes(path.read_bytes().replace(b"the old words", b"some other words"))
    async with connect() as tools:
        assert await threads(tools, "some other words") == [thread_id]
        assert await search(tools, "old") == []


async def test_a_compressed_rollout_is_searched(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        (thread_id,) = await closed(tools, "some words")
    (path,) = rollouts(home)
    path.with_name(f"{path.name}.zst").write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    async with connect() as tools:
        for _ in range(2):
            assert await threads(tools, "some words") == [thread_id]


# ---------------------------------------------------------------------------------------------- Codex's own

ONE, TWO = "01a20581-0000-7000-8000-000000000001", "01a20581-0000-7000-8000-000000000002"


def put(home: Path, thread_id: str, *lines: RolloutLine, **meta: Any) -> int:
    """A rollout as Codex leaves it; returns its size."""
    folder = home / "sessions/2026/11/22"
    folder.mkdir(parents=True, exist_ok=True)
    fields: Json = {"id": thread_id, "cwd": "/work", "originator": "codex", "cli_version": "0", "source": "cli"}
    path = folder / f"rollout-2026-11-22T10-00-00-{thread_id}.jsonl"
    first = line("session_meta", timestamp="2026-11-22T10:00:00.000Z", **(fields | meta))
    return path.write_bytes(joined([first, *lines]))


def add(home: Path, thread_id: str, *lines: RolloutLine) -> None:
    (path,) = (path for path in rollouts(home) if thread_id in path.name)
    with path.open("ab") as file:
        file.write(joined(lines))


def joined(lines: Sequence[RolloutLine]) -> bytes:
    return b"".join(map(encode_line, lines))


def asked(turn_id: str, text: str) -> RolloutLine:
    """A user message of a paginated history."""
    content = [{"type": "text", "text": text}]
    return completed(turn_id, {"type": "UserMessage", "id": f"u-{turn_id}", "content": content})


async def test_both_modes_of_history_are_searched(home: Path, connect: Connect) -> None:
    put(home, ONE, started("a"), user("words asked"), agent("words answered"), ended("a"), history_mode="legacy")
    answer = completed(
        "a", {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": "words answered"}]}
    )
    lines = (started("a"), user("words asked"), asked("a", "words asked"), answer, ended("a"))
    put(home, TWO, *lines, history_mode="paginated")
    async with connect() as tools:
        for thread_id in (ONE, TWO):
            shown = await snippets(tools, "words", thread_id=thread_id)
            assert shown == ["**words** answered", "**words** asked"]


async def test_a_fork_is_found_by_what_it_borrows_and_by_its_own(home: Path, connect: Connect) -> None:
    lines = (started("a"), user("first"), asked("a", "borrowed words"), ended("a"))
    end = put(home, ONE, *lines, history_mode="paginated")
    add(home, ONE, started("b"), asked("b", "later words"), ended("b"))
    base = {"thread_id": ONE, "end_ordinal_exclusive": 5, "end_byte_offset": end}
    own = (started("c"), asked("c", "own words"), ended("c"))
    put(home, TWO, *own, history_mode="paginated", history_base=base)
    async with connect() as tools:
        assert await threads(tools, "own words") == [TWO]
        assert sorted(await threads(tools, "borrowed words")) == [ONE, TWO]
        assert await threads(tools, "later words") == [ONE]
        assert await threads(tools, "borrowed", thread_id=TWO) == [TWO]


async def test_a_rollout_that_can_not_be_read_is_said_and_the_others_are_searched(home: Path, connect: Connect) -> None:
    put(home, ONE, started("a"), user("some words"), ended("a"))
    put(home, TWO, started("a"), user("some words"), ended("a"))
    for path in rollouts(home):
        path.with_name(f"{path.name}.zst").write_bytes(zstd.compress(path.read_bytes()))
        path.unlink()
    async with connect() as tools:
        assert sorted(await tools.listed()) == [ONE, TWO]
        (path,) = (path for path in home.rglob("*.zst") if ONE in path.name)
        path.write_bytes(path.read_bytes()[:-9])
        answer = await tools("thread_search", search_term="words")
        assert [hit["thread"]["id"] for hit in answer["data"]] == [TWO]
        assert ONE in " ".join(answer["incomplete"])
        assert answer["total"] is None


# ---------------------------------------------------------------------------------------------- without an index


async def test_without_a_state_db_all_is_found_in_the_files(connect: Connect) -> None:
    async with connect(state=False) as tools:
        (named,) = await closed(tools, "hay", name="a needle")
        (said,) = await closed(tools, "the needle", cwd="/work/x")
        assert await threads(tools, "needle") == [named, said]
        assert await threads(tools, "needle", cwd="/work/x") == [said]
        assert await threads(tools, "need*", limit=1) == [named, said]
        assert await threads(tools, "needles") == []


async def test_an_ephemeral_thread_is_not_searched_and_that_is_said(tools: Tools) -> None:
    thread_id = await tools.written("some words", ephemeral=True)
    answer = await tools("thread_search", search_term="words", thread_id=thread_id)
    assert answer["data"] == []
    assert "ephemeral" in answer["incomplete"][0]


async def test_threads_that_are_not_indexed_yet_are_counted_where_reading_them_takes_too_long(
    home: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, ONE, started("a"), user("some words"), ended("a"))
    put(home, TWO, started("a"), user("some words"), ended("a"))
    async with connect(read_only=True) as tools:
        with monkeypatch.context() as hurried:
            hurried.setattr(searching, "_READING_SECONDS", -1.0)
            answer = await tools("thread_search", search_term="words")
            assert (answer["data"], answer["total"]) == ([], None)
            assert answer["incomplete"][0].startswith("2 threads are not indexed yet")
        assert sorted(await threads(tools, "words")) == [ONE, TWO]


async def test_a_search_that_takes_too_long_says_so_and_its_cursor_goes_on(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await closed(tools, *(f"words {n}" for n in range(4)))
    await search(tools, "words")  # which indexes them
    monkeypatch.setattr(searching, "_SECONDS", 0.0)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        page = await tools("thread_search", search_term="words", cursor=cursor)
        assert page["total"] is None
        seen += [hit["thread"]["id"] for hit in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
        assert "time was up" in page["incomplete"][0]
    assert seen == ids[::-1]


async def test_all_histories_are_indexed_behind_the_calls_and_the_status_tells_how_far_that_is(
    home: Path, connect: Connect
) -> None:
    """So many that it is done in a process of its own."""
    count = 600
    for n in range(count):
        put(home, f"{ONE[:-4]}{n:04}", started("a"), user(f"words of {n}"), ended("a"))
    for path in rollouts(home):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    async with connect(read_only=True) as tools:
        assert (await tools("store_status"))["histories"] == {"indexed": 0, "unread": count}
    async with connect() as tools:
        with anyio.fail_after(60):
            while (await tools("store_status"))["histories"] != {"indexed": count, "unread": 0}:  # noqa: ASYNC110
                await anyio.sleep(0.1)
        assert len(await threads(tools, '"words of 599"')) == 1
