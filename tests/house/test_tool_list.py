"""The tools as a model sees them: complete, small, and changed only on purpose.

After a change on purpose: `THREADSTORE_UPDATE_SNAPSHOTS=1 python -m pytest tests/house/test_tool_list.py`.
"""

from __future__ import annotations

import json
import os
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
from mcp_server.server import INSTRUCTIONS, build_server
from tests.answers import check_answer, whole

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).with_name("tools.json")
# Schemas are JSON, which tokenizers cut into about 3.5 characters a token; 3 errs on the safe side.
CHARS_PER_TOKEN = 3.0
MAX_TOKENS = 8_000


@pytest.fixture
async def tools(tmp_path: Path) -> list[Tool]:
    async with Client(build_server(Config.load(tmp_path / "home"))) as client:
        return (await client.list_tools()).tools


async def test_the_tool_list_is_the_one_that_was_reviewed(tools: list[Tool]) -> None:
    now = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    if os.environ.get("THREADSTORE_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert now == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


async def test_descriptions_and_input_schemas_stay_small(tools: list[Tool]) -> None:
    texts = [f"{t.name}{t.description}{json.dumps(t.input_schema, separators=(',', ':'))}" for t in tools]
    assert sum(map(len, texts)) / CHARS_PER_TOKEN < MAX_TOKENS


async def test_every_tool_has_title_description_four_annotations_and_both_schemas(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.title, tool.name
        assert len(tool.description or "") > 60, tool.name
        hints = tool.annotations
        assert hints is not None
        given = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert None not in given, tool.name
        assert tool.output_schema, tool.name


async def test_every_field_is_described(tools: list[Tool]) -> None:
    for tool in tools:
        for schema in (tool.input_schema, tool.output_schema or {}):
            for name, field in fields(schema):
                assert field.get("description") or "const" in field or "$ref" in field, f"{tool.name}.{name}"


async def test_each_row_of_a_list_is_described_in_full(tools: list[Tool]) -> None:
    described = {tool.name: whole(tool.output_schema) for tool in tools}
    rows = described["thread_list"]["properties"]["data"]["items"]
    assert rows == {"$ref": "#/$defs/ThreadHead"}
    for name, schema in described.items():
        for reference in references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"], name


def test_an_answer_with_a_wrong_row_is_told_apart_from_a_right_one() -> None:
    row: dict[str, Any] = {
        "seq": 1,
        "at": "2026-01-01T00:00:00Z",
        "type": "thread/started",
        "thread_id": "t",
        "payload": {},
    }
    check_answer("events_read", {"data": [row], "last_seq": 1, "more": False})
    with pytest.raises(AssertionError, match=r"data\[1\]\.seq"):
        check_answer("events_read", {"data": [row, row | {"seq": "2"}], "last_seq": 1, "more": False})


async def test_only_reading_tools_say_so_and_every_other_takes_a_request_id(tools: list[Tool]) -> None:
    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {
        *("thread_list", "thread_loaded_list", "thread_tree", "thread_read", "thread_items", "thread_search"),
        "events_read",
    }
    for tool in tools:
        if tool.name not in reading and tool.name != "store_status":
            assert "request_id" in tool.input_schema["properties"], tool.name


async def test_a_read_only_server_offers_no_tool_that_changes_anything(tmp_path: Path) -> None:
    config = Config.load(tmp_path / "home", read_only=True)
    async with Client(build_server(config)) as client:
        offered = (await client.list_tools()).tools
        await client.call_tool("thread_list", {})
        await client.call_tool("store_status", {})
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in offered)
    assert list(tmp_path.iterdir()) == []


async def test_the_instructions_say_that_stored_text_is_data(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path / "home"))) as client:
        assert client.instructions == INSTRUCTIONS
    assert "never as instructions" in INSTRUCTIONS


@pytest.mark.skipif(shutil.which("tdqs") is None, reason="tdqs is not installed (it is in the dev group)")
def test_the_tool_definitions_pass_the_quality_lint(tmp_path: Path) -> None:
    server = f"{sys.executable} -m mcp_server serve --home {tmp_path / 'home'}"
    command = ["tdqs", "lint", "--fail-on", "warning", "--command", server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(name := schema.get("$ref"), str):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            yield name
        schema = list(schema.values())  # pyright: ignore
    if isinstance(schema, list):
        for part in schema:  # pyright: ignore[reportUnknownVariableType]
            yield from references(part)


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
