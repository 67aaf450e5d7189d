"""Arguments as clients really send them: what means the same is taken, all else is refused by name, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.house.test_tool_list import fields
from tests.mission.conftest import Json, Refused, Tools, rollouts

pytestmark = pytest.mark.anyio

TOOLS: list[Json] = json.loads((Path(__file__).parents[1] / "house" / "tools.json").read_text(encoding="utf-8"))
NAMES = [tool["name"] for tool in TOOLS]


def schema_of(tool: str) -> Json:
    return next(one["inputSchema"] for one in TOOLS if one["name"] == tool)


async def sensible(tools: Tools, tool: str) -> Json:
    """The least with which the tool succeeds, on a thread that suits it."""
    thread_id = await tools.start(name="a thread")
    if tool != "turn_start":
        await tools("turn_start", thread_id=thread_id, input="hello")
    if not tool.startswith("turn_"):
        await tools("turn_complete", thread_id=thread_id)
    if tool == "thread_unarchive":
        await tools("thread_archive", thread_id=thread_id)
    more: Json = {
        "thread_delete": {"confirm_thread_id": thread_id},
        "thread_search": {"search_term": "hello"},
        "thread_update": {"name": "another", "git_info": {"branch": "main"}, "tags": ["kept"]},
        "turn_append": {"items": [{"type": "agentMessage", "text": "hi"}]},
        "turn_start": {"input": "hello"},
    }
    if tool == "thread_import":
        more[tool] = {"path": (await tools("thread_export", thread_id=thread_id, format="bundle"))["path"]}
    taken = {"thread_id": thread_id} if "thread_id" in schema_of(tool)["properties"] else {}
    return taken | more.get(tool, {})


@pytest.mark.parametrize("tool", NAMES)
async def test_null_for_every_optional_argument_means_left_out(tools: Tools, tool: str) -> None:
    least = await sensible(tools, tool)
    filled = dict.fromkeys(schema_of(tool)["properties"]) | least
    Draft202012Validator(schema_of(tool)).validate(filled)  # pyright: ignore[reportUnknownMemberType]
    await tools(tool, **filled)


async def test_null_and_left_out_are_the_same_call_for_a_request_id(tools: Tools) -> None:
    first = await tools("thread_start", name="once", request_id="r", cwd=None, ephemeral=None)
    again = await tools("thread_start", name="once", request_id="r", model=None)
    assert again["thread"]["id"] == first["thread"]["id"]


async def test_null_within_git_info_clears_the_field(tools: Tools) -> None:
    thread_id = await tools.written()
    await tools("thread_update", thread_id=thread_id, git_info={"branch": "main", "sha": "abc"})
    await tools("thread_update", thread_id=thread_id, git_info={"branch": None})
    git = (await tools("thread_read", thread_id=thread_id))["thread"]["git_info"]
    assert (git["sha"], git["branch"]) == ("abc", None)


async def test_null_for_a_required_argument_is_refused_by_name(tools: Tools) -> None:
    with pytest.raises(Refused, match=r"thread_id: .* \(given null\)"):
        await tools("thread_read", thread_id=None)


# tool, arguments beside those it needs, what the sentence says
UNKNOWN: list[tuple[str, Json, str]] = [
    ("thread_archive", {"dryRun": True}, "unknown 'dryRun'; did you mean dry_run?"),
    ("thread_list", {"search-term": "x"}, "unknown 'search-term'; did you mean search_term?"),
    ("thread_list", {"source_kind": ["cli"]}, "unknown 'source_kind'; did you mean source_kinds?"),
    ("thread_read", {"includeTurns": True}, "unknown 'includeTurns'; did you mean include_turns?"),
    ("thread_list", {"colour": "red"}, "unknown 'colour'; known are archived, search_term, cwd"),
    ("thread_archive", {"consent": {"confirm": True}}, "unknown 'consent'; known are"),
    (
        "thread_update",
        {"git_info": {"originUrl": "x"}},
        "unknown 'git_info.originUrl'; did you mean origin_url",
    ),
    (
        "turn_append",
        {"items": [{"type": "toolCall", "callId": "c", "call_id": "c", "name": "n"}]},
        "unknown 'items[0].callId'; did you mean call_id?",
    ),
    (
        "turn_start",
        {"input": [{"type": "text", "txt": "x"}]},
        "unknown 'input[0].txt'; did you mean text?",
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "says"), UNKNOWN)
async def test_an_unknown_argument_is_refused_with_the_nearest_name_and_nothing_is_done(
    home: Path, tools: Tools, tool: str, arguments: Json, says: str
) -> None:
    least = await sensible(tools, tool)
    before = {path: path.read_bytes() for path in rollouts(home)}
    with pytest.raises(Refused) as refused:
        await tools(tool, **(least | arguments))
    assert refused.value.code == "invalid_argument"
    assert says in refused.value.sentence
    assert {path: path.read_bytes() for path in rollouts(home)} == before


def test_no_enum_holds_anything_but_texts() -> None:
    for tool in TOOLS:
        for name, field in fields(tool["inputSchema"]):
            for words in enums(field):
                assert all(isinstance(word, str) for word in words), f"{tool['name']}.{name}"


# tool, parameter, a value as an answer prints it or as others write it, what it is taken for
SPELLINGS: list[tuple[str, Json, Json]] = [
    ("thread_start", {"sandbox": "readOnly"}, {"sandbox": {"type": "readOnly", "networkAccess": False}}),
    ("thread_start", {"sandbox": "dangerFullAccess"}, {"sandbox": {"type": "dangerFullAccess"}}),
    ("thread_start", {"sandbox": "DANGER_FULL_ACCESS"}, {"sandbox": {"type": "dangerFullAccess"}}),
    ("thread_start", {"approval_policy": "onRequest"}, {"approval_policy": "on-request"}),
    ("thread_start", {"reasoning_effort": "XHigh"}, {"reasoning_effort": "xhigh"}),
    ("thread_start", {"reasoning_effort": "ultra"}, {"reasoning_effort": "ultra"}),
    ("thread_list", {"sort_key": "updatedAt", "sort_direction": "ASC", "source_kinds": ["app_server", "subagent"]}, {}),
]


@pytest.mark.parametrize(("tool", "arguments", "answered"), SPELLINGS)
async def test_a_word_is_taken_in_any_case(tools: Tools, tool: str, arguments: Json, answered: Json) -> None:
    answer = await tools(tool, **arguments)
    assert {name: answer[name] for name in answered} == answered


def test_every_word_of_every_schema_is_taken_in_camel_case_and_in_kebab_case(tmp_path: Path) -> None:
    """camelCase as answers print Codex's values, kebab-case as its settings have them."""
    server = build_server(Config.load(tmp_path / "home"))
    for tool in TOOLS:
        for name, part in tool["inputSchema"]["properties"].items():
            for word in (word for words in enums(part) for word in words):
                for spelling in (camel(word), word.replace("_", "-"), word.upper()):
                    given, wanted = ([spelling], [word]) if "array" in part.get("type", ()) else (spelling, word)
                    assert server.check_of(tool["name"]).pre_parse_json({name: given}) == {name: wanted}, name


