"""What the values that clients see have in common."""

from __future__ import annotations

from typing import Any, dataclass_transform

import msgspec

Json = dict[str, Any]
"""An object of JSON as it was decoded."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Values(msgspec.StructMeta):
    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options = {"frozen": True, "kw_only": True, **options}
        return super().__new__(mcls, name, bases, namespace, **options)


class Value(msgspec.Struct, metaclass=_Values):
    """Frozen, and built by field name. What a field holds is checked by the types alone."""


def about(text: str) -> msgspec.Meta:
    """What a field is, for who reads the schema."""
    return msgspec.Meta(description=text)


def plain(value: Value) -> dict[str, Any]:
    """The value as JSON has it: dicts, lists and what is simple. They are copies."""
    return msgspec.to_builtins(value)


def as_json(value: Value) -> str:
    """The value as a text."""
    return msgspec.json.encode(value).decode()
