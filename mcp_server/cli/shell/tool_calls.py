"""What an agent did besides talking, on a line each."""

from __future__ import annotations

import json
from typing import Any

from mcp_server.cli.shell.safe_text import safe_line
from mcp_server.cli.shell.times import lasted
from mcp_server.codex.pieces import Piece
from mcp_server.codex.work import changed_files, failure_of
from mcp_server.models.turn import Item

_CHARS = 200


def one_line(item: Item, piece: Piece) -> tuple[str, bool]:
    """The item on one line, and whether it failed: then the line ends with the end of what it said."""
    failed = failure_of(item)
    told = safe_line(_what(item, piece))[:_CHARS]
    took = item.get("duration_ms")
    if isinstance(took, int) and took >= 1_000:
        told += f" ({lasted(took)})"
    if failed is None:
        return told, False
    code = item.get("exit_code")
    end = f"exit code {code}: " if isinstance(code, int) else ""
    return f"{told}  → {end}{safe_line(failed.error)[:_CHARS]}", True


def _what(item: Item, piece: Piece) -> str:
    match item.type:
        case "commandExecution":
            return f"$ {piece.text}"
        case "fileChange":
            return f"changed {', '.join(changed_files(item))}"
        case "reasoning":
            return "thought"
        case _:
            return f"{piece.title} {_arguments(item['arguments']) if item.get('arguments') else piece.text}"


def _arguments(value: Any) -> str:
    """Arguments as a person reads them: `pattern=refresh_token`."""
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(part)}" for name, part in value.items())  # pyright: ignore[reportUnknownVariableType]
    return "" if value is None else str(value)


def _value(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)


def whole(item: Item, piece: Piece) -> str:
    """What a tool was given and what came of it, or what the agent thought, and how much of it was cut."""
    told = f"[cut; {item.cut_chars:,} characters in all]" if item.cut_chars else ""
    return "\n".join(text for text in (piece.text, piece.output, told) if text)
