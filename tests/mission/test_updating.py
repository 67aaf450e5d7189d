"""thread_update: name, git info and tags in one call; lists and searches by tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.files.tags import TagFile
from tests.mission.conftest import Connect, Refused, Tools

pytestmark = pytest.mark.anyio


async def test_name_git_info_and_tags_are_set_in_one_call(tools: Tools) -> None:
    thread_id = await tools.written()
    after = (await tools("events_read", limit=100))["last_seq"]
    answer = await tools(
        "thread_update", thread_id=thread_id, name=" Checkout ", git_info={"branch": "main"}, tags=["later", " bug "]
    )
    thread = answer["thread"]
    assert (thread["name"], thread["branch"], thread["tags"]) == ("Checkout", "main", ["bug", "later"])
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["tags"] == ["bug", "later"]
    told = await tools("events_read", after=after, thread_id=thread_id)
    assert {event["type"] for event in told["data"]} == {"thread/name/updated", "thread/tags/updated"}


async def test_what_is_left_out_stays_and_an_empty_list_removes_the_tags(tools: Tools) -> None:
    thread_id = await tools.written(name="kept")
    await tools("thread_update", thread_id=thread_id, tags=["bug"])
    renamed = await tools("thread_update", thread_id=thread_id, name="renamed")
    assert renamed["thread"]["tags"] == ["bug"]
    bare = await tools("thread_update", thread_id=thread_id, tags=[])
    assert (bare["thread"]["name"], "tags" in bare["thread"]) == ("renamed", False)


async def test_lists_and_searches_are_filtered_by_tags_whatever_their_case(tools: Tools) -> None:
    both, one, _ = [await tools.written("the race", name=name) for name in ("both", "one", "none")]
    await tools("thread_update", thread_id=both, tags=["Bug", "later"])
    await tools("thread_update", thread_id=one, tags=["bug"])
    assert set(await tools.listed(tags=["bug"])) == {both, one}
    assert await tools.listed(tags=["bug", "Later"]) == [both]
    assert await tools.listed(tags=["unknown"]) == []
    found = await tools("thread_search", search_term="race", tags=["later"])
    assert [row["thread"]["id"] for row in found["data"]] == [both]


async def test_tags_outlive_the_index_and_go_with_their_thread(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        kept, gone = await tools.written(), await tools.written()
        for thread_id in (kept, gone):
            await tools("thread_update", thread_id=thread_id, tags=["bug"])
        await tools("thread_delete", thread_id=gone, confirm_thread_id=gone)
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    async with connect() as tools:
        assert await tools.listed(tags=["bug"]) == [kept]
        assert (await tools("thread_read", thread_id=kept))["thread"]["tags"] == ["bug"]
    assert TagFile(home).of([kept, gone]) == {kept: ("bug",)}


async def test_an_archived_thread_takes_tags_but_no_name(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_archive", thread_id=thread_id)
    with pytest.raises(Refused) as refused:
        await tools("thread_update", thread_id=thread_id, name="too late", tags=["too", "late"])
    assert refused.value.code == "thread_archived"
    await tools("thread_update", thread_id=thread_id, tags=["old"])
    assert await tools.listed(archived=True, tags=["old"]) == [thread_id]


@pytest.mark.parametrize("tags", [["  "], ["two\nlines"], ["x" * 61], [str(n) for n in range(31)]])
async def test_a_tag_that_can_not_be_used_changes_nothing(tools: Tools, tags: list[str]) -> None:
    thread_id = await tools.written(name="before")
    with pytest.raises(Refused, match="tags") as refused:
        await tools("thread_update", thread_id=thread_id, name="after", tags=tags)
    assert refused.value.code == "invalid_argument"
    thread = (await tools("thread_read", thread_id=thread_id))["thread"]
    assert (thread["name"], "tags" in thread) == ("before", False)


async def test_an_update_with_a_request_id_is_done_once(tools: Tools) -> None:
    thread_id = await tools.written()
    update: dict[str, Any] = {"thread_id": thread_id, "name": "once", "tags": ["bug"], "request_id": "r1"}
    first = await tools("thread_update", **update)
    await tools("thread_update", thread_id=thread_id, tags=["other"])
    assert await tools("thread_update", **update) == first
    assert await tools.listed(tags=["other"]) == [thread_id]
