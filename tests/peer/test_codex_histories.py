"""Histories that only the real Codex makes: rolled back, compacted, forks of forks; and what it refuses and forgets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_server.models.value import Json
from tests.mission.conftest import Refused, Tools
from tests.peer.conftest import NEWEST_BY_DAY, CodexHome
from tests.peer.test_beside_codex import read, texts
from tests.peer.test_codex_as_client import calling_model as calling_model
from tests.peer.test_codex_as_client import configured as configured
from tests.servers import stdio_server

pytestmark = [pytest.mark.anyio, NEWEST_BY_DAY]

MODES = pytest.mark.parametrize("mode", ["legacy", "paginated"])


@pytest.fixture
async def tools(home: CodexHome) -> AsyncIterator[Tools]:
    async with Client(stdio_server(home.path)) as client:
        tools = Tools(client)
        await tools.listed()  # the index is built: what is there by then is told by no event
        yield tools


def started(codex: Any, mode: str, *messages: str) -> str:
    thread_id: str = codex.request("thread/start", {"cwd": "/work", "historyMode": mode})["thread"]["id"]
    for message in messages:
        codex.turn(thread_id, message)
    return thread_id


def shown(codex: Any, thread_id: str) -> Json:
    return codex.request("thread/read", {"threadId": thread_id, "includeTurns": True})["thread"]


def below(codex: Any, root: str) -> list[Json]:
    return codex.request("thread/list", {"ancestorThreadId": root, "modelProviders": [], "limit": 100})["data"]


async def same(tools: Tools, codex: Any, thread_id: str, mode: str) -> list[list[str]]:
    """Ours and theirs, turn for turn and item for item; returns what was said."""
    ours, theirs = await read(tools, thread_id), shown(codex, thread_id)
    assert [(t["id"], t["status"]) for t in ours["turns"]] == [(t["id"], t["status"]) for t in theirs["turns"]]
    assert texts(ours) == texts(theirs)
    for mine, codexs in zip(ours["turns"], theirs["turns"], strict=True):
        items = [item for item in mine["items"] if mode == "paginated" or item["type"] != "dynamicToolCall"]
        assert [(i["type"], i["id"]) for i in items] == [(i["type"], i["id"]) for i in codexs["items"]]
    return texts(ours)


@pytest.mark.parametrize("dropped", [1, 2, 5])
async def test_a_rollback_marker_counts_for_us_as_for_codex(home: CodexHome, tools: Tools, dropped: int) -> None:
    """Written by hand, as older versions did: 0.169 has no call that rolls back."""
    with home.server() as codex:
        thread_id = started(codex, "legacy", "one", "two", "three")
    with home.rollout(thread_id).open("a") as file:
        marker = {"type": "thread_rolled_back", "num_turns": dropped}
        file.write(json.dumps({"timestamp": "2026-11-25T00:00:00.000Z", "type": "event_msg", "payload": marker}) + "\n")
    with home.server() as codex:
        assert len(await same(tools, codex, thread_id, "legacy")) == max(0, 3 - dropped)
        codex.request("thread/resume", {"threadId": thread_id})
        codex.turn(thread_id, "and on")
        assert (await same(tools, codex, thread_id, "legacy"))[-1] == ["and on", "ack: and on"]


@MODES
async def test_forks_of_forks_and_compacted_threads_are_read_turn_for_turn(
    home: CodexHome, tools: Tools, mode: str
) -> None:
    with home.server() as codex:
        source = started(codex, mode, "first", "RUN_SHELL echo hi", "third")
        mark = codex.mark()
        codex.request("thread/compact/start", {"threadId": source})
        codex.wait_note("turn/completed", lambda params: params["threadId"] == source, mark)  # pyright: ignore[reportUnknownLambdaType]
        codex.turn(source, "after the compaction")
        second = shown(codex, source)["turns"][1]["id"]
        fork = codex.request("thread/fork", {"threadId": source, "lastTurnId": second})["thread"]["id"]
        codex.turn(fork, "in the fork")
        inner = codex.request("thread/fork", {"threadId": fork})["thread"]["id"]
        codex.turn(inner, "in the fork of the fork")
        codex.turn(source, "after the forks")
        for thread_id in (source, fork, inner):
            await same(tools, codex, thread_id, mode)
        said = [turn[0] for turn in texts(await read(tools, inner))]
        assert said == ["first", "RUN_SHELL echo hi", "in the fork", "in the fork of the fork"]
        ours = (await tools("thread_read", thread_id=inner))["thread"]
        assert ours["forked_from_id"] == fork
        found = await tools("thread_search", search_term='"in the fork of the fork"')
        assert inner in {hit["thread"]["id"] for hit in found["data"]}


def revert(codex: Any, thread_id: str, turn: int) -> None:
    before = shown(codex, thread_id)["turns"][turn]["id"]
    codex.request("thread/revert", {"threadId": thread_id, "beforeTurnId": before})


async def test_a_thread_that_codex_reverted_is_ours_turn_for_turn_and_moves_with_its_segments(
    home: CodexHome, tools: Tools
) -> None:
    """A revert begins a segment file and leaves the one before, from which the thread, and a fork of it, read on. Our
    archive is Codex's: all of them move; and neither deletes what a fork still needs."""
    with home.server() as codex:
        thread_id = started(codex, "paginated", "one", "two", "three")
        assert len(await same(tools, codex, thread_id, "paginated")) == 3
        revert(codex, thread_id, 1)
        codex.turn(thread_id, "two again")
        fork = codex.request("thread/fork", {"threadId": thread_id})["thread"]["id"]
        codex.turn(fork, "in the fork")
        revert(codex, thread_id, 1)
        codex.turn(thread_id, "two at last")
        path = shown(codex, thread_id)["path"]

        async def shows_the_last_segment() -> bool:
            return (await tools("thread_read", thread_id=thread_id))["thread"]["path"] == path

        await tools.until(shows_the_last_segment)
        assert "thread/reverted" in await tools.events(thread_id)
        assert [t[0] for t in await same(tools, codex, thread_id, "paginated")] == ["one", "two at last"]
        assert [t[0] for t in await same(tools, codex, fork, "paginated")] == ["one", "two again", "in the fork"]
        (theirs,) = [t for t in codex.request("thread/list", {})["data"] if t["path"].endswith(f"{thread_id}.jsonl")]
        assert theirs["id"] == thread_id  # Codex lists a file that it has replaced as well
        assert sorted(await tools.listed()) == sorted([thread_id, fork])
        hits = (await tools("thread_search", search_term='"two again"'))["data"]
        assert {hit["thread"]["id"] for hit in hits} == {fork}

        files = sorted(home.path.glob(f"sessions/**/*{thread_id}*.jsonl"))
        assert len(files) == 3
        home.archive(codex, thread_id)
        assert len(await same(tools, codex, thread_id, "paginated")) == 2
        assert await tools.listed(archived=True) == [thread_id]
        codex.request("thread/unarchive", {"threadId": thread_id})
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["archived"] is False

    await tools("thread_archive", thread_id=thread_id)
    assert not any(path.exists() for path in files)
    with home.server() as codex:  # a paginated thread that others moved it finds by a list alone, by its id no more
        assert thread_id in {t["id"] for t in codex.request("thread/list", {"archived": True})["data"]}
    await tools("thread_unarchive", thread_id=thread_id)
    assert all(path.exists() for path in files)
    await tools.go_on(thread_id, "from us")
    with home.server() as codex:
        codex.request("thread/resume", {"threadId": thread_id})
        codex.turn(thread_id, "from Codex")
        said = [turn[0] for turn in texts(shown(codex, thread_id))]
        assert said == ["one", "two at last", "from us", "from Codex"]
        assert [turn[0] for turn in texts(await read(tools, thread_id))] == said
    with pytest.raises(Refused, match="forked history still references it"):
        await tools("thread_delete", thread_id=thread_id, confirm_thread_id=thread_id)
    for gone in (fork, thread_id):
        await tools("thread_delete", thread_id=gone, confirm_thread_id=gone)
    assert not list(home.path.glob("*sessions/**/*.jsonl"))


