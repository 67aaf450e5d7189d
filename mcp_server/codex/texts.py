"""The texts of an item that a search looks through."""

from __future__ import annotations

from typing import Any

from mcp_server.codex.binary import without_base64
from mcp_server.codex.fields import list_of, value_at
from mcp_server.models.turn import Item

_SAID = frozenset({"userMessage", "agentMessage", "plan"})
_TOOLS = frozenset({"dynamicToolCall", "commandExecution", "mcpToolCall", "fileChange", "webSearch"})


def searchable(item: Item) -> tuple[list[str], bool]:
    """The texts of an item, and whether they are of a tool. Reasoning is not searched."""
    if item.type == "userMessage":
        return _without_base64([value_at(part, ("text",)) for part in list_of(item, "content")]), False
    if item.type in _SAID:
        return _without_base64(item.get("text")), False
    # Items of tools have no base64 left (`calls`, `items`).
    if item.type in _TOOLS:
        return all_texts({name: value for name, value in item.fields.items() if name != "status"}), True
    return [], False


def _without_base64(said: Any) -> list[str]:
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
