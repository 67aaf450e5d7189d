"""Lines of rollouts from before September 2025, when each was a response item by itself, told as lines of today.

The first is the session: `{"id", "timestamp", "instructions"}`, with `git` from June on. Among the items stood
`{"record_type": "state"}`. The TypeScript CLI kept the same in one JSON document: `{"session": ..., "items": [...]}`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mcp_server.codex.fields import mapping_of, text_of

BARE = "bare"
"""The history mode of these rollouts: response items alone. Read and forked, never written to."""

_ITEMS = frozenset(
    {
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "web_search_call",
        "item_reference",
        "other",
    }
)

Told = tuple[str, dict[str, Any], str]
"""Type, payload and timestamp of a line of today."""


def in_current_form(value: Any) -> Told | None:
    """What such a line is today; None if it is none."""
    line = mapping_of(value)
    stamp = text_of(line, "timestamp") or ""
    if "type" in line:
        known = text_of(line, "type") in _ITEMS and "payload" not in line
        return ("response_item", line, stamp) if known else None
    if text_of(line, "record_type") is not None:
        return "state", line, stamp
    dated = line.get("timestamp") is not None
    if dated and text_of(line, "id") is not None and ("instructions" in line or "git" in line):
        return "session_meta", {**line, "source": "cli", "history_mode": BARE}, stamp
    return None


class _Document(msgspec.Struct):
    session: msgspec.Raw
    items: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Document)


def lines_of_document(data: bytes) -> bytes:
    """The document of the TypeScript CLI as the lines that its successor would have written.

    Raises:
        ValueError: no such document.
    """
    document = _decoder.decode(data)
    return b"".join(msgspec.json.format(part, indent=-1) + b"\n" for part in (document.session, *document.items))
