"""What a call can't be done with is refused in at most sixty tokens, however long and however wrong it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextContent

from mcp_server.config import Config
from mcp_server.handlers.errors import MAX_ERROR_CHARS, failure_code
from mcp_server.server import build_server
from tests.servers import structure

pytestmark = pytest.mark.anyio

LONG = "a value that somebody pasted by mistake " * 20
CALL_ID = LONG[:200]
TURN = "01a20564-1f30-7c2d-9e4f-0123456789ab"
CALL = {"type": "toolCall", "call_id": CALL_ID, "name": "shell"}
BAD_ELEMENT = {"byte_range": {"start": 5, "end": 2}}

# `thread_id` is left out where it is that of a thread whose turn runs.
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("thread_list", {LONG: 1}),
    *(("thread_list", {name: LONG}) for name in ("since", "until", "sort_key", "limit", "cursor", "response_format")),
    *(("thread_list", {name: [LONG]}) for name in ("last_turn", "source_kinds")),
    ("thread_list", {"last_turn": LONG}),
    ("thread_list", {"since": f"today Nowhere/{'x' * 500}"}),
    ("thread_list", {"thread_ids": [TURN] * 101}),
    ("thread_list", {"parent_thread_id": TURN, "ancestor_thread_id": LONG}),
    ("thread_search", {"search_term": " "}),
    ("thread_search", {"search_term": LONG * 100}),
    ("thread_search", {"search_term": " ".join(f"word{n}" for n in range(300))}),
    ("thread_search", {"limit": 0, "sort_by": LONG, "since": 5}),
    ("thread_read", {"items_view": LONG}),
    ("thread_read", {"include_turns": False, "cursor": LONG}),
    ("thread_items", {"item_id": LONG}),
    ("thread_items", {"item_id": LONG, "cursor": LONG}),
    ("thread_items", {"turn_id": LONG}),
    ("thread_stats", {"group_by": LONG}),
    ("thread_start", {"cwd": f"\0{LONG}"}),
    *(("thread_start", {name: LONG}) for name in ("sandbox", "approval_policy", "reasoning_effort")),
    ("thread_start", {"ephemeral": True, "parent_thread_id": LONG}),
    ("thread_fork", {"last_turn_id": TURN, "before_turn_id": TURN}),
    ("thread_fork", {"last_turn_id": LONG}),
    ("thread_update", {}),
    ("thread_update", {"name": "n" * 100_000}),
    ("thread_update", {"git_info": {"origin_url": " "}}),
    ("thread_update", {"git_info": {LONG: "x"}}),
    ("thread_update", {"tags": [LONG]}),
    ("thread_update", {"tags": [f"tag {n}" for n in range(999)]}),
    ("thread_archive", {"thread_ids": [TURN]}),
    ("thread_unarchive", {"thread_id": None, "operation_id": LONG}),
    ("thread_unarchive", {"include_descendants": LONG}),
    ("thread_delete", {"confirm_thread_id": LONG}),
    ("turn_append", {"items": []}),
    ("turn_append", {"items": [5, {"type": "toolCall"}, {"type": LONG}]}),
    ("turn_append", {"items": [{"type": LONG}]}),
    ("turn_append", {"items": [{"type": "toolOutput", "call_id": CALL_ID, "output": "x"}]}),
    ("turn_append", {"items": [CALL, CALL]}),
    ("turn_complete", {"status": LONG}),
    ("turn_complete", {"error": LONG}),
    ("turn_start", {"input": [{"type": LONG}]}),
    ("turn_start", {"input": [{"type": "text", "text": "x", "text_elements": [BAD_ELEMENT]}]}),
    ("turn_start", {"input": "x", "request_id": LONG}),
    ("events_read", {"ancestor_thread_id": LONG}),
    *(("events_read", {"after": after}) for after in (-1, 10**9, LONG)),
    ("events_read", {"types": [LONG]}),
    ("no_such_tool_among_all_of_them", {}),
]
_WITHOUT_A_THREAD = ("thread_list", "thread_start", "thread_stats", "no_such_tool_among_all_of_them")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Client, str]]:
    """A client, and a thread whose turn runs."""
    async with Client(build_server(Config.load(tmp_path / "home"))) as client:
        thread_id = (await structure(client, "thread_start"))["thread"]["id"]
        await structure(client, "turn_start", thread_id=thread_id, input="hello")
        yield client, thread_id


async def test_each_refusal_takes_sixty_tokens_at_most(running: tuple[Client, str]) -> None:
    client, thread_id = running
    said: list[str] = []
    for tool, arguments in REFUSED:
        given = arguments if tool in _WITHOUT_A_THREAD else {"thread_id": thread_id} | arguments
        result = await client.call_tool(tool, given)
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert failure_code(result), f"{tool} {list(arguments)} was not refused: {content.text}"
        said.append(f"{tool} {list(arguments)}: {content.text}" if len(content.text) > MAX_ERROR_CHARS else "")
    assert [sentence for sentence in said if sentence] == []


async def test_of_several_wrong_arguments_as_many_are_told_as_there_is_room_for(running: tuple[Client, str]) -> None:
    client, _ = running
    wrong = {"limit": 0, "sort_by": "worst", "since": 5, "cursor": 5, "tags": 5}
    (content,) = (await client.call_tool("thread_search", {"search_term": "x"} | wrong)).content
    assert isinstance(content, TextContent)
    assert "since: Input should be a valid string (given 5)" in content.text
    assert "; and " in content.text
    assert " more (code: invalid_argument)" in content.text
