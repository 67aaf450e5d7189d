"""Our server and the real Codex app-server on one home, at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp import Client

from mcp_server.models.value import Json
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from tests.mission.conftest import Refused, Tools
from tests.peer.conftest import CodexHome
from tests.rollouts import move_one
from tests.servers import stdio_server

pytestmark = pytest.mark.anyio

_SECONDS = 15


@pytest.fixture
async def tools(home: CodexHome) -> AsyncIterator[Tools]:
    async with Client(stdio_server(home.path)) as client:
        yield Tools(client)


async def left(tools: Tools, message: str = "ours", **arguments: Any) -> str:
    """A thread of ours with one turn, not loaded any more."""
    thread_id = await tools.written(message, cwd="/work", model="mock-model", **arguments)
    await tools("thread_unsubscribe", thread_id=thread_id)
    return thread_id


async def told(tools: Tools, after: int, kind: str) -> list[str]:
    """The threads of the next events of a kind, waited for."""
    answer = await tools("events_read", after=after, types=[kind], wait_seconds=_SECONDS)
    return [event["thread_id"] for event in answer["data"]]


async def last_seq(tools: Tools) -> int:
    return (await tools("events_read", limit=100))["last_seq"]


def listed(codex: Any, **params: Any) -> list[str]:
    # With a filter on providers Codex looks at the files, with none at its own rows alone.
    everything = {"modelProviders": ["openai", "mock"], "sourceKinds": ["vscode", "appServer", "subAgent"], **params}
    return [thread["id"] for thread in codex.request("thread/list", everything)["data"]]


def texts(thread: Json) -> list[list[str]]:
    """What was said, turn by turn, in either server's answer."""
    return [
        [
            item["text"] if item["type"] == "agentMessage" else item["content"][0]["text"]
            for item in turn["items"]
            if item["type"] in ("userMessage", "agentMessage")
        ]
        for turn in thread["turns"]
    ]


async def read(tools: Tools, thread_id: str) -> Json:
    answer = await tools(
        "thread_read", thread_id=thread_id, include_turns=True, items_view="full", sort_direction="asc", limit=100
    )
    return {**answer["thread"], "turns": answer["turns"]}


