"""Answers as tests read them: held against what the tool list and the budget promise, and with their defaults again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from mcp_types import CallToolResult, TextContent
from msgspec import NODEFAULT, UNSET, inspect

from mcp_server.codex.lines import decoded_or_text
from mcp_server.config import Config
from mcp_server.handlers.arguments import Arguments
from mcp_server.handlers.faces import BUDGET_TOKENS, CHARS_PER_TOKEN, Format
from mcp_server.handlers.plain_text import text_of
from mcp_server.models.results import EventRow
from mcp_server.models.thread import Thread, ThreadRow, ThreadStatus
from mcp_server.models.turn import Item
from mcp_server.models.value import Json, Value, plain
from mcp_server.server import build_server

TOOLS = Path(__file__).parent / "house" / "tools.json"


def check_answer(tool: str, answer: Any) -> None:
    """Raise AssertionError where the answer of a tool is not what its schema describes, or says what is empty."""
    errors = _validator(tool).iter_errors(answer)  # pyright: ignore[reportUnknownMemberType]
    wrong = [f"{error.json_path}: {error.message}" for error in errors]
    assert not wrong, f"{tool}: {wrong[:5]}"
    empty = [path for path, value in leaves(answer) if value is None or value in ("", [], {})]
    assert not empty, f"{tool}: {empty} say nothing"


def check_faces(tool: str, result: CallToolResult, form: Format) -> Json:
    """The structure of an answer, once both faces carry the same facts within the budget."""
    structure: Json = dict(result.structured_content or {})
    check_answer(tool, structure)
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    assert text == text_of(structure), f"{tool}: the two faces differ"
    for size in (len(text), len(json.dumps(structure, ensure_ascii=False, separators=(",", ":")))):
        assert size <= BUDGET_TOKENS[form] * CHARS_PER_TOKEN, f"{tool}: {size} characters in a {form} answer"
    return structure


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All values that hold no others, with their paths."""
    if isinstance(value, dict) and value:
        for name, part in cast("Json", value).items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for n, part in enumerate(cast("list[Any]", value)):
            yield from leaves(part, f"{path}[{n}]")
    else:
        yield path, value


@cache
def _validator(tool: str) -> Draft202012Validator:
    (schema,) = (one["outputSchema"] for one in json.loads(TOOLS.read_text(encoding="utf-8")) if one["name"] == tool)
    return Draft202012Validator(schema)


# ---------------------------------------------------------------------------------------------- with defaults again


@cache
def _tools() -> dict[str, tuple[type[Value], bool]]:
    """The model of each tool's answers, and whether it takes a response_format."""
    made = build_server(Config.load(Path("/nowhere"), state=False))
    found: dict[str, tuple[type[Value], bool]] = {}
    for tool in made._tool_manager.list_tools():  # pyright: ignore[reportPrivateUsage]
        check = tool.fn_metadata
        assert isinstance(check, Arguments)
        found[tool.name] = check.result, "response_format" in tool.parameters["properties"]
    return found


def takes_format(tool: str) -> bool:
    return tool in _tools() and _tools()[tool][1]


def whole(tool: str, answer: Json) -> Json:
    """The answer with all that it leaves out: defaults, whole ids, times as numbers."""
    return cast("Json", _filled(inspect.type_info(_tools()[tool][0]), _whole_ids(answer)))


def _whole_ids(answer: Any) -> Any:
    ids = {
        value for _, value in leaves(answer) if isinstance(value, str) and len(value) == 36 and value.count("-") == 4
    }

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: restored(part) for name, part in cast("Json", value).items()}
        if isinstance(value, list):
            return [restored(part) for part in cast("list[Any]", value)]
        if isinstance(value, str) and 13 <= len(value) < 36:
            meant = [one for one in ids if one.startswith(value)]
            return meant[0] if len(meant) == 1 else value
        return value

    return restored(answer)


def _filled(kind: inspect.Type, value: Any) -> Any:
    match kind:
        case inspect.Metadata():
            extra = cast("Json", kind.extra or {})  # pyright: ignore[reportUnknownMemberType]
            return _seconds(value) if "time" in extra else _filled(kind.type, value)
        case inspect.UnionType():
            structs = [one for one in kind.types if isinstance(one, inspect.StructType | inspect.ListType)]
            return _filled(structs[0], value) if structs and value is not None else value
        case inspect.ListType():
            return [_filled(kind.item_type, one) for one in value]
        case inspect.StructType():
            return _filled_struct(kind, value)
        case inspect.CustomType() if kind.cls is Item:
            return _filled_item(value)
        case _:
            return value


def _filled_struct(kind: inspect.StructType, value: Any) -> Json:
    if kind.cls is ThreadStatus:
        return {"type": value, "active_flags": []} if value == "active" else {"type": value or "notLoaded"}
    if kind.cls is Thread and "worked_at" in value:
        return _filled_struct(cast("inspect.StructType", inspect.type_info(ThreadRow)), value)
    if kind.cls is Thread:
        value = {"session_id": value["id"], **value}
    out: Json = {}
    for field in kind.fields:
        if _is_internal(field.type):
            continue
        if field.name in value:
            out[field.name] = _filled(field.type, value[field.name])
        elif (default := _default(field)) is not UNSET:
            out[field.name] = default
    if kind.cls is EventRow:
        out["payload"] = {"thread_id": out["thread_id"], **out["payload"]}
        out["payload"] = {name: _filled_turn(part) if name == "turn" else part for name, part in out["payload"].items()}
    return {**{name: part for name, part in value.items() if name not in out}, **out}


def _is_internal(kind: inspect.Type) -> bool:
    if not isinstance(kind, inspect.Metadata):
        return False
    extra = cast("Json", kind.extra or {})  # pyright: ignore[reportUnknownMemberType]
    return extra.get("shown") == "never"


def _filled_turn(turn: Any) -> Any:
    return {name: _seconds(part) if name in ("started_at", "completed_at") else part for name, part in turn.items()}


def _default(field: inspect.Field) -> Any:
    if field.default is not NODEFAULT:
        return plain(field.default) if isinstance(field.default, Value) else field.default
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    if not field.required:
        return UNSET
    kind = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    empty: dict[type[inspect.Type], Any] = {inspect.StrType: "", inspect.ListType: [], inspect.DictType: {}}
    if type(kind) is inspect.StructType:
        return _filled_struct(kind, {})
    return empty.get(type(kind))


def _filled_item(item: Json) -> Json:
    out: Json = {}
    for name, part in item.items():
        if name in ("started_at", "completed_at"):
            out[f"{name}_ms"] = round(datetime.fromisoformat(part).timestamp() * 1000)
        elif name == "arguments" and isinstance(part, str) and "arguments" not in item.get("truncated", {}):
            out[name] = decoded_or_text(part)
        else:
            out[name] = part
    return out


def _seconds(value: Any) -> Any:
    return int(datetime.fromisoformat(value).timestamp()) if isinstance(value, str) else value
