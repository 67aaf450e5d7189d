"""Errors that reach every client: a sentence and a code, in the text and in `_meta`, and nothing else to trip over."""

from __future__ import annotations

import logging

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from mcp_server.threads.reader import Reader
from tests.mission.conftest import Connect, Json, Tools

pytestmark = pytest.mark.anyio

UNKNOWN = "01a20564-0000-7000-8000-000000000000"
BAD_CALLS: list[tuple[str, Json, str]] = [
    ("thread_read", {"thread_id": UNKNOWN}, "thread_not_found"),
    ("thread_list", {"cursor": "garbage"}, "invalid_cursor"),
    ("thread_list", {"limit": "many"}, "invalid_argument"),
    ("thread_start", {"parent_thread_id": UNKNOWN, "request_id": "once"}, "thread_not_found"),
    ("thread_lst", {}, "unknown_tool"),
]


@pytest.mark.parametrize(("tool", "arguments", "code"), BAD_CALLS)
async def test_an_error_has_its_code_in_text_and_meta_and_no_structure(
    tools: Tools, tool: str, arguments: Json, code: str
) -> None:
    wire = await raw(tools, tool, arguments)
    assert wire["isError"] is True
    assert wire["_meta"]["threadstore/error"] == {"code": code}
    assert wire["content"][0]["text"].endswith(f"(code: {code})")
    assert "structuredContent" not in wire


async def test_an_unknown_tool_is_refused_with_the_nearest_one(tools: Tools) -> None:
    wire = await raw(tools, "threadList", {})
    assert "unknown tool 'threadList'; did you mean thread_list?" in wire["content"][0]["text"]


async def test_a_used_request_id_is_an_error_with_a_code(tools: Tools) -> None:
    await tools("thread_start", request_id="once")
    wire = await raw(tools, "thread_start", {"request_id": "once", "name": "another call"})
    assert wire["_meta"]["threadstore/error"] == {"code": "request_id_reused"}
    assert "structuredContent" not in wire


async def test_an_unexpected_exception_is_an_error_with_a_code_and_only_the_log_has_its_cause(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable(*_: object) -> None:
        raise ZeroDivisionError("a secret of the machine")

    async with connect() as tools:
        thread_id = await tools.written()
        monkeypatch.setattr(Reader, "read", unreadable)
        with caplog.at_level(logging.ERROR):
            wire = await raw(tools, "thread_read", {"thread_id": thread_id, "include_turns": True})
        monkeypatch.undo()
    assert wire["_meta"]["threadstore/error"] == {"code": "internal_error"}
    assert "secret" not in wire["content"][0]["text"]
    assert "a secret of the machine" in caplog.text


async def test_a_resource_that_can_not_be_read_says_so_with_the_code(tools: Tools) -> None:
    with pytest.raises(MCPError, match=r"no thread found .* \(code: thread_not_found\)"):
        await tools.client.read_resource(f"thread://{UNKNOWN}")


async def raw(tools: Tools, tool: str, arguments: Json) -> Json:
    result = await tools.client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)
