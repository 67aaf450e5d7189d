"""The base of all values that clients see."""

from __future__ import annotations

from typing import Any, dataclass_transform

import msgspec

Json = dict[str, Any]
"""A decoded JSON object."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Values(msgspec.StructMeta):
    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options = {"frozen": True, "kw_only": True, **options}
        return super().__new__(mcls, name, bases, namespace, **options)


class Value(msgspec.Struct, metaclass=_Values):
    """A frozen struct that is built by field names. Only the type checker checks its fields."""


def about(text: str) -> msgspec.Meta:
    """The description of a field, for readers of the schema."""
    return msgspec.Meta(description=text)


SECONDS = msgspec.Meta(extra={"time": "seconds"})
"""Marks a field that is a Unix time in seconds. Answers show it as an ISO time."""

DETAIL = msgspec.Meta(extra={"shown": "detailed"})
"""Marks a field that only detailed answers show."""

INTERNAL = msgspec.Meta(extra={"shown": "never"})
"""Marks a field that no answer shows."""


def plain(value: Value) -> dict[str, Any]:
    """The value as plain dicts and lists, which are copies."""
    return msgspec.to_builtins(value)


def as_json(value: Value) -> str:
    """The value as a JSON text."""
    return msgspec.json.encode(value).decode()
