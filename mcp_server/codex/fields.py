"""Reads fields of JSON that other programs wrote. A value of another type than the one asked for counts as missing.

`path` names the fields that lead to the value, one inside the other. Without a path it is the value itself.
"""

from __future__ import annotations

from typing import Any

from mcp_server.models.number import is_int64
from mcp_server.models.value import Json


def text_of(value: Any, *path: str) -> str | None:
    found = value_at(value, path) if path else value
    return found if isinstance(found, str) else None


def int_of(value: Any, *path: str) -> int | None:
    """An integer of at most 64 bits; a longer one is damage."""
    found = value_at(value, path) if path else value
    return found if isinstance(found, int) and not isinstance(found, bool) and is_int64(found) else None


def mapping_of(value: Any, *path: str) -> Json:
    found = value_at(value, path) if path else value
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def list_of(value: Any, *path: str) -> list[Any]:
    found = value_at(value, path) if path else value
    return found if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]


def mappings_of(value: Any, *path: str) -> list[Json]:
    """The members of a list that are objects."""
    return [member for member in list_of(value, *path) if isinstance(member, dict)]


def texts_of(value: Any, *path: str) -> list[str]:
    """The members of a list that are texts."""
    return [member for member in list_of(value, *path) if isinstance(member, str)]


def part_texts(value: Any, *path: str) -> list[str]:
    """What the parts of a message, or of an output, say: the `text` of each member of a list that has one."""
    return [text for part in list_of(value, *path) if (text := text_of(part, "text"))]


def value_at(value: Any, path: tuple[str, ...]) -> Any:
    """The value of any type; None if it is missing."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]
