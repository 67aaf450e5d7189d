"""What a caller passes has an effect, is refused, or is told in the answer."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mcp_server
from tests.mission.conftest import Json, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio

PACKAGE = Path(mcp_server.__file__).parent
TOOLS: list[Json] = json.loads((Path(__file__).parents[1] / "house" / "tools.json").read_text(encoding="utf-8"))


@pytest.fixture
async def thread_id(tools: Tools) -> str:
    """A thread with a turn that runs."""
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="hello")
    return thread_id


def call(call_id: str) -> Json:
    return {"type": "toolCall", "call_id": call_id, "name": "ls", "arguments": {"path": "."}}


def output(call_id: str, text: str = "a file") -> Json:
    return {"type": "toolOutput", "call_id": call_id, "output": text}


# ---------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("status", ["completed", "interrupted"])
async def test_an_error_for_a_turn_that_did_not_fail_is_refused_and_the_turn_goes_on(
    tools: Tools, thread_id: str, status: str
) -> None:
    with pytest.raises(Refused, match=r"invalid error .*pass status=failed, or leave error out"):
        await tools("turn_complete", thread_id=thread_id, status=status, error="boom")
    ended = await tools("turn_complete", thread_id=thread_id, status="failed", error="boom")
    assert ended["turn"]["error"]["message"] == "boom"


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([output("nobody")], r"items\[0\]\.call_id 'nobody': a call with this id was not made; append its toolCall"),
        ([call("c"), output("c"), output("c")], r"items\[2\]\.call_id 'c': a call with this id has its output already"),
        ([output("c"), call("c")], r"items\[0\]\.call_id 'c': a call with this id was not made"),
        ([call("c"), call("c")], r"items\[1\]\.call_id 'c': a call of this turn has this id; give each call its own"),
    ],
)
async def test_an_output_without_its_call_is_refused_and_nothing_of_the_batch_is_written(
    home: Path, tools: Tools, thread_id: str, items: list[Json], says: str
) -> None:
    before = [path.read_bytes() for path in rollouts(home)]
    with pytest.raises(Refused, match=says):
        await tools("turn_append", thread_id=thread_id, items=items)
    assert [path.read_bytes() for path in rollouts(home)] == before
    await tools("turn_append", thread_id=thread_id, items=[call("c"), output("c")])  # the refused batch left no trace


async def test_an_output_may_come_in_another_batch_than_its_call(tools: Tools, thread_id: str) -> None:
    await tools("turn_append", thread_id=thread_id, items=[call("one"), call("two")])
    await tools("turn_append", thread_id=thread_id, items=[output("two", "2")])
    await tools("turn_append", thread_id=thread_id, items=[output("one", "1")])
    assert await outputs(tools, thread_id) == ["1", "2"]


async def test_an_output_may_come_in_a_later_turn_and_after_the_thread_was_put_down(
    tools: Tools, thread_id: str
) -> None:
    await tools("turn_append", thread_id=thread_id, items=[call("slow"), call("slower"), call("done"), output("done")])
    await tools("turn_complete", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="is it there?")
    await tools("turn_append", thread_id=thread_id, items=[output("slow", "there")])
    await tools("turn_complete", thread_id=thread_id)
    await tools("thread_unsubscribe", thread_id=thread_id)
    await tools("thread_resume", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="and the other?")
    await tools("turn_append", thread_id=thread_id, items=[output("slower", "here")])
    for call_id in ("slow", "slower", "done"):
        with pytest.raises(Refused, match="was not made"):
            await tools("turn_append", thread_id=thread_id, items=[output(call_id)])
    assert await outputs(tools, thread_id) == ["there", "here", "a file"]


async def test_a_call_id_may_come_again_in_another_turn(tools: Tools, thread_id: str) -> None:
    await tools("turn_append", thread_id=thread_id, items=[call("1"), output("1", "first")])
    await tools("turn_complete", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input="again")
    await tools("turn_append", thread_id=thread_id, items=[call("1"), output("1", "second")])
    assert await outputs(tools, thread_id) == ["first", "second"]


async def outputs(tools: Tools, thread_id: str) -> list[str]:
    read = await tools("thread_items", thread_id=thread_id, limit=100)
    calls = [entry["item"] for entry in read["data"] if entry["item"]["type"] == "dynamicToolCall"]
    return [item["content_items"][0]["text"] for item in calls]


# ---------------------------------------------------------------------------------------------- messages


async def test_a_message_in_codexs_parts_is_read_back_with_its_elements(tools: Tools) -> None:
    thread_id = await tools.start()
    element = {"byteRange": {"start": 0, "end": 2}, "placeholder": "an umlaut"}
    parts = [{"type": "text", "text": "ü is said", "textElements": [element]}, {"type": "image", "url": "data:,x"}]
    await tools("turn_start", thread_id=thread_id, input=parts)
    (entry,) = (await tools("thread_items", thread_id=thread_id))["data"]
    text, image = entry["item"]["content"]
    assert text["text_elements"] == [{"byte_range": {"start": 0, "end": 2}, "placeholder": "an umlaut"}]
    assert image["url"] == "data:,x"
    await tools("turn_complete", thread_id=thread_id)
    await tools("turn_start", thread_id=thread_id, input=[text])  # as the answer printed it


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"type": "text", "text": "x", "url": "data:,x"}, r"unknown 'input\[0\]\.url'; known are type, text"),
        ({"type": "image", "url": "data:,x", "name": "n"}, r"unknown 'input\[0\]\.name'; known are type, url"),
        ({"type": "localImage"}, r"input\[0\]\.path: Field required"),
        ({"type": "mention", "name": "n"}, r"input\[0\]\.path: Field required"),
        (
            {"type": "text", "text": "ü", "text_elements": [{"byte_range": {"start": 0, "end": 3}}]},
            "an element's bytes do not lie in the text, which has 2",
        ),
        ({"type": "mention", "name": "n", "path": "/p"}, "a skill or a mention without text can't be recorded"),
    ],
)
async def test_a_part_that_could_not_be_kept_is_refused(home: Path, tools: Tools, part: Json, says: str) -> None:
    thread_id = await tools.start()
    with pytest.raises(Refused, match=says):
        await tools("turn_start", thread_id=thread_id, input=[part])
    assert rollouts(home) == []


async def test_a_pointer_beside_a_text_is_told_as_not_recorded(tools: Tools) -> None:
    thread_id = await tools.start()
    pointer = {"type": "skill", "name": "review", "path": "/skills/review"}
    started = await tools("turn_start", thread_id=thread_id, input=[{"type": "text", "text": "go"}, pointer])
    assert started["not_recorded"] == ["skill review"]
    assert "not_recorded" not in await tools("turn_complete", thread_id=thread_id)


# ---------------------------------------------------------------------------------------------- reading


ALONE: list[tuple[str, Json, str]] = [
    ("thread_read", {"cursor": "at:x", "include_turns": False}, "cursor .*pass include_turns=true"),
    ("thread_items", {"item_id": "item-1", "cursor": "at:x"}, "cursor .*pass one of the two"),
    ("thread_search", {"search_term": "hello", "cwd": "/x"}, "cwd .*leave it out, or thread_id"),
    ("thread_search", {"search_term": "hello", "since": "2026-01-01T00:00:00Z"}, "since .*leave it out, or thread_id"),
    ("thread_search", {"search_term": "hello", "archived": True}, "archived .*is not archived"),
    ("events_read", {"thread_id": ""}, "invalid thread id"),
]


@pytest.mark.parametrize(("tool", "arguments", "says"), ALONE)
async def test_an_argument_without_effect_beside_the_others_is_refused(
    tools: Tools, thread_id: str, tool: str, arguments: Json, says: str
) -> None:
    with pytest.raises(Refused, match=says):
        await tools(tool, **{**arguments, "thread_id": arguments.get("thread_id", thread_id)})


async def test_a_search_within_an_archived_thread_may_say_so(tools: Tools) -> None:
    thread_id = await tools.written("hello")
    await tools("thread_archive", thread_id=thread_id)
    for archived in (None, True):
        found = await tools("thread_search", search_term="hello", thread_id=thread_id, archived=archived)
        assert len(found["data"]) == 1


# ---------------------------------------------------------------------------------------------- the words of errors


def test_errors_name_parameters_as_the_tools_do() -> None:
    names = {name for tool in TOOLS for name in tool["inputSchema"]["properties"] if "_" in name}
    foreign = {camel(name) for name in names} | {"gitInfo", "includeTurns", "searchTerm", "turnId"}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        whole = path.name == "errors.py"
        for node in ast.walk(tree):
            if whole or isinstance(node, ast.Raise):
                for text in texts(node):
                    assert not [name for name in foreign if name in text], f"{path.name}: {text}"


def texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        value: Any = getattr(part, "value", None)
        if isinstance(part, ast.Constant) and isinstance(value, str):
            yield value


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