async def test_what_we_write_the_running_codex_lists_reads_and_goes_on_with(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        root = await left(tools, "the first question")
        child = await left(tools, "the childs task", parent_thread_id=root, agent_nickname="Ada")
        assert set(listed(codex)) >= {root, child}
        theirs = codex.request("thread/read", {"threadId": root, "includeTurns": True})["thread"]
        assert texts(theirs) == texts(await read(tools, root)) == [["the first question", "done"]]
        codex.request("thread/resume", {"threadId": root})
        codex.turn(root, "and the second")
        sent = str(home.model.inputs()[-1])
        assert "the first question" in sent
        assert "done" in sent
        assert texts(await read(tools, root)) == [
            ["the first question", "done"],
            ["and the second", "ack: and the second"],
        ]


async def test_what_codex_does_to_our_threads_is_seen_at_once(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        thread_id = await left(tools)
        after = await last_seq(tools)
        codex.request("thread/name/set", {"threadId": thread_id, "name": "by Codex"})
        assert await told(tools, after, "thread/name/updated") == [thread_id]
        assert (await tools("thread_read", thread_id="by Codex"))["thread"]["id"] == thread_id
        codex.request("thread/archive", {"threadId": thread_id})
        assert await told(tools, after, "thread/archived") == [thread_id]
        assert await tools.listed(archived=True) == [thread_id]
        codex.request("thread/unarchive", {"threadId": thread_id})
        assert await told(tools, after, "thread/unarchived") == [thread_id]
        assert await tools.listed() == [thread_id]
        started = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        codex.turn(started, "a new one of Codex")
        assert started in await told(tools, after, "thread/started")
        assert texts(await read(tools, started)) == [["a new one of Codex", "ack: a new one of Codex"]]


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
async def test_what_codex_writes_we_read_as_it_answers_itself(home: CodexHome, tools: Tools, mode: str) -> None:
    with home.server() as codex:
        thread_id = codex.request("thread/start", {"cwd": "/work", "historyMode": mode})["thread"]["id"]
        for message in ("hello", "RUN_SHELL echo hi", "FAIL now", "goodbye"):
            codex.turn(thread_id, message)
        mark = codex.mark()
        codex.request("thread/compact/start", {"threadId": thread_id})
        codex.wait_note("turn/completed", lambda params: params["threadId"] == thread_id, mark)  # pyright: ignore[reportUnknownLambdaType]
        codex.turn(thread_id, "after the compaction")
        theirs = codex.request("thread/read", {"threadId": thread_id, "includeTurns": True})["thread"]
    ours = await read(tools, thread_id)
    assert [(t["id"], t["status"]) for t in ours["turns"]] == [(t["id"], t["status"]) for t in theirs["turns"]]
    assert texts(ours) == texts(theirs)
    for mine, codexs in zip(ours["turns"], theirs["turns"], strict=True):
        # On purpose: a legacy history's tool calls, which Codex hides.
        items = [item for item in mine["items"] if mode == "paginated" or item["type"] != "dynamicToolCall"]
        assert [(i["type"], i["id"]) for i in items] == [(i["type"], i["id"]) for i in codexs["items"]]


async def test_what_codex_has_loaded_we_refuse_and_name_it(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        thread_id = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        codex.turn(thread_id, "mine")
        for verb in ("thread_resume", "thread_archive", "thread_delete"):
            extra = {"confirm_thread_id": thread_id} if verb == "thread_delete" else {}
            with pytest.raises(Refused, match=rf"codex.* \(pid {codex.p.pid}|\(pid \d+\) since \d{{4}}-") as refused:
                await tools(verb, thread_id=thread_id, **extra)
            assert refused.value.code == "active_writer"
            assert "codex" in refused.value.sentence
        fork = await tools("thread_fork", thread_id=thread_id)
        assert fork["thread"]["forked_from_id"] == thread_id


async def test_what_we_have_loaded_codex_refuses(home: CodexHome, tools: Tools) -> None:
    thread_id = await tools.written("ours", cwd="/work")
    with home.server() as codex:
        for method in ("thread/resume", "thread/archive", "thread/delete"):
            assert "error" in codex.try_(method, {"threadId": thread_id}), method
        assert home.rollout(thread_id).is_relative_to(home.path / "sessions")
        await tools("thread_unsubscribe", thread_id=thread_id)
        assert codex.request("thread/resume", {"threadId": thread_id})["thread"]["id"] == thread_id
        codex.request("thread/archive", {"threadId": thread_id})
    assert home.rollout(thread_id).parent == home.path / "archived_sessions"


async def test_archives_behind_each_others_back_end_in_agreement(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        one, other = await left(tools, "one"), await left(tools, "other")
        assert set(listed(codex)) == {one, other}
        await tools("thread_archive", thread_id=one)
        after = await last_seq(tools)
        codex.request("thread/archive", {"threadId": other})
        assert await told(tools, after, "thread/archived") == [other]
        assert listed(codex) == await tools.listed() == []
        assert set(listed(codex, archived=True)) == set(await tools.listed(archived=True)) == {one, other}
        await tools("thread_unarchive", thread_id=other)
        assert listed(codex) == await tools.listed() == [other]


async def test_a_cascade_of_codex_over_our_tree_is_told_thread_by_thread(home: CodexHome, tools: Tools) -> None:
    root = await left(tools, "root")
    child = await left(tools, "child", parent_thread_id=root)
    leaf = await left(tools, "leaf", parent_thread_id=child)
    after = await last_seq(tools)
    with home.server() as codex:
        codex.request("thread/archive", {"threadId": root})
    seen: set[str] = set()
    while seen != {root, child, leaf}:
        new = await told(tools, after, "thread/archived")
        assert new, "an event is missing"
        seen |= set(new)
        after = await last_seq(tools) if len(seen) == 3 else after
    assert await tools.listed(archived=True, source_kinds=["subAgent"], sort_direction="asc") == [child, leaf]


async def test_a_paginated_thread_goes_back_and_forth(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        thread_id = codex.request("thread/start", {"cwd": "/work", "historyMode": "paginated"})["thread"]["id"]
        codex.turn(thread_id, "first, by Codex")
    await tools.go_on(thread_id, "second, by us", "so it is")
    with home.server() as codex:
        codex.request("thread/resume", {"threadId": thread_id})
        codex.turn(thread_id, "third, by Codex")
        assert "so it is" in str(home.model.inputs()[-1])
        theirs = codex.request("thread/read", {"threadId": thread_id, "includeTurns": True})["thread"]
    expected = [
        ["first, by Codex", "ack: first, by Codex"],
        ["second, by us", "so it is"],
        ["third, by Codex", "ack: third, by Codex"],
    ]
    assert texts(theirs) == texts(await read(tools, thread_id)) == expected


async def test_codexs_databases_are_not_written(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        thread_id = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        codex.turn(thread_id, "hello")
        codex.request("thread/name/set", {"threadId": thread_id, "name": "in its database"})
    # A reader of a WAL database marks its place in -shm, which is no content.
    contents = [path for path in home.path.glob("*_*.sqlite*") if not path.name.endswith("-shm")]
    before = {path.name: path.read_bytes() for path in contents}
    async with Client(stdio_server(home.path)) as client:
        fresh = Tools(client)
        assert (await fresh("thread_read", thread_id=thread_id))["thread"]["name"] == "in its database"
        await fresh("store_repair")
    assert {path.name: path.read_bytes() for path in contents} == before


async def test_codex_is_refused_a_thread_that_we_hold_among_many(home: CodexHome, tools: Tools) -> None:
    with home.server() as codex:
        threads = [await left(tools) for _ in range(3)]
        locks, rollouts = CodexWriterLocks(home.path), RolloutFiles(home.path)
        locks.acquire(threads)
        for thread_id in threads:
            refused = codex.try_("thread/resume", {"threadId": thread_id})["error"]["message"]
            assert refused == f"thread {thread_id} already has an active writer"
        assert codex.request("thread/start", {"cwd": "/work"})["thread"]["id"] not in threads
        moved = move_one(rollouts, str(home.rollout(threads[0]).relative_to(home.path)), archived=True)
        locks.release(threads)
        assert [file.thread_id for file in rollouts.walk()].count(threads[0]) == 1
        assert home.rollout(threads[0]) == home.path / moved.path
        codex.request("thread/resume", {"threadId": threads[1]})
