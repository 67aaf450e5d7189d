"""The text face of an answer: the facts of its structure on lines.

A row stands on one line, with what is in its lists below it. Stored text is data: on one line it stands in JSON quotes,
of several lines in a fence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from mcp_server.models.quoting import fenced, word_or_quoted
from mcp_server.models.value import Json


def text_of(tree: Json) -> str:
    """All facts of a structure, in its order."""
    return "\n".join(_lines(tree, "")) or "nothing"


def _lines(tree: Json, indent: str) -> Iterator[str]:
    for name, part in tree.items():
        if _is_rows(part):
            yield f"{indent}{name}:"
            yield from _rows(cast("list[Json]", part), indent)
        elif isinstance(part, dict):
            yield from _row(cast("Json", part), f"{indent}{name}: ", f"{indent}  ")
        else:
            yield from _row({name: part}, indent, indent)


def _rows(rows: list[Any], indent: str) -> Iterator[str]:
    for row in rows:
        if not isinstance(row, dict):
            yield f"{indent}- {_inline(row)}"
            continue
        fields = cast("Json", row)
        deeper = "  " * int(fields.get("depth", 0) if isinstance(fields.get("depth"), int) else 0)
        yield from _row(fields, f"{indent}- {deeper}", f"{indent}  ")


def _row(fields: Json, before: str, indent: str) -> Iterator[str]:
    """The fields on one line, then what needs lines of its own."""
    below: list[tuple[str, Any]] = []
    told: list[str] = []
    for name, part in fields.items():
        if _is_inline(part):
            told.append(f"{word_or_quoted(name)}: {_inline(part)}")
        else:
            below.append((name, part))
    if told or not below:
        yield before + ", ".join(told)
    else:
        yield before.rstrip()
    for name, part in below:
        yield f"{indent}{word_or_quoted(name)}:"
        if isinstance(part, str):
            yield fenced(part)
        elif isinstance(part, dict):
            yield from _row(cast("Json", part), f"{indent}  ", f"{indent}  ")
        else:
            yield from _rows(cast("list[Any]", part), indent)


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and any(isinstance(one, dict) for one in cast("list[Any]", part))


def _is_inline(part: Any) -> bool:
    if isinstance(part, str):
        return "\n" not in part
    if isinstance(part, dict):
        parts = list(cast("Json", part).values())
        return not any(isinstance(one, list) for one in parts) and all(map(_is_inline, parts))
    if isinstance(part, list):
        return all(_is_inline(one) and not isinstance(one, dict | list) for one in cast("list[Any]", part))
    return True


def _inline(part: Any) -> str:
    match part:
        case str():
            return word_or_quoted(part)
        case bool():
            return "true" if part else "false"
        case dict():
            fields = cast("Json", part)
            return "{" + ", ".join(f"{word_or_quoted(name)}: {_inline(one)}" for name, one in fields.items()) + "}"
        case list():
            return ", ".join(_inline(one) for one in cast("list[Any]", part))
        case _:
            return str(part)
