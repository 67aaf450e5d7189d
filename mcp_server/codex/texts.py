"""What of an item is searched in."""

from __future__ import annotations

from typing import Any

from mcp_server.codex.binary import without_base64
from mcp_server.models.turn import Item

_SAID = frozenset({"userMessage", "agentMessage", "plan"})
_TOOLS = frozenset({"dynamicToolCall", "commandExecution", "mcpToolCall", "fileChange", "webSearch"})


def searchable(item: Item) -> tuple[list[str], bool]:
    """The texts of an item, and whether tools said them. Reasoning is not searched in, nor what is no text."""
    if item.type == "userMessage":
        parts = item.get("content", [])
        return _plain([part.get("text") for part in parts if isinstance(part, dict)]), False  # pyright: ignore[reportUnknownMemberType]
    if item.type in _SAID:
        return _plain(item.get("text")), False
    return (texts_of(item.fields), True) if item.type in _TOOLS else ([], False)


def _plain(said: Any) -> list[str]:
    """What was said, without base64; what tools said has none (`calls`, `items`)."""
    return texts_of(without_base64(said))


def texts_of(value: Any) -> list[str]:
    """All texts inside a value, depth first."""
    match value:
        case str():
            return [value]
        case list():
            return [text for part in value for text in texts_of(part)]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return [text for part in value.values() for text in texts_of(part)]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return []
