"""What of an item is searched in."""

from __future__ import annotations

from typing import Any

from mcp_server.codex.binary import without_base64
from mcp_server.codex.fields import list_of, value_at
from mcp_server.models.turn import Item

_SAID = frozenset({"userMessage", "agentMessage", "plan"})
_TOOLS = frozenset({"dynamicToolCall", "commandExecution", "mcpToolCall", "fileChange", "webSearch"})


def searchable(item: Item) -> tuple[list[str], bool]:
    """The texts of an item, and whether tools said them. Reasoning is not searched in, nor what is no text."""
    if item.type == "userMessage":
        return _plain([value_at(part, ("text",)) for part in list_of(item, "content")]), False
    if item.type in _SAID:
        return _plain(item.get("text")), False
    return (all_texts(item.fields), True) if item.type in _TOOLS else ([], False)


def _plain(said: Any) -> list[str]:
    """What was said, without base64; what tools said has none (`calls`, `items`)."""
    return all_texts(without_base64(said))


def all_texts(value: Any) -> list[str]:
    """All texts inside a value, depth first."""
    match value:
        case str():
            return [value]
        case list():
            return [text for part in value for text in all_texts(part)]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return [text for part in value.values() for text in all_texts(part)]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return []
