"""The tree of sub-agents as clients see it: who runs under whom, and in which state."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.mission.conftest import Json, Refused, Tools, grow, rollouts

pytestmark = pytest.mark.anyio


async def nodes(tools: Tools, thread_id: str) -> dict[str, Json]:
    """By id, in the order of the answer."""
    answer = await tools("thread_tree", thread_id=thread_id)
    assert (len(answer["nodes"]), answer["next_cursor"]) == (answer["total"], None)
    return {node["thread_id"]: node for node in answer["nodes"]}


async def test_a_thread_is_shown_with_what_is_above_and_below_it_and_with_nothing_beside(tools: Tools) -> None:
    tree = await grow(tools)
    places = [(tree.root, None, 0), (tree.left, tree.root, 1), (tree.leaf, tree.left, 2)]
    for thread_id in (tree.left, tree.leaf):
        seen = await nodes(tools, thread_id)
        assert [(node["thread_id"], node["parent_thread_id"], node["depth"]) for node in seen.values()] == places
    assert set(await nodes(tools, tree.root)) == set(tree.all())


async def test_an_edge_has_the_same_state_from_above_and_from_below(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    fresh = await tools.start(parent_thread_id=tree.left)
    with sqlite3.connect(home / "threadstore.sqlite") as connection:
        connection.execute("UPDATE spawn_edges SET status = 'closed' WHERE child_id = ?", (tree.left,))
    above = await nodes(tools, tree.root)
    states = {tree.root: None, tree.left: "closed", tree.right: "open", tree.leaf: "open", fresh: "open"}
    assert {thread_id: node["edge"] for thread_id, node in above.items()} == states
    for thread_id in states:
        assert (await nodes(tools, thread_id))[thread_id]["edge"] == states[thread_id]


async def test_each_node_tells_its_state_its_turns_and_whether_it_is_archived(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    fresh = await tools.start(parent_thread_id=tree.root, agent_nickname="Ada", agent_role="scout")
    await tools("thread_archive", thread_id=tree.leaf)
    await tools("thread_resume", thread_id=tree.left)
    await tools("turn_start", thread_id=tree.left, input="go on")
    seen = await nodes(tools, tree.root)
    told = {key: (node["status"], node["turns"], node["archived"]) for key, node in seen.items()}
    assert told == {
        tree.root: ("notLoaded", 1, False),
        tree.left: ("active", 2, False),
        tree.right: ("notLoaded", 1, False),
        tree.leaf: ("notLoaded", 1, True),
        fresh: ("idle", 0, False),
    }
    assert (seen[fresh]["nickname"], seen[fresh]["role"]) == ("Ada", "scout")
    next(path for path in rollouts(home) if tree.right in path.name).unlink()
    gone = (await nodes(tools, tree.root))[tree.right]
    assert (gone["status"], gone["title"], gone["turns"], gone["edge"]) == ("missing", "(no file)", None, "open")


async def test_a_large_tree_comes_in_pages_that_make_up_the_picture(tools: Tools) -> None:
    tree = await grow(tools)
    for _ in range(3):
        await tools.start(parent_thread_id=tree.left)
    whole = await tools("thread_tree", thread_id=tree.leaf)
    assert whole["total"] == 3
    whole = await tools("thread_tree", thread_id=tree.root)
    assert whole["total"] == len(whole["nodes"]) == 7
    paged: list[Json] = []
    cursor: str | None = None
    while cursor is not None or not paged:
        page = await tools("thread_tree", thread_id=tree.root, limit=2, cursor=cursor)
        assert (page["total"], page["root_thread_id"]) == (7, tree.root)
        paged += page["nodes"]
        cursor = page["next_cursor"]
    assert paged == whole["nodes"]


async def test_a_page_of_a_tree_says_what_is_left_and_how_to_get_it(tools: Tools) -> None:
    tree = await grow(tools)
    page = await tools("thread_tree", thread_id=tree.root, limit=1)
    assert (len(page["nodes"]), page["total"], page["next_cursor"]) == (1, 4, tree.root)


@pytest.mark.parametrize("cursor", ["", "nothing", "01a01f84-ec00-7b4d-8822-45f9977808ed"])
async def test_a_cursor_of_no_thread_of_the_tree_is_refused(tools: Tools, cursor: str) -> None:
    tree = await grow(tools)
    with pytest.raises(Refused) as refused:
        await tools("thread_tree", thread_id=tree.root, cursor=cursor)
    assert refused.value.code == "invalid_cursor"


async def test_the_tree_of_no_thread_is_refused(tools: Tools) -> None:
    with pytest.raises(Refused) as refused:
        await tools("thread_tree", thread_id="01a01f84-ec00-7b4d-8822-45f9977808ed")
    assert refused.value.code == "thread_not_found"
