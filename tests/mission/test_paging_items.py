"""Pages of items go on where the last one ended, wherever the item is by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.models.page import ItemAnchor, item_cursor, parse_item_cursor
from tests.mission.conftest import Connect, Json, Refused, Tools

ANCHORS = st.builds(ItemAnchor, st.text(min_size=1), st.text(min_size=1), st.integers(0, 10**9), st.booleans())


@given(ANCHORS)
def test_an_item_cursor_comes_back_as_it_was(anchor: ItemAnchor) -> None:
    assert parse_item_cursor(item_cursor(anchor)) == anchor


async def said(tools: Tools, thread_id: str, **arguments: Any) -> tuple[list[str], Json]:
    page = await tools("thread_items", thread_id=thread_id, limit=2, **arguments)
    return [entry["item"].get("text") or entry["item"]["content"][0]["text"] for entry in page["data"]], page


async def planted(connect: Connect) -> tuple[str, str, Path]:
    """A thread of two turns that nobody has loaded; the id of the first turn, and the rollout."""
    async with connect() as tools:
        thread_id = await tools.written("one")
        await tools("turn_start", thread_id=thread_id, input="two")
        await tools("turn_complete", thread_id=thread_id, message="and out")
        read = await tools("thread_read", thread_id=thread_id, include_turns=True)
        return thread_id, read["turns"][-1]["id"], Path(read["thread"]["path"])


@pytest.mark.anyio
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_page_goes_on_behind_its_item_when_more_was_told_of_an_earlier_turn(
    connect: Connect, direction: str
) -> None:
    thread_id, first_turn, rollout = await planted(connect)
    async with connect() as tools:
        before, page = await said(tools, thread_id, sort_direction=direction)
        assert before == (["one", "done"] if direction == "asc" else ["and out", "two"])
        plan = {"turn_id": first_turn, "item": {"type": "Plan", "id": "p", "text": "late"}}
        with rollout.open("ab") as file:
            file.write(encode_line(RolloutLine("event_msg", {"type": "item_completed", **plan})))
        rest, _ = await said(tools, thread_id, sort_direction=direction, cursor=page["next_cursor"])
    assert rest == (["late", "two"] if direction == "asc" else ["late", "done"])


@pytest.mark.anyio
async def test_a_turn_is_named_by_the_beginning_of_its_id_too(connect: Connect) -> None:
    thread_id, first_turn, _ = await planted(connect)
    async with connect() as tools:
        whole = await tools("thread_items", thread_id=thread_id, turn_id=first_turn)
        assert await tools("thread_items", thread_id=thread_id, turn_id=first_turn[:18]) == whole
        with pytest.raises(Refused) as refused:
            await tools("thread_items", thread_id=thread_id, turn_id=first_turn[:7])
    assert refused.value.code == "turn_not_found"


@pytest.mark.anyio
async def test_a_cursor_of_an_item_that_was_rolled_back_is_refused(connect: Connect) -> None:
    thread_id, _, rollout = await planted(connect)
    async with connect() as tools:
        _, page = await said(tools, thread_id, sort_direction="desc")
        with rollout.open("ab") as file:
            file.write(encode_line(RolloutLine("event_msg", {"type": "thread_rolled_back", "num_turns": 1})))
        with pytest.raises(Refused, match="anchor item is no longer present") as refused:
            await said(tools, thread_id, sort_direction="desc", cursor=page["next_cursor"])
    assert refused.value.code == "invalid_cursor"
