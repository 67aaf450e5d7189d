"""The cascade over a sub-agent tree: archive, unarchive, delete."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.files.locks import CodexWriterLocks
from tests.mission.conftest import Refused, Tools, Tree, grow, lock_files, rollouts

pytestmark = pytest.mark.anyio


def in_order(tree: Tree) -> list[str]:
    """Root first, then descendants in reverse breadth-first order, each level by id."""
    return [tree.root, tree.leaf, *sorted((tree.left, tree.right), reverse=True)]


# Codex: thread_archive_archives_spawned_descendants
async def test_a_thread_is_archived_with_all_below_it_and_with_nothing_else(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    other = await tools.written("other")
    after = (await tools("events_read", limit=100))["last_seq"]
    _close_edge(home, tree.left)
    receipt = await tools("thread_archive", thread_id=tree.root)
    assert receipt["archived"] == in_order(tree)
    assert (receipt["already_archived"], receipt["failed"]) == ([], [])
    events = await tools("events_read", after=after, types=["thread/archived"], limit=100)
    assert [event["thread_id"] for event in events["data"]] == in_order(tree)
    assert await tools.listed() == [other]
    assert set(await tools.listed(archived=True, source_kinds=["appServer", "subAgent"])) == set(tree.all())
    assert len(list((home / "archived_sessions").iterdir())) == 4


async def test_a_dry_run_shows_the_plan_and_moves_nothing(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    before = rollouts(home)
    plan = await tools("thread_archive", thread_id=tree.root, dry_run=True)
    assert (plan["dry_run"], plan["operation_id"], plan["archived"]) == (True, None, in_order(tree))
    assert rollouts(home) == before
    assert "thread/archived" not in await tools.events()


async def test_archiving_again_succeeds_and_says_so(tools: Tools) -> None:
    tree = await grow(tools)
    await tools("thread_archive", thread_id=tree.root)
    again = await tools("thread_archive", thread_id=tree.root)
    assert again["archived"] == []
    assert set(again["already_archived"]) == set(tree.all())


async def test_what_is_archived_already_is_skipped_and_reported(tools: Tools) -> None:
    tree = await grow(tools)
    await tools("thread_archive", thread_id=tree.left)
    receipt = await tools("thread_archive", thread_id=tree.root)
    assert receipt["archived"] == [tree.root, tree.right]
    assert set(receipt["already_archived"]) == {tree.left, tree.leaf}


# Codex: thread_archive_succeeds_when_spawned_descendant_is_missing
async def test_a_missing_file_is_reported_and_passed_over(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    next(path for path in rollouts(home) if tree.left in path.name).unlink()
    receipt = await tools("thread_archive", thread_id=tree.root)
    assert receipt["archived"] == [tree.root, tree.leaf, tree.right]
    assert [failure["thread_id"] for failure in receipt["failed"]] == [tree.left]
    assert "missing" in receipt["failed"][0]["reason"]


# Codex: thread_archive_succeeds_when_descendant_archive_fails
async def test_a_file_that_can_not_be_moved_is_reported_and_stays_where_it_is(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    path = next(path for path in rollouts(home) if tree.left in path.name)
    blocker = home / "archived_sessions" / path.name
    blocker.mkdir(parents=True)
    receipt = await tools("thread_archive", thread_id=tree.root)
    assert receipt["archived"] == [tree.root, tree.leaf, tree.right]
    assert [failure["thread_id"] for failure in receipt["failed"]] == [tree.left]
    events = await tools("events_read", types=["thread/archived"])
    assert [event["thread_id"] for event in events["data"]] == receipt["archived"]
    assert await tools.listed(source_kinds=["subAgent"]) == [tree.left]
    assert (path.exists(), blocker.is_dir()) == (True, True)
    blocker.rmdir()
    assert (await tools("thread_archive", thread_id=tree.root))["archived"] == [tree.left]


async def test_a_thread_locked_elsewhere_stops_everything_before_anything_moves(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    before = rollouts(home)
    locks = CodexWriterLocks(home)
    locks.acquire([tree.leaf])
    with pytest.raises(Refused, match="already has an active writer") as refused:
        await tools("thread_archive", thread_id=tree.root)
    assert refused.value.code == "active_writer"
    assert (rollouts(home), lock_files(home)) == (before, [f"{tree.leaf}.lock"])
    locks.release([tree.leaf])
    assert (await tools("thread_archive", thread_id=tree.root))["archived"] == in_order(tree)


async def test_a_running_turn_stops_everything_unless_it_is_to_be_interrupted(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    await tools("thread_resume", thread_id=tree.leaf)
    await tools("turn_start", thread_id=tree.leaf, input="still at work")
    with pytest.raises(Refused, match=tree.leaf) as refused:
        await tools("thread_archive", thread_id=tree.root)
    assert refused.value.code == "turns_running"
    assert len(rollouts(home)) == 4
    assert not (home / "archived_sessions").exists()
    receipt = await tools("thread_archive", thread_id=tree.root, interrupt_running=True)
    assert (receipt["archived"], receipt["interrupted"]) == (in_order(tree), [tree.leaf])
    read = await tools("thread_read", thread_id=tree.leaf, include_turns=True)
    assert read["turns"][0]["status"] == "interrupted"
    assert await tools.loaded() == []
    assert lock_files(home) == []


async def test_a_cycle_and_a_self_edge_are_walked_once(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    with sqlite3.connect(home / "threadstore.sqlite") as connection:
        connection.execute("UPDATE spawn_edges SET parent_id = ? WHERE child_id = ?", (tree.leaf, tree.left))
        connection.execute("INSERT INTO spawn_edges VALUES (?, ?, 'open')", (tree.root, tree.root))
    receipt = await tools("thread_archive", thread_id=tree.left)
    assert receipt["archived"] == [tree.left, tree.leaf]
    assert (await tools("thread_archive", thread_id=tree.root))["archived"] == [tree.root, tree.right]


# Codex: thread_unarchive_moves_rollout_back_into_sessions_directory
async def test_unarchive_brings_back_what_the_same_operation_archived(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    paths = rollouts(home)
    await tools("thread_archive", thread_id=tree.left)
    await tools("thread_unarchive", thread_id=tree.leaf)
    await tools("thread_archive", thread_id=tree.root)
    back = await tools("thread_unarchive", thread_id=tree.root)
    assert back["unarchived"] == [tree.root, tree.right, tree.leaf]
    assert (back["thread"]["status"], back["thread"]["archived"]) == ("notLoaded", False)
    assert await tools.loaded() == []
    everything = await tools("thread_unarchive", thread_id=tree.left)
    assert everything["unarchived"] == [tree.left]
    assert rollouts(home) == paths


@pytest.mark.parametrize(("include", "count"), [("none", 1), ("all", 4), ("same_operation", 3)])
async def test_how_much_comes_back_is_the_callers_choice(tools: Tools, include: str, count: int) -> None:
    tree = await grow(tools)
    await tools("thread_archive", thread_id=tree.leaf)
    await tools("thread_archive", thread_id=tree.root)
    back = await tools("thread_unarchive", thread_id=tree.root, include_descendants=include)
    assert len(back["unarchived"]) == count


async def test_unarchiving_an_active_thread_is_refused(tools: Tools) -> None:
    thread_id = await tools.written()
    with pytest.raises(Refused, match="no archived thread found") as refused:
        await tools("thread_unarchive", thread_id=thread_id)
    assert refused.value.code == "archived_thread_not_found"


# Codex: thread_resume_rejects_archived_session_by_id
@pytest.mark.parametrize("verb", ["thread_resume", "thread_fork"])
async def test_an_archived_thread_is_neither_resumed_nor_forked(tools: Tools, verb: str) -> None:
    tree = await grow(tools)
    await tools("thread_archive", thread_id=tree.root)
    with pytest.raises(Refused, match="Call thread_unarchive") as refused:
        await tools(verb, thread_id=tree.root)
    assert refused.value.code == "thread_archived"


# ---------------------------------------------------------------------------------------------- delete


# Codex: thread_delete_deletes_spawned_descendants
async def test_delete_wants_the_id_again_and_takes_the_tree_root_last(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    with pytest.raises(Refused, match=f"confirm_thread_id={tree.root}") as refused:
        await tools("thread_delete", thread_id="the root")
    assert refused.value.code == "confirmation_required"
    plan = await tools("thread_delete", thread_id="the root", dry_run=True)
    assert plan["needs"] == f"confirm_thread_id={tree.root}"
    assert len(rollouts(home)) == 4
    done = await tools("thread_delete", thread_id="the root", confirm_thread_id=tree.root)
    assert done["deleted"] == plan["deleted"] == [*in_order(tree)[1:], tree.root]
    assert rollouts(home) == []
    assert tree.root not in (home / "session_index.jsonl").read_text(encoding="utf-8")
    again = await tools("thread_delete", thread_id=tree.root, confirm_thread_id=tree.root)
    assert (again["deleted"], again["already_gone"]) == ([], [tree.root])


@pytest.mark.parametrize("dry_run", [True, False])
async def test_delete_refuses_a_running_turn_unless_it_may_interrupt_it(
    home: Path, tools: Tools, dry_run: bool
) -> None:
    tree = await grow(tools)
    await tools("thread_resume", thread_id=tree.leaf)
    await tools("turn_start", thread_id=tree.leaf, input="still at work")
    call: dict[str, Any] = {"thread_id": tree.root, "confirm_thread_id": tree.root, "dry_run": dry_run}
    with pytest.raises(Refused, match=f"a turn is running in {tree.leaf}") as refused:
        await tools("thread_delete", **call)
    assert refused.value.code == "turns_running"
    assert len(rollouts(home)) == 4
    told = await tools("thread_delete", **call, interrupt_running=True)
    assert (told["interrupted"], told["deleted"]) == ([tree.leaf], [*in_order(tree)[1:], tree.root])
    assert len(rollouts(home)) == (4 if dry_run else 0)


# Codex: thread_delete_handles_live_threads_before_rollout_exists
async def test_a_fresh_thread_is_deleted_out_of_memory(home: Path, tools: Tools) -> None:
    thread_id = await tools.start()
    answer = await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
    assert answer["failed"] == []
    assert await tools.loaded() == []
    assert (rollouts(home), lock_files(home)) == ([], [])


async def test_a_deleted_thread_does_not_come_back_with_its_file(home: Path, tools: Tools) -> None:
    thread_id = await tools.written()
    (rollout,) = rollouts(home)
    content = rollout.read_bytes()
    await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
    rollout.write_bytes(content)
    await tools("store_repair")
    assert await tools.listed() == []
    with pytest.raises(Refused):
        await tools("thread_resume", thread_id=thread_id)


def _close_edge(home: Path, child: str) -> None:
    with sqlite3.connect(home / "threadstore.sqlite") as connection:
        connection.execute("UPDATE spawn_edges SET status = 'closed' WHERE child_id = ?", (child,))
