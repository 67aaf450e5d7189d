"""Searches, commands and pictures that the model's history alone tells of, by way of the tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mission.conftest import Connect, Tools
from tests.mission.searches import ONE, add, put, search, snippets
from tests.threads.rollout_lines import aborted, agent, call, ended, output, response, started, user

pytestmark = pytest.mark.anyio

SHELL = "<user_shell_command>\n<command>\nls narwhal\n</command>\n</user_shell_command>"


async def kinds(tools: Tools, thread_id: str) -> list[str]:
    return [entry["item"]["type"] for entry in (await tools("thread_items", thread_id=thread_id))["data"]]


async def test_searches_and_commands_are_listed_and_searched_among_the_tool_calls(home: Path, connect: Connect) -> None:
    put(
        home,
        ONE,
        user("q"),
        response("web_search_call", status="completed", action={"type": "search", "query": "axolotl habitat"}),
        response("local_shell_call", call_id="l", status="completed", action={"command": ["grep", "okapi"]}),
        output("l", "okapi found"),
        response("message", role="user", content=[{"type": "input_text", "text": SHELL}]),
        agent("a"),
    )
    async with connect() as tools:
        assert await kinds(tools, ONE) == [
            "userMessage",
            "webSearch",
            "commandExecution",
            "commandExecution",
            "agentMessage",
        ]
        for word in ("axolotl", "okapi found", "narwhal"):
            (hit,) = await search(tools, word, include_tool_calls=True)
            assert hit["thread"]["id"] == ONE
            answer = await tools("thread_search", search_term=word)
            assert answer["notes"] == ["no message holds all of it, so tool calls and their outputs are included"]


@pytest.mark.parametrize("view", ["summary", "full"])
async def test_a_turn_that_is_a_command_of_the_user_alone_shows_it_in_every_view_with_items(
    home: Path, connect: Connect, view: str
) -> None:
    shell = response("message", role="user", content=[{"type": "input_text", "text": SHELL}])
    put(home, ONE, started("a"), shell, ended("a"), user("next"), agent("b"))
    async with connect() as tools:
        for _ in range(2):  # the second from the index
            read = await tools("thread_read", thread_id=ONE, include_turns=True, items_view=view, sort_direction="asc")
            first, second = read["turns"]
            assert [(item["type"], item["command"]) for item in first["items"]] == [("commandExecution", "ls narwhal")]
            assert [item["type"] for item in second["items"]] == ["userMessage", "agentMessage"]


async def test_a_call_that_comes_after_the_abort_joins_the_turn_that_is_indexed_already(
    home: Path, connect: Connect
) -> None:
    put(home, ONE, started("a"), user("one"), aborted("a"))
    async with connect() as tools:
        assert await kinds(tools, ONE) == ["userMessage"]
        add(home, ONE, call("c"), output("c", "the wombat"), started("b"), user("two"))
        read = await tools("thread_read", thread_id=ONE, include_turns=True, items_view="full", sort_direction="asc")
        assert [[item["type"] for item in turn["items"]] for turn in read["turns"]] == [
            ["userMessage", "dynamicToolCall"],
            ["userMessage"],
        ]
        assert len(await search(tools, "wombat", include_tool_calls=True)) == 1


async def test_base64_is_found_by_no_search_and_takes_no_room_in_answers(home: Path, connect: Connect) -> None:
    picture = "data:image/png;base64," + "Zm9ydHktdHdv" * 50_000
    put(home, ONE, user("q"), call("c"), output("c", [{"type": "input_image", "image_url": picture}]), agent("a newt"))
    async with connect() as tools:
        assert await search(tools, "9ydHktdHdv", include_tool_calls=True) == []
        (told,) = await snippets(tools, "left out", include_tool_calls=True)
        assert "image/png, 450 kB" in told
        (entry,) = [e for e in (await tools("thread_items", thread_id=ONE))["data"] if e["item"]["id"] == "c"]
        assert entry["item"]["content_items"] == [{"type": "inputImage", "image_url": "[image/png, 450 kB, left out]"}]
        assert "truncated" not in entry["item"]