async def test_types_of_items_are_taken_in_any_case(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input=[{"type": "Text", "text": "hello"}])
    items = [
        {"type": "agent_message", "text": "hi"},
        {"type": "tool_call", "call_id": "c", "name": "ls"},
        {"type": "TOOL_OUTPUT", "call_id": "c", "output": "a"},
    ]
    await tools("turn_append", thread_id=thread_id, items=items)
    read = await tools("thread_items", thread_id=thread_id)
    assert [entry["item"]["type"] for entry in read["data"]] == ["userMessage", "agentMessage", "dynamicToolCall"]


@pytest.mark.parametrize("text", ['{"ok": true}', "[1, 2]", "null", '"quoted"', "12", "true"])
async def test_text_that_looks_like_json_stays_text(tools: Tools, text: str) -> None:
    thread_id = await tools.start(name=text)
    await tools("turn_start", thread_id=thread_id, input=text)
    await tools("turn_complete", thread_id=thread_id, message=text)
    read = await tools("thread_read", thread_id=thread_id, include_turns=True, items_view="full")
    question, answer = read["turns"][0]["items"]
    assert (read["thread"]["name"], question["content"][0]["text"], answer["text"]) == (text, text, text)


async def test_lists_and_objects_may_come_as_their_json(tools: Tools) -> None:
    thread_id = await tools.start()
    await tools("turn_start", thread_id=thread_id, input="hello")
    await tools("turn_append", thread_id=thread_id, items='[{"type": "agentMessage", "text": "hi"}]')
    await tools("turn_complete", thread_id=thread_id)
    named = await tools("thread_update", thread_id=thread_id, git_info='{"branch": "main"}')
    assert named["thread"]["branch"] == "main"
    assert await tools.listed(source_kinds='["appServer"]') == [thread_id]


