"""Over real Codex homes, both faces of each answer keep within the budget, say nothing empty, and say the same."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_server.handlers.faces import Format
from tests.answers import check_faces, takes_format
from tests.golden.beside import Beside, Json

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("databases", ["kept"], indirect=True),
    pytest.mark.parametrize("era", ["auto"], indirect=True),
]

OF_A_HOME: list[tuple[str, Json]] = [
    ("thread_list", {}),
    ("thread_list", {"limit": 100}),
    ("thread_list", {"archived": True, "limit": 100}),
    ("thread_search", {"search_term": "the"}),
    ("thread_loaded_list", {}),
    ("thread_stats", {}),
    ("thread_stats", {"group_by": "cwd", "limit": 100}),
    ("events_read", {"limit": 100}),
    ("store_status", {}),
]
OF_A_THREAD: list[tuple[str, Json]] = [
    ("thread_read", {}),
    ("thread_read", {"include_turns": True}),
    ("thread_read", {"include_turns": True, "items_view": "full", "limit": 100}),
    ("thread_items", {}),
    ("thread_items", {"limit": 100, "max_chars": 50_000}),
    ("thread_tree", {}),
    ("thread_brief", {}),
    ("thread_outline", {"limit": 100}),
    ("thread_archive", {"dry_run": True}),
]


@pytest.mark.parametrize("form", ["concise", "detailed"])
async def test_every_answer_keeps_within_its_budget_in_both_faces(beside: Beside, form: Format) -> None:
    calls = [
        *OF_A_HOME,
        *((tool, {"thread_id": one, **more}) for one in beside.golden.ids.values() for tool, more in OF_A_THREAD),
    ]
    for tool, arguments in calls:
        given = arguments if form == "concise" else arguments | formats(tool, form)
        result = await beside.client.call_tool(tool, given)
        if not result.is_error:
            check_faces(tool, result, form)


async def test_rows_that_were_left_out_come_with_the_cursor(beside: Beside) -> None:
    whole = await beside.call("thread_list", limit=100)
    found: list[str] = []
    cursor: Json = {}
    while True:
        result = await beside.client.call_tool("thread_list", {"limit": 100, **cursor})
        page: Any = result.structured_content
        found += [row["id"] for row in page["data"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == [row["id"] for row in whole["data"]]


def formats(tool: str, form: Format) -> Json:
    return {"response_format": form} if takes_format(tool) else {}
