"""Finding what was said while threads change, in files of Codex, with and without an index."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from mcp_server.threads.search.bounds import SearchBounds
from tests.mission.conftest import PATIENT, Connect, Tools, rollouts
from tests.mission.searches import ONE, TWO, add, asked, closed, put, search, snippets, threads
from tests.threads.rollout_lines import agent, completed, ended, rolled_back, started, user

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------------------------------------- what changes


async def test_what_was_acknowledged_is_found_while_the_turn_runs(two: tuple[Tools, Tools]) -> None:
    tools, other = two
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="asked 0")
    for n in range(1, 4):
        assert await threads(other, f"asked {n - 1}") == [thread_id]
        await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": f"asked {n}"}])
    assert await snippets(other, "asked", thread_id=thread_id) == [f"**asked** {n}" for n in (3, 2, 1, 0)]


async def test_what_another_server_appends_is_found_at_once(connect: Connect) -> None:
    async with connect() as writer, connect() as reader:
        thread_id = await writer.start()
        await writer("turn_start", thread_id=thread_id, input="asked words")
        assert await threads(reader, "asked words") == [thread_id]
        await writer("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": "more words"}])
        assert sorted(await snippets(reader, "words")) == ["asked **words**", "more **words**"]


async def test_a_thread_that_is_deleted_is_not_found(tools: Tools) -> None:
    stays, goes = await closed(tools, "words", "words", name="words")
    assert await threads(tools, "words") == [goes, stays]
    await tools("thread_delete", thread_id=goes, confirm_thread_id=goes)
    assert await threads(tools, "words") == [stays]


async def test_what_another_process_wrote_is_found_and_what_it_rolled_back_is_not(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        (thread_id,) = await closed(tools, "words one")
        assert len(await search(tools, "words")) == 1
    add(home, thread_id, started("x"), user("words two"), agent("words two answered"), ended("x"))
    async with connect() as tools:
        shown = await snippets(tools, "words", thread_id=thread_id)
        assert shown == ["**words** two answered", "**words** two", "**words** one"]
        assert await threads(tools, "words two answered") == [thread_id]
    add(home, thread_id, rolled_back(1), started("y"), user("words three"), ended("y"))
    async with connect() as tools:
        assert await snippets(tools, "words", thread_id=thread_id) == ["**words** three", "**words** one"]
        assert await threads(tools, '"words two"') == []


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


async def test_an_unreadable_rollout_is_reported_and_the_others_are_searched(home: Path, connect: Connect) -> None:
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
        assert await threads(tools, "needlework") == []


async def test_an_ephemeral_thread_is_in_no_index_and_searched_all_the_same(tools: Tools) -> None:
    thread_id = await tools.written("some words", ephemeral=True)
    answer = await tools("thread_search", search_term="words", thread_id=thread_id)
    assert [passage["text"] for passage in answer["data"][0]["passages"]] == ["some **words**"]
    assert answer["incomplete"] == []


async def test_threads_that_are_not_indexed_yet_are_counted_where_reading_them_takes_too_long(
    home: Path, connect: Connect
) -> None:
    put(home, ONE, started("a"), user("some words"), ended("a"))
    put(home, TWO, started("a"), user("some words"), ended("a"))
    async with connect(read_only=True, searching=SearchBounds(reading_seconds=-1)) as tools:
        answer = await tools("thread_search", search_term="words")
        assert (answer["data"], answer["total"]) == ([], None)
        assert answer["incomplete"][0].startswith("2 threads are not indexed yet")
    async with connect(read_only=True) as tools:
        assert sorted(await threads(tools, "words")) == [ONE, TWO]


async def test_a_client_sees_how_many_files_are_read_and_a_cancelled_search_stops(home: Path, connect: Connect) -> None:
    count = 300
    for n in range(count):
        put(home, f"{ONE[:-4]}{n:04}", started("a"), user("some words"), ended("a"))
    async with connect(read_only=True, searching=replace(PATIENT, progress_seconds=0)) as tools:
        assert (await tools("thread_list"))["total"] == count  # the index of threads is built
        told: list[tuple[float, float | None]] = []
        with anyio.CancelScope() as call:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                told.append((progress, total))
                call.cancel()

            await tools.client.call_tool("thread_search", {"search_term": "words"}, progress_callback=on_progress)
        assert told[0][1] == count
        left = (await tools("store_status"))["histories"]["unread"]
        assert 0 < left < count
        assert len(await threads(tools, "words", limit=100)) == count


async def test_a_search_that_takes_too_long_says_so_and_its_cursor_goes_on(connect: Connect) -> None:
    async with connect() as tools:
        ids = await closed(tools, *(f"words {n}" for n in range(4)))
        await search(tools, "words")  # which indexes them
    async with connect(searching=SearchBounds(seconds=0)) as tools:
        assert await _pages(tools) == ids[::-1]


async def _pages(tools: Tools) -> list[str]:
    """The threads of all pages of a search, each of which says that time was up."""
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        page = await tools("thread_search", search_term="words", cursor=cursor)
        seen += [hit["thread"]["id"] for hit in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
        assert page["total"] is None
        assert "time was up" in page["incomplete"][0]
    return seen


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
