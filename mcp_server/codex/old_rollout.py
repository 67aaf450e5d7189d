"""Translates rollouts from before September 2025, whose lines were bare response items, into today's form.

The first line was the session: `{"id", "timestamp", "instructions"}`, with `git` from June on. Lines
`{"record_type": "state"}` stood among the items. The TypeScript CLI kept the same in one JSON document:
`{"session": ..., "items": [...]}`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mcp_server.codex.fields import mapping_of, text_of

BARE = "bare"
"""The history mode of these rollouts. They are read and forked, never written to."""

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

Fields = tuple[str, dict[str, Any], str]
"""Type, payload and timestamp of a line in today's form."""


def in_current_form(value: Any) -> Fields | None:
    """The fields of a line of an old rollout; None for any other value."""
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
        ValueError: it is no such document.
    """
    document = _decoder.decode(data)
    return b"".join(msgspec.json.format(part, indent=-1) + b"\n" for part in (document.session, *document.items))
