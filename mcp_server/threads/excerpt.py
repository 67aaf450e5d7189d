"""Windows into long texts: what is cut is said, with its full length."""

from __future__ import annotations

from typing import Any

from mcp_server.models.turn import Item


def cut(item: Item, offset: int, max_chars: int) -> tuple[Item, dict[str, int]]:
    """The item with every text windowed to `[offset, offset + max_chars)` characters, and the full lengths of those
    that did not fit, by field (`content.0.text` for nested ones). Short texts stay whole whatever the offset."""
    truncated: dict[str, int] = {}
    shown = {name: _window(value, name, offset, max_chars, truncated) for name, value in item.model_dump().items()}
    return Item(**shown), truncated


def texts_of(value: Any) -> list[str]:
    """All texts inside a value, depth first: what a search looks at."""
    match value:
        case str():
            return [value]
        case list():
            return [text for part in value for text in texts_of(part)]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return [text for part in value.values() for text in texts_of(part)]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return []


def _window(value: Any, field: str, offset: int, max_chars: int, truncated: dict[str, int]) -> Any:
    match value:
        case str() if len(value) > max_chars:
            truncated[field] = len(value)
            return value[offset : offset + max_chars]
        case list():
            return [_window(part, f"{field}.{n}", offset, max_chars, truncated) for n, part in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case dict():
            return {k: _window(v, f"{field}.{k}", offset, max_chars, truncated) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
