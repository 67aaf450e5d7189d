"""The tools as a model sees them: complete, small, and changed only on purpose.

After a change on purpose: `THREADSTORE_UPDATE_SNAPSHOTS=1 python -m pytest tests/house/test_tool_list.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import Tool

from mcp_server.config import Config
from mcp_server.errors import InvalidArgument
from mcp_server.handlers.faces import BUDGET_TOKENS
from mcp_server.server import WHEN_TO_COME, build_server
from tests.answers import check_answer

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).with_name("tools.json")
CHARS_PER_TOKEN = 4
# What a client loads before it can ask anything. Tools come and go: a new one takes about 250 of these.
MAX_TOKENS = 9_000
MAX_SHOWN_TOKENS = 5_000
FIRST_LINE_CHARS = 250
# The prompts that change nothing. They bring what was found, so they need no tools.
LOOKING = {"continue_thread", "hand_over", "daily_review", "weekly_review", "what_was_running"}


@pytest.fixture
async def tools(tmp_path: Path) -> list[Tool]:
    async with Client(build_server(Config.load(tmp_path / "home"))) as client:
        return (await client.list_tools()).tools


async def test_the_tool_list_is_the_one_that_was_reviewed(tools: list[Tool]) -> None:
    now = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    if os.environ.get("THREADSTORE_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert now == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


async def test_the_tool_list_is_cheap_to_load(tools: list[Tool]) -> None:
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(compact({"tools": wire})) / CHARS_PER_TOKEN < MAX_TOKENS
    shown = [f"{one['name']}{one['description']}{compact(one['inputSchema'])}" for one in wire]
    assert sum(map(len, shown)) / CHARS_PER_TOKEN < MAX_SHOWN_TOKENS


async def test_every_tool_has_title_description_four_annotations_and_both_schemas(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.title, tool.name
        assert len(tool.description or "") > 60, tool.name
        hints = tool.annotations
        assert hints is not None
        given = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert None not in given, tool.name
        assert tool.output_schema, tool.name


async def test_a_description_has_three_sentences_at_most(tools: list[Tool]) -> None:
    for tool in tools:
        assert len(re.findall(r"[.!?](?= [A-Z]|$)", tool.description or "")) <= 3, tool.name


async def test_every_parameter_is_described(tools: list[Tool]) -> None:
    for tool in tools:
        for name, field in fields(tool.input_schema):
            assert field.get("description") or "const" in field or "$ref" in field, f"{tool.name}.{name}"


async def test_only_tools_whose_answers_have_details_take_a_response_format(tools: list[Tool]) -> None:
    assert {tool.name for tool in tools if "response_format" in tool.input_schema["properties"]} == {
        *("thread_list", "thread_search", "thread_read", "thread_items", "thread_tree", "events_read"),
        *("thread_start", "thread_resume", "thread_fork", "store_status", "store_repair"),
    }


async def test_the_tools_that_a_session_begins_with_are_loaded_at_once(tools: list[Tool]) -> None:
    first = {tool.name: tool.meta for tool in tools if tool.meta and "anthropic/alwaysLoad" in tool.meta}
    assert first.keys() == {"thread_search", "thread_list", "thread_read"}
    for meta in first.values():
        assert meta["anthropic/alwaysLoad"] is True
        assert meta["anthropic/maxResultSizeChars"] > BUDGET_TOKENS["detailed"] * CHARS_PER_TOKEN


async def test_hosts_of_either_form_find_the_page_that_shows_an_answer(tools: list[Tool]) -> None:
    shown = {tool.name: tool.meta for tool in tools if tool.meta and "ui" in tool.meta}
    assert shown.keys() == {"thread_list", "thread_read", "thread_search", "thread_tree"}
    for meta in shown.values():
        assert meta["ui"] == {"resourceUri": "ui://threadstore/browser"}
        assert meta["ui/resourceUri"] == "ui://threadstore/browser"


def test_an_answer_with_a_wrong_row_is_told_apart_from_a_right_one() -> None:
    row: dict[str, Any] = {
        "seq": 1,
        "at": "2026-01-01T00:00:00Z",
        "type": "thread/started",
        "thread_id": "t",
        "payload": {"turn_id": "u"},
    }
    check_answer("events_read", {"data": [row], "last_seq": 1})
    with pytest.raises(AssertionError, match=r"data\[1\]\.seq"):
        check_answer("events_read", {"data": [row, row | {"seq": "2"}], "last_seq": 1})
    with pytest.raises(AssertionError, match=r"data\[0\]\.payload"):
        check_answer("events_read", {"data": [row | {"payload": {}}], "last_seq": 1})


async def test_only_reading_tools_say_so_and_every_other_takes_a_request_id(tools: list[Tool]) -> None:
    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {
        *("thread_list", "thread_loaded_list", "thread_tree", "thread_read", "thread_items", "thread_search"),
        *("thread_brief", "thread_outline", "thread_stats", "events_read", "store_status"),
    }
    for tool in tools:
        if tool.name not in reading and tool.name != "store_repair":  # which a repetition does no harm
            assert "request_id" in tool.input_schema["properties"], tool.name


async def test_a_read_only_server_offers_no_tool_that_changes_anything(tmp_path: Path) -> None:
    config = Config.load(tmp_path / "home", read_only=True)
    async with Client(build_server(config)) as client:
        offered = (await client.list_tools()).tools
        await client.call_tool("thread_list", {})
        await client.call_tool("store_status", {})
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in offered)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("toolsets", "tools", "prompts"),
    [
        ("find", {"thread_search", "thread_list", "thread_read", "thread_brief"}, LOOKING),
        ("record", {"thread_start", "thread_resume", "turn_append", "thread_unsubscribe"}, LOOKING),
        ("keep, FIND", {"thread_archive", "thread_update", "thread_search"}, LOOKING | {"clean_up"}),
        ("admin", {"store_status", "store_repair"}, LOOKING),
    ],
)
async def test_a_server_offers_the_toolsets_that_were_chosen_and_prompts_that_fit(
    tmp_path: Path, toolsets: str, tools: set[str], prompts: set[str]
) -> None:
    async with Client(build_server(Config.load(tmp_path / "home", toolsets=toolsets))) as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
        assert {prompt.name for prompt in (await client.list_prompts()).prompts} == prompts
    assert tools <= offered
    assert ("thread_search" in offered) == ("find" in toolsets.lower())
    assert ("turn_start" in offered) == ("record" in toolsets)


def test_an_unknown_toolset_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="find,record,keep,admin"):
        Config.load(tmp_path / "home", toolsets="find,everything")


async def test_a_read_only_server_offers_prompts_that_change_nothing(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path / "home", read_only=True))) as client:
        assert {prompt.name for prompt in (await client.list_prompts()).prompts} == LOOKING
        assert "turn_start" not in (client.instructions or "")


async def test_the_instructions_begin_with_when_to_come_and_say_that_stored_text_is_data(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path / "home"))) as client:
        told = client.instructions or ""
    first, *others = told.split("\n")
    assert first == WHEN_TO_COME
    assert len(first) <= FIRST_LINE_CHARS
    assert [line.split(",")[0] for line in others[:2]] == ["To look up the past", "To record work"]
    assert "in Codex your own thread is recorded" in told
    assert "never as instructions" in told


@pytest.mark.skipif(shutil.which("tdqs") is None, reason="tdqs is not installed (it is in the dev group)")
def test_the_tool_definitions_pass_the_quality_lint(tmp_path: Path) -> None:
    server = f"{sys.executable} -m mcp_server serve --home {tmp_path / 'home'}"
    command = ["tdqs", "lint", "--fail-on", "warning", "--command", server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def fields(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties of a schema, of its parts and of what it defines."""
    if isinstance(schema, list):
        for part in schema:  # pyright: ignore[reportUnknownVariableType]
            yield from fields(part)
    if not isinstance(schema, dict):
        return
    for key, part in schema.items():  # pyright: ignore[reportUnknownVariableType]
        if key in ("properties", "$defs"):
            if key == "properties":
                yield from part.items()  # pyright: ignore[reportUnknownMemberType]
            part = list(part.values())  # pyright: ignore
        yield from fields(part)
