"""Tools as clients see them: their annotations, and input and output schemas made as small as possible."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from mcp_server.handlers import faces
from mcp_server.handlers.arguments import Arguments
from mcp_server.handlers.idempotency import MAX_REQUEST_ID, uncancellable
from mcp_server.handlers.output_schema import output_schema
from mcp_server.handlers.search_words import search_hint
from mcp_server.models.thread import SortDirection, SourceKind
from mcp_server.models.value import Value

ToolFunction = Callable[..., Awaitable[CallToolResult]]

PUBLISHED = "published"
"""The key in a parameter's extra schema whose value is published instead of the schema that is checked."""


def published(description: str, *types: str, **more: Any) -> Any:
    """A field whose published schema is shorter than the one that is checked: its types alone. Of the words that it
    takes, the description has the default first."""
    return Field(
        description=description,
        json_schema_extra={PUBLISHED: {"type": types[0] if len(types) == 1 else list(types), **more}},
    )


ThreadRef = Annotated[str, Field(description="Id or name")]
Cursor = Annotated[str | None, Field(description="A next_cursor")]
Limit = Annotated[int, Field(ge=1, le=100), published("Up to 100", "integer")]
Format = Annotated[faces.Format, published("concise or detailed", "string")]
Direction = Annotated[SortDirection, published("desc or asc", "string")]
RequestId = Annotated[str | None, Field(max_length=MAX_REQUEST_ID), published("Repeats safely", "string")]
AttachedTo = Annotated[str | None, Field(description="Attached to it")]
WithAttached = Annotated[bool, Field(description="Attached ones too")]
ThreadIds = Annotated[list[str] | None, Field(description="At most 100")]
CallerThread = Annotated[str | None, Field(description="Your own thread")]
Since = Annotated[str | None, Field(description="Date, time, today, yesterday or 7d")]
Until = Annotated[str | None, Field(description="As since")]
Folders = Annotated[str | list[str] | None, Field(description="In or below: path, ~ or bare name")]
Tags = Annotated[list[str] | None, Field(description="With all these tags")]
Providers = Annotated[list[str] | None, Field(description="Of these")]
Sources = Annotated[
    list[SourceKind] | None,
    published("cli, vscode, exec, appServer, subAgent, unknown", "array", items={"type": "string"}),
]
DryRun = Annotated[bool, Field(description="Change nothing")]
Interrupt = Annotated[bool, Field(description="Interrupt running turns")]


class ArgumentObject(BaseModel):
    """Base of objects among the arguments. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Hints:
    """The four hints of a tool."""

    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False

    def annotations(self) -> ToolAnnotations:
        return ToolAnnotations(
            read_only_hint=self.read_only,
            destructive_hint=self.destructive,
            idempotent_hint=self.idempotent,
            open_world_hint=self.open_world,
        )


READS = Hints(read_only=True, idempotent=True)
ADDS = Hints()
SETS = Hints(idempotent=True)
DESTROYS = Hints(destructive=True, idempotent=True)


FOUND_FIRST = {"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": 60_000}
"""The `_meta` of the tools that a session begins with: Claude Code shows them at once and takes their answers whole."""


def tool(fn: ToolFunction, title: str, hints: Hints, meta: dict[str, Any] | None = None) -> Tool:
    """Make a tool of a function. Its docstring is the description; its return annotation names the result model."""
    made = Tool.from_function(
        fn if hints.read_only else uncancellable(fn),
        title=title,
        description=" ".join((fn.__doc__ or "").split()),
        annotations=hints.annotations(),
        meta={**(meta or {}), **search_hint(fn.__name__)} or None,
        structured_output=False,  # we return structured content ourselves, so the SDK need not check it
    )
    _, result = get_args(inspect.signature(fn).return_annotation)
    check = Arguments.of(made.fn_metadata, made.parameters)
    check.result, check.output_schema = result, output_schema(result)
    made.fn_metadata, made.parameters = check, slim_input_schema(check.input_schema)
    return made


def slim_input_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The input schema without what a model does not need.

    Every optional parameter allows null: in OpenAI's strict mode a model must fill in all parameters, and null is its
    only way to leave one out. An enum stands beside null in `anyOf`, since Gemini accepts only texts in an enum.
    """
    out = _without_titles(schema)
    required = out.get("required", ())
    parts = {name: _published(part) for name, part in out.get("properties", {}).items()}
    out.pop("additionalProperties", None)  # the check refuses unknown arguments, and names the nearest known one
    out["properties"] = {name: part if name in required else _allow_null(part) for name, part in parts.items()}
    out["$defs"] = {
        name: _optional_allow_null(part) for name, part in out.get("$defs", {}).items() if _is_used(out, name)
    }
    return out if out["$defs"] else {key: value for key, value in out.items() if key != "$defs"}


