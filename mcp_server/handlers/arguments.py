"""Normalises the arguments that clients send, and names those that don't fit.

Three spellings mean the same as the tool's own: null for an optional argument means that it is left out, since clients
in strict mode fill in every parameter; a word may come in another case (`readOnly`, `read_only`), since answers print
Codex's camelCase; a list or an object may come as JSON text. Everything else is refused, never dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails

from mcp_server.errors import InvalidArgument
from mcp_server.handlers.errors import MAX_ERROR_CHARS, failure, folded_name, some, suggestion, with_code
from mcp_server.threads.catalog import checked_text

Schema = Mapping[str, Any]
_SHOWN, _SHOWN_PATH = 30, 40
_WORDS = re.compile(r"'([^']*)'")
_ANYTHING: Schema = {}


class Arguments(FuncMetadata):
    """The SDK's check of a tool's arguments; it also refuses unknown ones. `input_schema` is the full input schema,
    `result` the model of the tool's answers."""

    input_schema: dict[str, Any]
    result: Any = None

    @classmethod
    def of(cls, checked: FuncMetadata, input_schema: dict[str, Any]) -> Arguments:
        model = create_model(checked.arg_model.__name__, __base__=checked.arg_model, __cls_kwargs__={"extra": "forbid"})
        return cls(arg_model=model, input_schema=input_schema)

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """The arguments in normal form: calls that mean the same get the same form.

        Raises:
            InvalidArgument: a text with half a character (a lone surrogate), or values nested too deeply.
        """
        _check_unicode(data)
        required = self.input_schema.get("required", ())
        given = {name: value for name, value in data.items() if value is not None or name in required}
        return _normalise(given, self.input_schema, self.input_schema.get("$defs", {}))

    def refusal(self, tool: str, arguments: dict[str, Any], error: ValidationError) -> CallToolResult:
        """The tool error that gives name, value and expectation of each argument that does not fit."""
        normalised, defs = self.pre_parse_json(arguments), self.input_schema.get("$defs", {})
        found = [
            (*_locate(one["loc"], normalised, self.input_schema, defs), one) for one in error.errors(include_url=False)
        ]
        parts: list[str] = []
        for path, known, one in found:
            if any(path == other[: len(path)] and path != other for other, _, _ in found):
                continue  # a deeper error says more about the same alternative
            if one["type"] == "extra_forbidden":
                parts.append(f"unknown '{_path_text(path)}'; {suggestion(str(path[-1]), known)}")
            else:
                given = "" if one["type"] == "missing" else f" (given {_shown(one['input'])})"
                parts.append(f"{_path_text(path) or 'arguments'}: {_expected(one)}{given}")
        return failure("invalid_argument", _in_few_words(tool, list(dict.fromkeys(parts))))


def _in_few_words(tool: str, parts: Sequence[str]) -> str:
    """The sentence with as many of its parts as an error has room for."""
    room = MAX_ERROR_CHARS - len(with_code("invalid_argument", ""))
    for count in range(len(parts), 0, -1):
        more = f"; and {len(parts) - count} more" if count < len(parts) else ""
        told = f"invalid arguments for {tool}: {'; '.join(parts[:count])}{more}"
        for sentence in (f"{told}. See the input schema of {tool} and call again.", told):
            if len(sentence) <= room:
                return sentence
    return f"invalid arguments for {tool}: {parts[0]}"[:room]


def _expected(error: ErrorDetails) -> str:
    """What would fit instead."""
    context = error.get("ctx", {})
    if words := _WORDS.findall(str(context.get("expected_tags", ""))):
        return f"Input should have as {context['discriminator'].strip(chr(39))} one of {some(words)}"
    if error["type"] == "literal_error":
        return f"Input should be one of {some(_WORDS.findall(context['expected']))}"
    return error["msg"].partition(", unable to parse")[0]


def _check_unicode(data: dict[str, Any]) -> None:
    try:
        msgspec.json.encode(data)
    except UnicodeEncodeError:
        for name, text in _texts_in(data, ""):
            checked_text(name, text, blank=True)
        raise
    except RecursionError:
        raise InvalidArgument("arguments", "", "they are nested too deeply", "send what is deep as a text") from None


