"""Arguments as clients send them: brought into the form that a tool checks, and, where they don't fit, told by name.

What means the same is taken: null for an optional argument is one left out, since clients in strict mode fill in every
parameter; a word in another case (`readOnly`, `read_only`) is the one that the tool knows, since answers print Codex's
camelCase; a list or an object may come as its JSON. All else is refused, never dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult
from pydantic import ValidationError, create_model

from mcp_server.handlers.errors import failure, folded_name, suggestion

Schema = Mapping[str, Any]
_SHOWN = 80
_ANYTHING: Schema = {}
_OPEN: Schema = {"properties": {}}  # of an object that is not described


class Arguments(FuncMetadata):
    """The SDK's check of a tool's arguments, which refuses unknown ones. `whole` is the schema of all that it takes."""

    whole: dict[str, Any]

    @classmethod
    def of(cls, checked: FuncMetadata) -> Arguments:
        model = create_model(checked.arg_model.__name__, __base__=checked.arg_model, __cls_kwargs__={"extra": "forbid"})
        return cls(arg_model=model, whole=model.model_json_schema(by_alias=True))

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """The arguments in the form that is checked. It is that of every call that means the same."""
        required = self.whole.get("required", ())
        given = {name: value for name, value in data.items() if value is not None or name in required}
        return _settled(given, self.whole, self.whole.get("$defs", {}))

    def refusal(self, tool: str, arguments: dict[str, Any], error: ValidationError) -> CallToolResult:
        """Each argument that does not fit, with its name, its value and what is expected."""
        settled = self.pre_parse_json(arguments)
        parts: list[str] = []
        for one in error.errors(include_url=False):
            path = _path(one["loc"], settled)
            if one["type"] == "extra_forbidden":
                parts.append(f"unknown '{_written(path)}'; {suggestion(str(path[-1]), self._names(path[:-1]))}")
            else:
                given = "" if one["type"] == "missing" else f" (given {_shown(one['input'])})"
                parts.append(f"{_written(path) or 'arguments'}: {one['msg']}{given}")
        told = "; ".join(dict.fromkeys(parts))
        sentence = f"invalid arguments for {tool}: {told}. See the input schema of {tool} and call again."
        return failure("invalid_argument", sentence)

    def _names(self, path: Sequence[str | int]) -> list[str]:
        """The names that an object takes which stands there."""
        defs = self.whole.get("$defs", {})
        found: list[Schema] = [self.whole]
        for step in path:
            choices = [choice for schema in found for choice in _choices(schema, defs)]
            if isinstance(step, int):
                found = [choice["items"] for choice in choices if "items" in choice]
            else:
                found = [choice["properties"][step] for choice in choices if step in choice.get("properties", {})]
        return list(
            dict.fromkeys(
                name for schema in found for choice in _choices(schema, defs) for name in choice.get("properties", {})
            )
        )


def _settled(value: Any, schema: Schema, defs: Schema) -> Any:
    choices = list(_choices(schema, defs))
    if isinstance(value, str):
        return _settled_text(value, schema, choices, defs)
    if isinstance(value, list):
        rows = next((choice["items"] for choice in choices if "items" in choice), _ANYTHING)
        return [_settled(one, rows, defs) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return _settled_object(cast("dict[str, Any]", value), schema, choices, defs)
    return value


def _settled_text(value: str, schema: Schema, choices: list[Schema], defs: Schema) -> Any:
    if any(_takes_text(choice) for choice in choices):
        return value
    words = [word for choice in choices for word in _words(choice)]
    if words:
        return _spelled(value, words)
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    # A number in quotes is left to the check, which takes it where a number is wanted.
    return value if isinstance(parsed, str | int | float) else _settled(parsed, schema, defs)


def _settled_object(value: dict[str, Any], schema: Schema, choices: list[Schema], defs: Schema) -> dict[str, Any]:
    if "discriminator" in schema:
        tag, kinds = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
        kind = _spelled(value.get(tag), list(kinds))
        if kind not in kinds:
            return value
        value, choices = {**value, tag: kind}, list(_choices({"$ref": kinds[kind]}, defs))
    shape = next((choice for choice in choices if "properties" in choice), _OPEN)
    known, required = shape["properties"], shape.get("required", ())
    return {
        name: _settled(part, known[name], defs) if name in known else part
        for name, part in value.items()
        # Where null is a value of its own (git_info: it clears a field), it stays.
        if part is not None or name not in known or name in required or _takes_null(known[name], defs)
    }


def _choices(schema: Schema, defs: Schema) -> Iterable[Schema]:
    """What a value may be, without references and alternatives."""
    if "$ref" in schema:
        yield from _choices(defs[schema["$ref"].rpartition("/")[2]], defs)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for one in alternatives:
            yield from _choices(one, defs)
    else:
        yield schema


def _takes_text(choice: Schema) -> bool:
    return choice.get("type", "string") == "string" and not _words(choice)


def _takes_null(schema: Schema, defs: Schema) -> bool:
    return any(choice.get("type", "null") == "null" for choice in _choices(schema, defs))


def _words(choice: Schema) -> list[str]:
    return [choice["const"]] if "const" in choice else choice.get("enum", [])


def _spelled(value: Any, words: Sequence[str]) -> Any:
    """The known word that a value is, in whatever case; else the value."""
    if not isinstance(value, str) or value in words:
        return value
    return next((word for word in words if folded_name(word) == folded_name(value)), value)


def _path(loc: tuple[str | int, ...], arguments: dict[str, Any]) -> list[str | int]:
    """Where an error is, by the names in the arguments alone: pydantic also tells which alternative it tried."""
    path: list[str | int] = []
    at: Any = arguments
    for step in loc:
        if (isinstance(at, dict) and step in at) or (isinstance(at, list) and isinstance(step, int)):
            at = cast("Any", at)[step]
            path.append(step)
        elif step == loc[-1] and isinstance(at, dict):  # missing
            path.append(step)
    return path


def _written(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _shown(value: Any) -> str:
    try:
        return json.dumps(value)[:_SHOWN]
    except (TypeError, ValueError, RecursionError):
        return ascii(value)[:_SHOWN]
