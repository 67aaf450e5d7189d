"""Output schemas: short, since a client loads all of them at once.

They name the fields and their types, also those of the rows that an answer is about. Nothing is required, since an
answer leaves out what is empty, and nothing is refused, since a detailed answer has more. The instructions describe
what all answers share.
"""

from __future__ import annotations

from functools import cache
from typing import cast

from msgspec import inspect

from mcp_server.models.thread import Thread, ThreadRow, ThreadStatus
from mcp_server.models.value import Json, Value

_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.IntType: "integer",
    inspect.StrType: "string",
    inspect.LiteralType: "string",
    inspect.BoolType: "boolean",
    inspect.FloatType: "number",
    inspect.DictType: "object",
}


_ROWS = frozenset({"data", "turns", "nodes"})


@cache
def output_schema(model: type[Value]) -> Json:
    """The schema of a result's structure."""
    return {"type": "object", "properties": _properties(_struct(model), in_row=False)}


def _struct(model: type[Value]) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(model))


def _properties(struct: inspect.StructType, *, in_row: bool) -> Json:
    made = {field.name: _schema(field.type, in_row=in_row or field.name not in _ROWS) for field in struct.fields}
    return {name: schema for name, schema in made.items() if schema is not None}


def _schema(kind: inspect.Type, *, in_row: bool) -> Json | None:
    """The schema of a type; None of a field that concise answers don't show. What is in a row is not told in full."""
    match kind:
        case inspect.Metadata():
            extra = cast("Json", kind.extra or {})  # pyright: ignore[reportUnknownMemberType]
            if "shown" in extra:
                return None
            return {"type": "string"} if "time" in extra else _schema(kind.type, in_row=in_row)
        case inspect.UnionType():
            parts = [_schema(part, in_row=in_row) for part in kind.types]
            known = [part for part in parts if part]
            return known[0] if len(known) == 1 else {}
        case inspect.ListType():
            rows = {} if in_row else _row(kind.item_type)
            return {"type": "array", "items": rows} if rows else {"type": "array"}
        case inspect.StructType():
            return {"type": "string" if kind.cls is ThreadStatus else "object"}
        case _:
            return {"type": _SIMPLE[type(kind)]} if type(kind) in _SIMPLE else {}


def _row(kind: inspect.Type) -> Json:
    """The schema of a list's rows; empty if they are no objects."""
    if not isinstance(kind, inspect.StructType):
        return {}
    shown = _struct(ThreadRow) if kind.cls is Thread else kind
    return {"type": "object", "properties": _properties(shown, in_row=True)}