def _published(part: dict[str, Any]) -> dict[str, Any]:
    """The schema that is published for a parameter. It may differ from the one that is checked."""
    if "items" in part:  # each alternative names its own `type`, so the discriminator says nothing new
        part = {**part, "items": {key: value for key, value in part["items"].items() if key != "discriminator"}}
    shown = {"description": part["description"], **part[PUBLISHED]} if PUBLISHED in part else part
    return {key: value for key, value in shown.items() if key != "default" or value not in (None, False)}


def _allow_null(part: dict[str, Any]) -> dict[str, Any]:
    if "type" in part and "enum" not in part:
        types = part["type"]
        return {**part, "type": [*types, "null"] if isinstance(types, list) else [types, "null"]}
    choices = part.get("anyOf") or [{key: part[key] for key in part if key not in ("description", "default")}]
    about = {key: part[key] for key in ("description", "default") if part.get(key) is not None}
    others = [choice for choice in choices if choice != {"type": "null"}]
    return _merged_types({"anyOf": [*others, {"type": "null"}], **about})


def _optional_allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    properties = {
        name: part if name in required or "anyOf" not in part else _allow_null(part)
        for name, part in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _references(part: Any) -> Iterator[str]:
    """The definitions that a part of a schema refers to."""
    if isinstance(part, list):
        for one in part:  # pyright: ignore[reportUnknownVariableType]
            yield from _references(one)
    elif isinstance(part, dict):
        for key, value in part.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "$ref":
                yield value.rpartition("/")[2]  # pyright: ignore
            else:
                yield from _references(value)


def _is_used(schema: dict[str, Any], name: str) -> bool:
    return name in _references(schema["properties"])


def _merged_types(schema: dict[str, Any]) -> dict[str, Any]:
    """Merge `anyOf` of one detailed schema and plain types into one schema with a list of types."""
    choices = schema.get("anyOf")
    if not choices or not all(isinstance(choice.get("type"), str) for choice in choices):
        return schema
    special = [choice for choice in choices if len(choice) > 1]
    if len(special) > 1 or any({"enum", "const"} & choice.keys() for choice in special):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**(special[0] if special else {}), **rest, "type": [choice["type"] for choice in choices]}


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return _without_titles(value)  # pyright: ignore[reportUnknownArgumentType]
        return [clean(part) for part in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            out[key] = {name: clean(part) for name, part in value.items()}
        elif key == "description":
            out[key] = inspect.cleandoc(value)
        elif not (key == "title" and isinstance(value, str)):
            out[key] = clean(value)
    return out


class _Reply(CallToolResult):
    """A result whose structured content is JSON already. The SDK would copy it twice; this saves one copy."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        name = "structuredContent" if options.get("by_alias") else "structured_content"
        return super().model_dump(exclude={"structured_content"}, **options) | {name: self.structured_content}


def reply(result: Value, response_format: faces.Format = "concise") -> CallToolResult:
    """The answer with both faces of the result."""
    structure, text = faces.faces(result, response_format)
    return _Reply(content=[TextContent(type="text", text=text)], structured_content=structure)
