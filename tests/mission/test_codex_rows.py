"""A home that Codex has been at: its own rows follow what our tools do, or the answer says why they don't."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.codex_database import make, opened, row_of, rows_of
from tests.mission.conftest import Connect, Refused, Tools, Tree, grow, rollouts
from tests.mission.searches import ONE, asked, put
from tests.servers import stdio_server
from tests.threads.rollout_lines import ended, started, user

pytestmark = pytest.mark.anyio


def known_to_codex(home: Path, **fields: Any) -> None:
    """Codex has seen all that is there, and has a row for each."""
    make(home, *(row_of(path) | fields for path in rollouts(home)))


def agree(home: Path) -> bool:
    """Whether all rows tell where the files lie, and whether they are archived."""
    found = {row["id"]: row for row in rows_of(home).values()}
    return {path.stem[-36:]: row_of(path) for path in rollouts(home)} == {
        thread_id: {key: row[key] for key in ("id", "rollout_path", "archived")} for thread_id, row in found.items()
    }


async def text_of(tools: Tools, tool: str, **arguments: Any) -> str:
    result = await tools.client.call_tool(tool, arguments)
    return "\n".join(getattr(part, "text", "") for part in result.content)


async def test_codex_rows_of_a_whole_tree_follow_an_archive_and_an_unarchive(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    known_to_codex(home)
    receipt = await tools("thread_archive", thread_id=tree.root)
    assert receipt["codex_db"] is None
    assert [row["archived"] for row in rows_of(home).values()] == [1] * 4
    assert agree(home)
    receipt = await tools("thread_unarchive", thread_id=tree.root)
    assert receipt["codex_db"] is None
    assert [(row["archived"], row["archived_at"]) for row in rows_of(home).values()] == [(0, None)] * 4
    assert agree(home)


async def test_a_dry_run_changes_no_codex_row(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    known_to_codex(home)
    before = rows_of(home)
    assert (await tools("thread_archive", thread_id=tree.root, dry_run=True))["codex_db"] is None
    assert rows_of(home) == before


async def test_a_dry_run_says_that_codex_rows_would_not_follow(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        tree = await grow(tools)
    known_to_codex(home)
    async with connect(codex_db="read-only") as tools:
        plan = await tools("thread_archive", thread_id=tree.root, dry_run=True)
        assert "(--codex-db read-only)" in plan["codex_db"]


@pytest.mark.parametrize(("mode", "column"), [("paginated", "name"), ("legacy", "title")])
async def test_a_new_name_stays_where_codexs_row_is_of_the_home_that_this_one_was_copied_from(
    home: Path, connect: Connect, mode: str, column: str
) -> None:
    async with connect() as tools:
        thread_id = await tools.written()
    (path,) = rollouts(home)
    there = f"/elsewhere/{path.relative_to(home).as_posix()}"
    make(home, row_of(path) | {"rollout_path": there, "history_mode": mode, column: "Codex's name"})
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "Codex's name"
        renamed = await tools("thread_update", thread_id=thread_id, name="my name")
        assert renamed["thread"]["name"] == "my name"
        assert "not in this home" in renamed["codex_db"]
        assert (await tools("thread_list"))["data"][0]["name"] == "my name"
    async with connect() as tools:
        assert (await tools("thread_read", thread_id="my name"))["thread"]["id"] == thread_id


async def test_a_deletion_keeps_codexs_rows(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    known_to_codex(home)
    before = rows_of(home)
    await tools("thread_delete", thread_id=tree.root, confirm_thread_id=tree.root)
    assert rows_of(home) == before


async def busy(home: Path, tools: Tools, tree: Tree) -> str:
    """Archive while another program writes; what the receipt says."""
    with opened(home) as other:
        other.execute("BEGIN IMMEDIATE")
        receipt = await tools("thread_archive", thread_id=tree.root)
    assert set(receipt["archived"]) == set(tree.all())
    assert not agree(home)
    return receipt["codex_db"]


async def test_an_archive_beside_a_busy_codex_database_says_so_and_a_repetition_updates_the_row(
    home: Path, tools: Tools
) -> None:
    tree = await grow(tools)
    known_to_codex(home)
    assert "another program is writing to it" in await busy(home, tools, tree)
    again = await tools("thread_archive", thread_id=tree.root)
    assert (again["archived"], again["codex_db"]) == ([], None)
    assert agree(home)


async def test_a_repair_updates_codex_rows_that_were_left_behind(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    known_to_codex(home)
    assert "call store_repair" in await busy(home, tools, tree)
    assert (await tools("store_repair", dry_run=True))["repaired"]["codex_rows"] == 4
    assert not agree(home)
    assert (await tools("store_repair"))["repaired"]["codex_rows"] == 4
    assert agree(home)
    assert (await tools("store_repair", dry_run=True))["repaired"]["codex_rows"] == 0


async def test_every_verb_says_in_its_text_that_codexs_row_did_not_follow(home: Path, tools: Tools) -> None:
    tree = await grow(tools)
    make(home, without="history_mode")
    verbs: list[tuple[str, dict[str, Any]]] = [
        ("thread_update", {"name": "named"}),
        ("thread_update", {"git_info": {"sha": "abc"}}),
        ("thread_update", {"name": "named again", "tags": ["kept"]}),
        ("thread_archive", {}),
        ("thread_unarchive", {}),
    ]
    for tool, arguments in verbs:
        text = await text_of(tools, tool, thread_id=tree.root, **arguments)
        assert f"Codex's own database {home}/state_5.sqlite was left as it is: its schema is unknown" in text, tool
        assert "Codex itself does not see this change" in text, tool


async def test_a_name_goes_to_codex_and_its_own_name_counts_for_us_too(home: Path, connect: Connect) -> None:
    async with connect() as tools:
        thread_id = await tools.written("hello", name="the first name")
        await tools("thread_unsubscribe", thread_id=thread_id)
        known_to_codex(home, title="the name by Codex", preview="hello")
        named = await tools("thread_update", thread_id=thread_id, name="the second name")
        assert (named["thread"]["name"], named["codex_db"]) == ("the second name", None)
        assert rows_of(home)[thread_id]["title"] == "the second name"
        with opened(home) as codex:
            codex.execute("UPDATE threads SET title = 'the last name'")
        (home / "session_index.jsonl").touch()
    for path in home.glob("threadstore.sqlite*"):
        path.unlink()
    async with connect() as tools:
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "the last name"
    async with connect(state=False) as tools:
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "the last name"


async def test_a_name_that_a_busy_codex_database_refuses_is_not_shown(home: Path, tools: Tools) -> None:
    thread_id = await tools.written("hello")
    await tools("thread_unsubscribe", thread_id=thread_id)
    known_to_codex(home, title="the name by Codex", preview="hello")
    with opened(home) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = await tools("thread_update", thread_id=thread_id, name="ours")
    assert "another program is writing to it; repeat the call" in answer["codex_db"]
    assert answer["thread"]["name"] == "the name by Codex"
    await tools("store_repair")
    assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "the name by Codex"
    answer = await tools("thread_update", thread_id=thread_id, name="ours")
    assert (answer["thread"]["name"], answer["codex_db"]) == ("ours", None)


async def test_a_read_only_codex_database_is_never_changed_and_our_own_names_hold(home: Path, connect: Connect) -> None:
    async with connect(codex_db="read-only") as tools:
        thread_id = await tools.written("hello")
        await tools("thread_unsubscribe", thread_id=thread_id)
        known_to_codex(home, title="the name by Codex", preview="hello")
        before = rows_of(home)
        answer = await tools("thread_update", thread_id=thread_id, name="ours")
        assert answer["thread"]["name"] == "ours"
        assert "(--codex-db read-only)" in answer["codex_db"]
        assert "(--codex-db read-only)" in (await tools("thread_archive", thread_id=thread_id))["codex_db"]
        await tools("store_repair")
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["name"] == "ours"
        assert rows_of(home) == before


async def test_git_info_of_a_paginated_thread_is_recorded_where_codex_keeps_it_or_refused(
    home: Path, connect: Connect
) -> None:
    put(home, ONE, started("a"), user("hi"), asked("a", "hi"), ended("a"), history_mode="paginated")
    (path,) = rollouts(home)
    thread_id, before = ONE, path.read_bytes()
    async with connect() as tools:
        with pytest.raises(Refused, match="which does not know the thread yet"):
            await tools("thread_update", thread_id=thread_id, git_info={"sha": "abc"})
        known_to_codex(home, history_mode="paginated", git_branch="theirs")
        await tools("thread_update", thread_id=thread_id, git_info={"sha": "abc"})
        answer = await tools("thread_read", thread_id=thread_id)
        assert answer["thread"]["git_info"] == {"sha": "abc", "branch": "theirs", "origin_url": None}
        await tools("thread_resume", thread_id=thread_id)
        await tools("thread_update", thread_id=thread_id, git_info={"branch": None})
        answer = await tools("thread_read", thread_id=thread_id)
        assert answer["thread"]["git_info"] == {"sha": "abc", "branch": None, "origin_url": None}
        row = rows_of(home)[thread_id]
        assert (row["git_sha"], row["git_branch"]) == ("abc", None)
    assert path.read_bytes() == before


async def test_the_journal_holds_nothing_once_a_change_is_made_or_refused(home: Path, tools: Tools) -> None:
    thread_id = await tools.written("hello")
    await tools("thread_unsubscribe", thread_id=thread_id)
    known_to_codex(home)
    await tools("thread_update", thread_id=thread_id, name="named")
    await tools("thread_update", thread_id=thread_id, git_info={"sha": "abc"})
    with sqlite3.connect(home / "threadstore.sqlite") as db:
        assert db.execute("SELECT kind, state FROM operations ORDER BY started_at_ms").fetchall() == [
            ("update", "done"),
            ("update", "done"),
        ]


@pytest.mark.parametrize(
    ("options", "environment"), [(("--codex-db", "read-only"), {}), ((), {"THREADSTORE_CODEX_DB": "read-only"})]
)
async def test_codexs_rows_stay_as_they_are_where_an_option_or_the_environment_says_read_only(
    tmp_path: Path, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    home = tmp_path / "home"
    put(home, ONE, started("a"), user("hi"), ended("a"))
    known_to_codex(home)
    before = rows_of(home)
    async with Client(stdio_server(home, *options, env=os.environ | environment)) as client:
        receipt = await Tools(client)("thread_archive", thread_id=ONE)
    assert "(--codex-db read-only)" in receipt["codex_db"]
    assert rows_of(home) == before


async def test_codexs_rows_follow_where_config_toml_names_their_folder(home: Path, connect: Connect) -> None:
    put(home, ONE, started("a"), user("hi"), ended("a"))
    (home / "config.toml").write_text('sqlite_home = "databases"')
    make(home / "databases", *map(row_of, rollouts(home)))
    async with connect() as tools:
        assert (await tools("thread_archive", thread_id=ONE))["codex_db"] is None
    assert rows_of(home / "databases")[ONE]["archived"] == 1
