"""Lists of a real Codex home are those that Codex gave, with all its filters and orders."""

from __future__ import annotations

import pytest

from tests.golden.beside import INTERACTIVE, Beside, Json, list_arguments

pytestmark = pytest.mark.anyio


async def test_every_list_is_what_codex_lists(beside: Beside) -> None:
    for answer in beside.answers("thread/list"):
        if "cursor" in answer["params"]:
            continue
        ours = (await beside.call("thread_list", **list_arguments(answer["params"])))["data"]
        theirs = beside.once(beside.threads(answer["ok"]["data"]), ours)
        if beside.databases != "kept" and _sorted_by_what_is_lost(answer["params"]):
            ours, theirs = _by_id(ours), _by_id(theirs)
        if beside.databases != "kept" and (term := answer["params"].get("searchTerm")):
            ours = [t for t in ours if not _named_in_the_database(beside, t, term, theirs)]
        beside.differences.threads(ours, theirs, answer["label"])


async def test_pages_go_on_where_codex_goes_on(beside: Beside) -> None:
    cursors: dict[str, Json] = {}
    for answer in beside.answers("thread/list"):
        arguments = list_arguments(answer["params"])
        if answer["params"].get("cursor") in cursors:
            arguments["cursor"] = cursors[answer["params"]["cursor"]]["next_cursor"]
        page = await beside.call("thread_list", **arguments)
        if answer["ok"]["nextCursor"] is not None:
            cursors[answer["ok"]["nextCursor"]] = page
        if "cursor" in answer["params"]:
            beside.differences.threads(page["data"], beside.threads(answer["ok"]["data"]), answer["label"])
    assert cursors


async def test_a_backwards_cursor_leads_over_the_same_rows_again(beside: Beside) -> None:
    first = await beside.call("thread_list", source_kinds=INTERACTIVE, limit=2)
    second = await beside.call("thread_list", source_kinds=INTERACTIVE, limit=2, cursor=first["next_cursor"])
    back = await beside.call(
        "thread_list", source_kinds=INTERACTIVE, sort_direction="asc", cursor=second["backwards_cursor"]
    )
    assert [t["id"] for t in back["data"]] == [t["id"] for t in (second["data"][0], *first["data"][::-1])]


async def test_the_loaded_list_is_as_empty_as_codexs(beside: Beside) -> None:
    ours = await beside.call("thread_loaded_list")
    for answer in beside.answers("thread/loaded/list"):
        assert (ours["data"], ours["next_cursor"]) == (answer["ok"]["data"], answer["ok"]["nextCursor"])


def _sorted_by_what_is_lost(params: Json) -> bool:
    """Without its databases Codex knows no recency, and sorts by mtime instead."""
    return params.get("sortKey") == "recency_at"


def _by_id(threads: list[Json]) -> list[Json]:
    return sorted(threads, key=lambda thread: thread["id"])


def _named_in_the_database(beside: Beside, thread: Json, term: str, theirs: list[Json]) -> bool:
    """Without its databases Codex loses the names of paginated threads; ours are in session_index.jsonl."""
    if thread["id"] in {codex["id"] for codex in theirs}:
        return False
    return any(term in (name or "") for name in beside.golden.values(thread["id"], "name")) and term in thread["name"]