async def test_the_tree_that_codex_spawned_is_ours_level_by_level(home: CodexHome, tools: Tools) -> None:
    config = home.path / "config.toml"
    config.write_text(config.read_text() + "\n[agents]\nmax_depth = 3\nmax_threads = 16\n")
    with home.server() as codex:
        root = started(codex, "legacy", "SPAWN 2x2")
        with anyio.fail_after(30):
            while len(theirs := below(codex, root)) < 6:  # noqa: ASYNC110 - grandchildren start after the roots turn
                await anyio.sleep(0.1)
        for thread in theirs:  # each is told of once its file was seen
            assert (await tools("events_read", thread_id=thread["id"], wait_seconds=15))["data"]
        answer = await tools("thread_list", ancestor_thread_id=root, limit=100)
        ours = {t["id"]: (t["parent_thread_id"], t["agent_nickname"]) for t in answer["data"]}
        assert ours
        assert ours == {t["id"]: (t["parentThreadId"], t["agentNickname"]) for t in theirs}
        for child in ours:
            with anyio.fail_after(30):  # it may still run
                while texts(await read(tools, child)) != texts(shown(codex, child)):  # noqa: ASYNC110 - see above
                    await anyio.sleep(0.1)


def test_a_sub_agent_of_a_real_codex_archives_neither_its_parent_nor_deletes_it(
    configured: CodexHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = configured.peer.mock_model
    calling = module.decide

    def decide(body: dict[str, Any]) -> Any:
        """`SPAWN_CALL x` spawns an agent whose message is `CALL x`."""
        said = [module._text(item) for item in body["input"] if item.get("role") == "user"]
        tools = module.tool_index(body["tools"])
        answered = body["input"][-1].get("type") == "function_call_output"
        if said and said[-1].startswith("SPAWN_CALL ") and not answered:
            arguments = {"message": said[-1].removeprefix("SPAWN_")}
            return [module.call("spawn_agent", arguments, tools["spawn_agent"][0])], 0
        return calling(body)

    monkeypatch.setattr(module, "decide", decide)
    with configured.server() as codex:
        parent = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        codex.turn(parent, "hello", timeout=60)
        mark = codex.mark()
        codex.turn(parent, f"SPAWN_CALL thread_archive {json.dumps({'thread_id': parent})}", timeout=60)
        codex.wait_note("turn/completed", lambda params: params["threadId"] != parent, mark)  # pyright: ignore[reportUnknownLambdaType]
        told = " ".join(str(item) for request in configured.model.inputs() for item in request)
    assert f"may not archive its ancestor {parent}" in told
    assert configured.rollout(parent).parent.name != "archived_sessions"


async def test_what_codex_names_and_moves_behind_our_back_is_in_the_next_list_read_and_events(
    home: CodexHome, tools: Tools
) -> None:
    """At once: we look as soon as it has answered, and owe nothing to the watcher."""
    with home.server() as codex:
        thread_id = started(codex, "legacy", "hello")
        assert (await tools("events_read", thread_id=thread_id, wait_seconds=15))["data"]
        assert await tools.listed(source_kinds=["vscode"]) == [thread_id]
        home.archive(codex, thread_id)
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["archived"] is True
        assert await tools.listed(source_kinds=["vscode"]) == []
        assert await tools.listed(archived=True, source_kinds=["vscode"]) == [thread_id]
        assert "thread/archived" in await tools.events(thread_id)
        codex.request("thread/unarchive", {"threadId": thread_id})
        assert (await tools("thread_read", thread_id=thread_id))["thread"]["archived"] is False
        assert await tools.listed(source_kinds=["vscode"]) == [thread_id]
        assert "thread/unarchived" in await tools.events(thread_id)