def _texts_in(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """All texts in a value and its field names, each as (path, text)."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, list):
        for place, one in enumerate(cast("list[Any]", value)):
            yield from _texts_in(one, f"{at}[{place}]")
    elif isinstance(value, dict):
        for name, one in cast("dict[str, Any]", value).items():
            yield f"{at or 'the arguments'}", name
            yield from _texts_in(one, f"{at}.{name}" if at else name)


def _normalise(value: Any, schema: Schema, defs: Schema) -> Any:
    choices = list(_alternatives(schema, defs))
    if isinstance(value, str):
        return _normalise_text(value, schema, choices, defs)
    if isinstance(value, list):
        return [_normalise(one, _item_schema(choices), defs) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return _normalise_object(cast("dict[str, Any]", value), schema, choices, defs)
    return value


def _normalise_text(value: str, schema: Schema, choices: list[Schema], defs: Schema) -> Any:
    if any(_allows_text(choice) for choice in choices):
        return value
    words = [word for choice in choices for word in _enum_of(choice)]
    if words:
        return _known_word(value, words)
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    # pydantic itself accepts a number in quotes where a number is wanted.
    return value if isinstance(parsed, str | int | float) else _normalise(parsed, schema, defs)


def _normalise_object(value: dict[str, Any], schema: Schema, choices: list[Schema], defs: Schema) -> dict[str, Any]:
    if "discriminator" in schema:
        tag, kinds = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
        kind = _known_word(value.get(tag), list(kinds))
        if kind not in kinds:
            return value
        value, choices = {**value, tag: kind}, list(_alternatives({"$ref": kinds[kind]}, defs))
    known = _properties(choices)
    required = {name for choice in choices for name in choice.get("required", ())}
    return {
        name: _normalise(part, known[name], defs) if name in known else part
        for name, part in value.items()
        # Keep null where it is a value of its own: in git_info it clears a field.
        if part is not None or name not in known or name in required or _allows_null(known[name], defs)
    }


def _alternatives(schema: Schema, defs: Schema) -> Iterable[Schema]:
    """The alternatives of a schema, with references resolved."""
    if "$ref" in schema:
        yield from _alternatives(defs[schema["$ref"].rpartition("/")[2]], defs)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for one in alternatives:
            yield from _alternatives(one, defs)
    else:
        yield schema


def _item_schema(choices: Iterable[Schema]) -> Schema:
    return next((choice["items"] for choice in choices if "items" in choice), _ANYTHING)


def _properties(choices: Iterable[Schema]) -> Mapping[str, Schema]:
    return next((choice["properties"] for choice in choices if "properties" in choice), _ANYTHING)


def _allows_text(choice: Schema) -> bool:
    return choice.get("type", "string") == "string" and not _enum_of(choice)


def _allows_null(schema: Schema, defs: Schema) -> bool:
    return any(choice.get("type", "null") == "null" for choice in _alternatives(schema, defs))


def _enum_of(choice: Schema) -> list[str]:
    return [choice["const"]] if "const" in choice else choice.get("enum", [])


def _known_word(value: Any, words: Sequence[str]) -> Any:
    """The known word that equals the value in any case, else the value itself."""
    if not isinstance(value, str) or value in words:
        return value
    return next((word for word in words if folded_name(word) == folded_name(value)), value)


def _locate(
    loc: Sequence[str | int], value: Any, schema: Schema, defs: Schema
) -> tuple[list[str | int], Sequence[str]]:
    """The path of an error in the arguments, and the field names allowed there. pydantic's `loc` also names the
    alternative it tried; the path leaves that out."""
    path: list[str | int] = []
    known: Sequence[str] = ()
    for place, step in enumerate(loc):
        if "discriminator" in schema:
            kinds = schema["discriminator"]["mapping"]
            schema = {"$ref": kinds[step]} if step in kinds else _ANYTHING
            continue
        choices = list(_alternatives(schema, defs))
        if isinstance(value, list) and isinstance(step, int):
            value, schema = cast("list[Any]", value)[step], _item_schema(choices)
        elif isinstance(value, dict) and (step in value or place == len(loc) - 1):
            known = list(_properties(choices))
            value, schema = cast("dict[Any, Any]", value).get(step), _properties(choices).get(str(step), _ANYTHING)
        else:
            continue
        path.append(step)
    return path, known


def _path_text(path: Sequence[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return _cut(text, _SHOWN_PATH)


def _shown(value: Any) -> str:
    try:
        return _cut(json.dumps(value), _SHOWN)
    except (TypeError, ValueError, RecursionError):
        return _cut(ascii(value), _SHOWN)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}…"
