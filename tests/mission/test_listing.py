"""Finding threads: the list with its filters, orders and pages, the loaded list, and reading without loading."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio


async def pages(tools: Tools, limit: int, **arguments: Any) -> list[list[str]]:
    """The ids of each page, from the first to the one without a next cursor."""
    seen: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await tools("thread_list", limit=limit, cursor=cursor, **arguments)
        seen.append([thread["id"] for thread in page["data"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return seen


def of(home: Path, thread_id: str) -> Path:
    return next(path for path in rollouts(home) if thread_id in path.name)


async def closed(tools: Tools, *messages: str, **arguments: Any) -> list[str]:
    """Threads with one turn each, oldest first, none of them loaded."""
    ids = [await tools.written(message, **arguments) for message in messages]
    for thread_id in ids:
        await tools("thread_unsubscribe", thread_id=thread_id)
    return ids


# Codex: thread_list_basic_empty
async def test_an_empty_home_lists_nothing(tools: Tools) -> None:
    listed = await tools("thread_list")
    assert (listed["data"], listed["next_cursor"], listed["total"]) == ([], None, 0)
    assert set(listed["hidden"].values()) == {0}


# Codex: thread_list_default_sorts_by_created_at, thread_list_pagination_next_cursor_none_on_last_page
async def test_the_newest_come_first_and_the_last_page_has_no_cursor(tools: Tools) -> None:
    first, second, third = await closed(tools, "first", "second", "third")
    assert await pages(tools, 2) == [[third, second], [first]]
    assert await pages(tools, 3) == [[third, second, first]]
    assert await pages(tools, 2, sort_direction="asc") == [[first, second], [third]]
    row = (await tools("thread_list", limit=1))["data"][0]
    assert (row["preview"], row["status"], row["git_info"]) == ("third", {"type": "notLoaded"}, None)


# Codex: thread_list_sort_updated_at_orders_by_mtime, thread_list_updated_at_uses_mtime,
# thread_list_updated_at_paginates_with_cursor, thread_list_updated_at_tie_breaks_by_uuid
async def test_updated_at_is_the_files_time_and_orders_with_ties_by_id(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        late, tied, tied_too, early = await closed(tools, "late", "tied", "tied too", "early")
    for thread_id, at in (
        (late, 1_700_000_300),
        (tied, 1_700_000_200),
        (tied_too, 1_700_000_200),
        (early, 1_700_000_100),
    ):
        os.utime(of(home, thread_id), (at, at))
    order = [late, *sorted((tied, tied_too), reverse=True), early]
    async with connect() as tools:
        assert await pages(tools, 2, sort_key="updated_at") == [order[:2], order[2:]]
        assert await pages(tools, 3, sort_key="updated_at", sort_direction="asc") == [order[::-1][:3], order[::-1][3:]]
        times = [thread["updated_at"] for thread in (await tools("thread_list", sort_key="updated_at"))["data"]]
        assert times == [1_700_000_300, 1_700_000_200, 1_700_000_200, 1_700_000_100]


# Codex: thread_list_backwards_cursor_can_seed_forward_delta_sync
async def test_the_backwards_cursor_fetches_what_came_since(tools: Tools) -> None:
    _, anchor = await closed(tools, "old", "anchor")
    cursor = (await tools("thread_list"))["backwards_cursor"]
    (new,) = await closed(tools, "new")
    assert await tools.listed(cursor=cursor, sort_direction="asc") == [anchor, new]


# Codex: thread_list_invalid_cursor_returns_error
async def test_a_cursor_that_is_none_is_refused_with_codexs_words(tools: Tools) -> None:
    with pytest.raises(Refused, match="invalid cursor: not-a-cursor") as refused:
        await tools("thread_list", cursor="not-a-cursor")
    assert refused.value.code == "invalid_cursor"


# Codex: thread_list_respects_provider_filter, thread_list_fetches_until_limit_or_exhausted,
# thread_list_stops_when_not_enough_filtered_results_exist
async def test_a_provider_is_found_behind_any_number_of_others(tools: Tools) -> None:
    wanted = await closed(tools, "1", "2", "3", model_provider="rare")
    await closed(tools, *"abcdefgh", model_provider="common")
    assert await pages(tools, 2, model_providers=["rare"]) == [[wanted[2], wanted[1]], [wanted[0]]]
    assert len(await tools.listed(model_providers=["rare", "common"])) == 11
    assert await tools.listed(model_providers=["nobodys"]) == []
    assert len(await tools.listed(model_providers=[])) == 11


# Codex: thread_list_respects_cwd_filter, thread_list_respects_cwd_filters
async def test_a_cwd_or_several_restrict_the_list(tools: Tools) -> None:
    (one,) = await closed(tools, "one", cwd="/work/one")
    (two,) = await closed(tools, "two", cwd="/work/two")
    (below,) = await closed(tools, "below", cwd="/work/one/below")
    assert await tools.listed(cwd="/work/one") == [below, one]
    assert await tools.listed(cwd=["/work/one/below", "/work/two/"]) == [below, two]
    assert await tools.listed(cwd="/work/on") == []


# Codex: thread_list_respects_search_term_filter
async def test_a_search_term_is_looked_for_in_name_and_preview(tools: Tools) -> None:
    (named,) = await closed(tools, "nothing here", name="The needle thread")
    (said,) = await closed(tools, "find the needle")
    await closed(tools, "hay")
    assert await tools.listed(search_term="needle") == [said, named]


# Codex: thread_list_empty_source_kinds_defaults_to_interactive_only,
# thread_list_filters_by_source_kind_subagent_thread_spawn,
# thread_list_parent_filter_reads_direct_children_from_state_db
async def test_sub_agents_are_counted_as_hidden_and_found_by_kind_or_by_tree(tools: Tools) -> None:
    (root,) = await closed(tools, "root")
    (child,) = await closed(tools, "child", parent_thread_id=root, agent_nickname="Ada", agent_role="tester")
    (grandchild,) = await closed(tools, "grandchild", parent_thread_id=child)
    nothing_asked: list[list[str] | None] = [None, []]
    for kinds in nothing_asked:
        listed = await tools("thread_list", source_kinds=kinds)
        assert ([thread["id"] for thread in listed["data"]], listed["hidden"]["sub_agents"]) == ([root], 2)
    assert await tools.listed(source_kinds=["subAgentThreadSpawn"]) == [grandchild, child]
    assert await tools.listed(source_kinds=["subAgentReview"]) == []
    assert await tools.listed(parent_thread_id=root) == [child]
    assert await tools.listed(ancestor_thread_id=root) == [grandchild, child]
    with pytest.raises(Refused, match="mutually exclusive"):
        await tools("thread_list", parent_thread_id=root, ancestor_thread_id=root)


# Codex: thread_list_archived_filter, thread_read_can_return_archived_threads_by_id
async def test_archived_threads_are_counted_as_hidden_listed_alone_and_still_read(home: Path, tools: Tools) -> None:
    active, archived = await closed(tools, "active", "archived")
    await tools("thread_archive", thread_id=archived)
    listed = await tools("thread_list")
    assert ([thread["id"] for thread in listed["data"]], listed["hidden"]["archived"]) == ([active], 1)
    assert await tools.listed(archived=True) == [archived]
    read = await tools("thread_read", thread_id=archived, include_turns=True)
    assert (read["thread"]["preview"], read["thread"]["archived"], read["total"]) == ("archived", True, 1)
    assert Path(read["thread"]["path"]).parent == home / "archived_sessions"


# Codex: thread_list_includes_git_info, thread_metadata_update_rejects_empty_git_info_patch,
# thread_metadata_update_can_clear_stored_git_fields
async def test_git_info_is_set_left_and_cleared_field_by_field(connect: Connect) -> None:
    async with connect() as tools:
        (thread_id,) = await closed(tools, "in a repository")
        await tools("thread_update", thread_id=thread_id, git_info={"sha": "abc", "branch": "main"})
        await tools("thread_update", thread_id=thread_id, git_info={"origin_url": "git@example.com:r.git"})
    everything = {"sha": "abc", "branch": "main", "origin_url": "git@example.com:r.git"}
    async with connect() as tools:
        assert (await tools("thread_list"))["data"][0]["git_info"] == everything
        with pytest.raises(Refused, match="git_info must include at least one field"):
            await tools("thread_update", thread_id=thread_id, git_info={})
        with pytest.raises(Refused, match="nothing is to be changed"):
            await tools("thread_update", thread_id=thread_id, git_info=None)
        await tools("thread_update", thread_id=thread_id, git_info={"branch": None})
        read = await tools("thread_read", thread_id=thread_id)
        assert read["thread"]["git_info"] == {**everything, "branch": None}
        await tools("thread_update", thread_id=thread_id, git_info={"sha": None, "origin_url": None})
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["git_info"] is None


# Codex: thread_metadata_update_rejects_ephemeral_thread
async def test_an_ephemeral_thread_takes_neither_git_info_nor_a_name(tools: Tools) -> None:
    thread_id = await tools.start(ephemeral=True)
    changes: list[tuple[str, Any]] = [
        ("thread_update", {"git_info": {"sha": "a"}}),
        ("thread_update", {"name": "n"}),
    ]
    for verb, change in changes:
        with pytest.raises(Refused, match=thread_id):
            await tools(verb, thread_id=thread_id, **change)


# Codex: thread_loaded_list_returns_loaded_thread_ids, thread_loaded_list_paginates
async def test_the_loaded_list_is_sorted_and_paged_and_holds_what_is_in_memory_alone(tools: Tools) -> None:
    root = await tools.written("root")
    ids = sorted(
        [root, await tools.start(), await tools.start(ephemeral=True), await tools.start(parent_thread_id=root)]
    )
    assert await tools.loaded() == ids
    first = await tools("thread_loaded_list", limit=3)
    assert (first["data"], first["next_cursor"], first["total"]) == (ids[:3], ids[2], 4)
    rest = await tools("thread_loaded_list", cursor=first["next_cursor"])
    assert (rest["data"], rest["next_cursor"]) == (ids[3:], None)


# Codex: thread_read_returns_summary_without_turns, thread_read_can_include_turns,
# thread_turns_list_can_page_backward_and_forward
async def test_reading_pages_through_the_turns_and_loads_nothing(tools: Tools) -> None:
    (thread_id,) = await closed(tools, "one")
    await tools("thread_resume", thread_id=thread_id)
    for text in ("two", "three"):
        await tools("turn_start", thread_id=thread_id, input=text)
        await tools("turn_complete", thread_id=thread_id)
    await tools("thread_unsubscribe", thread_id=thread_id)
    plain = await tools("thread_read", thread_id=thread_id, include_turns=False)
    assert (plain["turns"], plain["thread"]["status"]) == ([], {"type": "notLoaded"})
    by_default = (await tools("thread_read", thread_id=thread_id))["turns"]
    assert [turn["items"][0]["content"][0]["text"] for turn in by_default] == ["three", "two", "one"]

    async def page(**arguments: Any) -> tuple[list[str], Any]:
        answer = await tools("thread_read", thread_id=thread_id, include_turns=True, limit=2, **arguments)
        said = [turn["items"][0]["content"][0]["text"] for turn in answer["turns"]]
        return said, answer

    newest, answer = await page()
    assert (newest, answer["total"]) == (["three", "two"], 3)
    rest, last = await page(cursor=answer["next_cursor"])
    assert (rest, last["next_cursor"]) == (["one"], None)
    await tools("thread_resume", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="four")
    since, _ = await page(cursor=answer["backwards_cursor"], sort_direction="asc")
    assert since == ["three", "four"]


# Codex: thread_turns_list_supports_requested_items_view
@pytest.mark.parametrize(("view", "kinds"), [("notLoaded", []), ("summary", [0, -1]), ("full", [0, 1, -1])])
async def test_how_much_of_a_turn_is_shown_is_the_callers_choice(tools: Tools, view: str, kinds: list[int]) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="question")
    await tools("turn_append", thread_id=thread_id, items=[{"type": "agentMessage", "text": "thinking aloud"}])
    await tools("turn_complete", thread_id=thread_id, message="answer")
    read = await tools("thread_read", thread_id=thread_id, include_turns=True, items_view=view)
    (turn,) = read["turns"]
    assert turn["items_view"] == view
    texts = [item.get("text") or item["content"][0]["text"] for item in turn["items"]]
    assert texts == [["question", "thinking aloud", "answer"][n] for n in kinds]


# Codex: thread_list_reports_system_error_idle_flag_after_failed_turn,
# thread_read_reports_system_error_idle_flag_after_failed_turn, thread_status_changed_emits_runtime_updates
async def test_the_status_follows_the_turn_in_lists_reads_and_events(tools: Tools) -> None:
    thread_id = await tools.start()
    shown: list[str] = []

    async def look() -> None:
        listed = (await tools("thread_list"))["data"][0]["status"]["type"]
        assert listed == (await tools("thread_read", thread_id=thread_id))["thread"]["status"]["type"]
        shown.append(listed)

    await tools("turn_start", thread_id=thread_id, input="work")
    await look()
    await tools("turn_complete", thread_id=thread_id)
    await look()
    await tools("turn_start", thread_id=thread_id, input="more")
    await tools("turn_complete", thread_id=thread_id, status="failed", error="out of quota")
    await look()
    assert shown == ["active", "idle", "systemError"]
    changes = await tools("events_read", thread_id=thread_id, types=["thread/status/changed"])
    told = [event["payload"]["status"]["type"] for event in changes["data"]]
    assert told == ["active", "idle", "active", "systemError"]


async def test_a_thread_is_named_by_its_id_a_prefix_or_its_name_and_by_nothing_less(tools: Tools) -> None:
    one, other = await closed(tools, "one", "other")
    for thread_id in (one, other):
        await tools("thread_update", thread_id=thread_id, name="same")
    with pytest.raises(Refused, match=f"(?s){one[:13]}.*{other[:13]}") as refused:
        await tools("thread_read", thread_id="same")
    assert refused.value.code == "ambiguous_reference"
    assert (await tools("thread_read", thread_id=one[:-4]))["thread"]["id"] == one
    assert (await tools("thread_read", thread_id=one.upper()))["thread"]["id"] == one
    with pytest.raises(Refused) as refused:
        await tools("thread_read", thread_id=one[:7])
    assert refused.value.code == "thread_not_found"
