"""Codex goes on with its own threads after we have archived, unarchived, named or given git info to them.

Its database has a row for each of them, which it trusts more than the files.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_server.models.value import Json
from tests.by_night import nightly
from tests.mission.conftest import Tools
from tests.peer.conftest import NEWEST_BY_DAY, CodexHome
from tests.servers import stdio_server

pytestmark = [pytest.mark.anyio, NEWEST_BY_DAY]

MODES = pytest.mark.parametrize("mode", ["paginated", "legacy"])
BESIDE = pytest.mark.parametrize(
    "beside",
    [pytest.param(True, id="while Codex runs"), nightly(False, id="while Codex rests")],
)
GIT = {"branch": "ours", "sha": "ab" * 20, "origin_url": "https://example.org/ours"}


@pytest.fixture
async def tools(home: CodexHome) -> AsyncIterator[Tools]:
    async with Client(stdio_server(home.path)) as client:
        tools = Tools(client)
        await tools.listed()
        yield tools


class Codexes:
    """The app-server: one that runs on beside us, or one for each question."""

    def __init__(self, home: CodexHome, *, beside: bool) -> None:
        self._home, self._beside, self._running = home, beside, None

    def __enter__(self) -> Codexes:
        self._running = self._home.server() if self._beside else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.close()

    def ask(self, method: str, **params: Any) -> Any:
        if self._running is not None:
            return self._running.request(method, params)
        with self._home.server() as once:
            return once.request(method, params)

    def refuses(self, method: str, **params: Any) -> str:
        with pytest.raises(self._home.peer.appserver.RpcError) as refused:
            self.ask(method, **params)
        return refused.value.err["message"]

    def start(self, mode: str, *messages: str, **params: Any) -> str:
        """A thread with turns that nobody holds any more."""
        codex = self._running or self._home.server()
        thread_id = codex.request("thread/start", {"cwd": "/work", "historyMode": mode, **params})["thread"]["id"]
        for message in messages:
            codex.turn(thread_id, message)
        self._let_go(codex, thread_id)
        return thread_id

    def _let_go(self, codex: Any, thread_id: str) -> None:
        """Archive, the only verb that lets the writer locks go at once, and back."""
        self._home.archive(codex, thread_id)
        codex.request("thread/unarchive", {"threadId": thread_id})
        if self._running is None:
            codex.close()

    def resume_and_archive(self, thread_id: str) -> None:
        codex = self._running or self._home.server()
        codex.request("thread/resume", {"threadId": thread_id})
        self._home.archive(codex, thread_id)
        if self._running is None:
            codex.close()

    def say(self, thread_id: str, message: str) -> list[str]:
        """Resume, one more turn, let go; what Codex then shows as said."""
        codex = self._running or self._home.server()
        codex.request("thread/resume", {"threadId": thread_id})
        codex.turn(thread_id, message)
        turns = codex.request("thread/read", {"threadId": thread_id, "includeTurns": True})["thread"]["turns"]
        self._let_go(codex, thread_id)
        return questions(turns)

    def said(self, thread_id: str) -> list[str]:
        return questions(self.ask("thread/read", threadId=thread_id, includeTurns=True)["thread"]["turns"])

    async def grow(self, mode: str) -> list[str]:
        """root -> two children -> two grandchildren each, all at rest and let go; the root first."""
        codex = self._running or self._home.server()
        root = codex.request("thread/start", {"cwd": "/work", "historyMode": mode})["thread"]["id"]
        codex.turn(root, "SPAWN 2x2")
        below: list[Json] = []
        with anyio.fail_after(60):
            while len(below) < 6 or any(thread["status"]["type"] == "active" for thread in below):
                await anyio.sleep(0.1)  # grandchildren start after the turn of the root
                below = codex.request("thread/list", {"ancestorThreadId": root, "limit": 100})["data"]
        self._let_go(codex, root)
        return [root, *(thread["id"] for thread in below)]

    def listed(self, *, archived: bool, **params: Any) -> list[str]:
        params |= {"archived": archived, "limit": 100}
        rows = self.ask("thread/list", **params)["data"]
        assert [row["id"] for row in rows] == [
            row["id"] for row in self.ask("thread/list", useStateDbOnly=True, **params)["data"]
        ]
        return [row["id"] for row in rows]


def questions(turns: list[Json]) -> list[str]:
    return [item["content"][0]["text"] for turn in turns for item in turn["items"] if item["type"] == "userMessage"]


@MODES
@BESIDE
async def test_a_thread_that_we_archive_is_archived_for_codex_too(
    home: CodexHome, tools: Tools, mode: str, beside: bool
) -> None:
    with Codexes(home, beside=beside) as codex:
        thread_id = codex.start(mode, "the question")
        receipt = await tools("thread_archive", thread_id=thread_id)
        assert (receipt["archived"], receipt["codex_db"]) == ([thread_id], None)
        assert (codex.listed(archived=False), codex.listed(archived=True)) == ([], [thread_id])
        theirs = codex.ask("thread/read", threadId=thread_id, includeTurns=True)["thread"]
        assert questions(theirs["turns"]) == ["the question"]
        assert theirs["path"] == str(home.rollout(thread_id))
        for method in ("thread/resume", "thread/fork"):
            assert "is archived" in codex.refuses(method, threadId=thread_id)
        assert codex.ask("thread/unarchive", threadId=thread_id)["thread"]["path"] == str(home.rollout(thread_id))
        assert home.rollout(thread_id).is_relative_to(home.path / "sessions")
        assert codex.say(thread_id, "and on") == ["the question", "and on"]


@MODES
@BESIDE
async def test_a_thread_that_we_unarchive_codex_goes_on_with(
    home: CodexHome, tools: Tools, mode: str, beside: bool
) -> None:
    with Codexes(home, beside=beside) as codex:
        thread_id = codex.start(mode, "the question")
        codex.ask("thread/archive", threadId=thread_id)
        receipt = await tools("thread_unarchive", thread_id=thread_id)
        assert (receipt["unarchived"], receipt["codex_db"]) == ([thread_id], None)
        assert (codex.listed(archived=False), codex.listed(archived=True)) == ([thread_id], [])
        theirs = codex.ask("thread/read", threadId=thread_id, includeTurns=True)["thread"]
        assert questions(theirs["turns"]) == ["the question"]
        assert codex.say(thread_id, "and on") == ["the question", "and on"]
        fork = codex.ask("thread/fork", threadId=thread_id)["thread"]
        assert questions(fork["turns"]) == ["the question", "and on"]
        codex.ask("thread/archive", threadId=thread_id)
        assert home.rollout(thread_id).parent == home.path / "archived_sessions"


@MODES
@BESIDE
async def test_a_name_that_we_give_is_the_one_that_codex_shows(
    home: CodexHome, tools: Tools, mode: str, beside: bool
) -> None:
    with Codexes(home, beside=beside) as codex:
        thread_id = codex.start(mode, "the question")
        for name in ("the first name", "the second name"):
            answer = await tools("thread_update", thread_id=thread_id, name=name)
            assert (answer["thread"]["name"], answer["codex_db"]) == (name, None)
            assert codex.ask("thread/read", threadId=thread_id)["thread"]["name"] == name
            assert [row["name"] for row in codex.ask("thread/list")["data"]] == [name]
        codex.ask("thread/name/set", threadId=thread_id, name="the name by Codex")
        answer = await tools("thread_update", thread_id=thread_id, name="the last name")
        assert codex.ask("thread/resume", threadId=thread_id)["thread"]["name"] == "the last name"
        found = codex.ask("thread/list", searchTerm="the last name")["data"]
        assert [row["id"] for row in found] == [thread_id]


@MODES
@BESIDE
async def test_git_info_that_we_record_is_what_codex_shows(
    home: CodexHome, tools: Tools, mode: str, beside: bool
) -> None:
    with Codexes(home, beside=beside) as codex:
        thread_id = codex.start(mode, "the question")
        codex.ask("thread/metadata/update", threadId=thread_id, gitInfo={"branch": "theirs", "sha": "cd" * 20})
        answer = await tools("thread_update", thread_id=thread_id, git_info=GIT)
        read = await tools("thread_read", thread_id=thread_id)
        assert (read["thread"]["git_info"], answer["codex_db"]) == (GIT, None)
        theirs = {"branch": GIT["branch"], "sha": GIT["sha"], "originUrl": GIT["origin_url"]}
        assert codex.ask("thread/read", threadId=thread_id)["thread"]["gitInfo"] == theirs
        assert [row["gitInfo"] for row in codex.ask("thread/list")["data"]] == [theirs]
        await tools("thread_update", thread_id=thread_id, git_info={"branch": None})
        read = await tools("thread_read", thread_id=thread_id)
        assert read["thread"]["git_info"] == GIT | {"branch": None}
        assert codex.say(thread_id, "and on") == ["the question", "and on"]
        assert codex.ask("thread/read", threadId=thread_id)["thread"]["gitInfo"] == theirs | {"branch": None}


@MODES
@BESIDE
async def test_a_tree_that_codex_spawned_goes_there_and_back_by_either(
    home: CodexHome, tools: Tools, mode: str, beside: bool
) -> None:
    config = home.path / "config.toml"
    config.write_text(config.read_text() + "\n[agents]\nmax_depth = 3\nmax_threads = 16\n")
    with Codexes(home, beside=beside) as codex:
        root, *below = await codex.grow(mode)
        assert len(below) == 6
        said = {i: codex.said(i) for i in (root, *below)}

        async def lists_the_tree() -> bool:
            return set(await tools.listed(ancestor_thread_id=root)) == set(below)

        await tools.until(lists_the_tree)
        receipt = await tools("thread_archive", thread_id=root)
        assert (set(receipt["archived"]), receipt["codex_db"]) == ({root, *below}, None)
        assert {i: codex.said(i) for i in said} == said
        assert set(codex.listed(archived=True, ancestorThreadId=root)) == set(below)
        codex.ask("thread/unarchive", threadId=root)
        assert set(codex.listed(archived=False, ancestorThreadId=root)) == set(below)
        codex.ask("thread/archive", threadId=root)
        receipt = await tools("thread_unarchive", thread_id=root, include_descendants="all")
        assert (set(receipt["unarchived"]), receipt["codex_db"]) == (set(said), None)
        assert set(codex.listed(archived=False, ancestorThreadId=root)) == set(below)
        assert {i: codex.say(i, "and on") for i in said} == {i: [*texts, "and on"] for i, texts in said.items()}


async def test_a_thread_that_was_forked_off_one_that_we_move_goes_on(home: CodexHome, tools: Tools) -> None:
    with Codexes(home, beside=True) as codex:
        source = codex.start("paginated", "the question")
        fork = codex.ask("thread/fork", threadId=source, excludeTurns=True)["thread"]["id"]
        assert codex.say(fork, "in the fork") == ["the question", "in the fork"]
        for verb in ("thread_archive", "thread_unarchive"):
            await tools(verb, thread_id=source)
            assert codex.said(fork) == ["the question", "in the fork"]
        await tools("thread_archive", thread_id=source)
        assert codex.say(fork, "and on") == ["the question", "in the fork", "and on"]


async def test_every_kind_of_thread_of_a_real_home_goes_there_and_back(
    golden171_home: CodexHome,
) -> None:
    home = golden171_home
    ids = json.loads((home.peer.golden.parent / "golden171/expected.json").read_text())["ids"]
    kept = rows(home, "SELECT id, archived FROM threads WHERE attached_thread_parent_id IS NULL")
    kinds = {name: thread_id for name, thread_id in ids.items() if kept.get(thread_id) == 0}
    assert {"p_reverted", "l_zst", "p_zst", "p_fork_of_fork", "tree_v2", "p_goal", "l_fork"} <= kinds.keys()
    async with Client(stdio_server(home.path)) as client:
        tools = Tools(client)
        with Codexes(home, beside=True) as codex:
            said = {name: codex.said(thread_id) for name, thread_id in kinds.items()}
            for thread_id in kinds.values():
                receipt = await tools("thread_archive", thread_id=thread_id)
                assert (receipt["failed"], receipt["codex_db"]) == ([], None)
            assert {name: codex.said(thread_id) for name, thread_id in kinds.items()} == said
            assert not set(codex.listed(archived=False)) & set(kinds.values())
            for thread_id in kinds.values():
                codex.ask("thread/unarchive", threadId=thread_id)
                await tools("thread_archive", thread_id=thread_id)
                receipt = await tools("thread_unarchive", thread_id=thread_id, include_descendants="all")
                assert (receipt["failed"], receipt["codex_db"]) == ([], None)
            assert {name: codex.said(thread_id) for name, thread_id in kinds.items()} == said
            for thread_id in kinds.values():
                codex.resume_and_archive(thread_id)


@MODES
async def test_a_thread_that_we_delete_is_out_of_codexs_lists_and_codex_deletes_its_row(
    home: CodexHome, tools: Tools, mode: str
) -> None:
    """No row is ever deleted by us: until then Codex still tells of it when asked by id, and says that it is gone."""
    with Codexes(home, beside=True) as codex:
        thread_id = codex.start(mode, "the question")
        await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
        assert codex.listed(archived=False) == codex.listed(archived=True) == []
        assert codex.ask("thread/read", threadId=thread_id)["thread"]["preview"] == "the question"
        for method in ("thread/resume", "thread/fork", "thread/archive", "thread/unarchive"):
            said = codex.refuses(method, threadId=thread_id)
            assert any(words in said for words in ("rollout found", "does not exist", "missing source rollout")), said
        codex.ask("thread/delete", threadId=thread_id)
        assert rows(home) == {}


def rows(home: CodexHome, query: str = "SELECT id, archived FROM threads") -> dict[str, Any]:
    with closing(sqlite3.connect(home.path / "state_5.sqlite")) as db:
        return dict(db.execute(query).fetchall())
