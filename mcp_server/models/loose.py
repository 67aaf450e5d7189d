"""Values of JSON that may be of any type: one of the wrong type counts as missing."""

from __future__ import annotations

from typing import Any, cast

from mcp_server.models.number import is_int64

Json = dict[str, Any]


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def int_of(value: Any) -> int | None:
    """Numbers of more than 64 bits are damage, and count as missing too."""
    return value if isinstance(value, int) and not isinstance(value, bool) and is_int64(value) else None


def dict_of(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