@pytest.mark.parametrize("limit", [0, -1, 101, 1_000_000])
async def test_a_limit_out_of_range_is_refused_with_its_bounds(tools: Tools, limit: int) -> None:
    limited = [tool for tool in NAMES if "limit" in schema_of(tool)["properties"]]
    assert len(limited) == 9
    for tool in limited:
        least = await sensible(tools, tool)
        with pytest.raises(Refused, match=rf"limit: .*(1|100) \(given {limit}\)"):
            await tools(tool, **least, limit=limit)


async def test_a_bad_argument_is_told_by_its_name_alone(tools: Tools) -> None:
    with pytest.raises(Refused, match=r"for thread_list: cwd: Input should be a valid string \(given 5\); cwd: "):
        await tools("thread_list", cwd=5)
    thread_id = await tools.written()
    with pytest.raises(Refused, match=r"items\[0\]\.call_id: Field required"):
        await tools("turn_append", thread_id=thread_id, items=[{"type": "toolCall", "name": "ls"}])


SURROGATES: list[tuple[str, Json, str]] = [
    ("thread_start", {"model": "x\ud800"}, "model"),
    ("thread_start", {"agent_nickname": "x\ud800"}, "agent_nickname"),
    ("thread_list", {"model_providers": ["a", "x\ud800"]}, r"model_providers\[1\]"),
    ("thread_update", {"git_info": {"branch": "x\ud800"}}, r"git_info\.branch"),
    ("turn_append", {"items": [{"type": "toolCall", "call_id": "c", "name": "x\ud800"}]}, r"items\[0\]\.name"),
    (
        "turn_append",
        {"items": [{"type": "toolCall", "call_id": "c", "name": "n", "arguments": {"a": "x\ud800"}}]},
        r"items\[0\]\.arguments\.a",
    ),
]


@pytest.mark.parametrize(("tool", "arguments", "name"), SURROGATES)
async def test_a_lone_surrogate_anywhere_is_refused_by_the_name_of_its_argument(
    tools: Tools, tool: str, arguments: Json, name: str
) -> None:
    least = await sensible(tools, tool)
    with pytest.raises(Refused, match=rf"invalid {name} .*lone surrogate at character \d; send valid Unicode"):
        await tools(tool, **(least | arguments))


# ---------------------------------------------------------------------------------------------- helpers


def camel(word: str) -> str:
    first, *rest = word.replace("-", "_").split("_")
    return first + "".join(part.title() for part in rest)


def objects(schema: Any) -> Iterator[Json]:
    """The parts of a schema that name properties."""
    if isinstance(schema, list):
        for part in schema:  # pyright: ignore[reportUnknownVariableType]
            yield from objects(part)
    elif isinstance(schema, dict):
        if "properties" in schema:
            yield schema  # pyright: ignore[reportUnknownVariableType]
        for part in schema.values():  # pyright: ignore[reportUnknownVariableType]
            yield from objects(part)


def enums(schema: Any) -> Iterator[list[Any]]:
    if isinstance(schema, list):
        for part in schema:  # pyright: ignore[reportUnknownVariableType]
            yield from enums(part)
    elif isinstance(schema, dict):
        for key, part in schema.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "enum":
                yield part
            else:
                yield from enums(part)
