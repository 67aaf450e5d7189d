"""What an item says, in the words that every text for people is made of."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_server.codex.pieces import piece_of
from mcp_server.models.turn import Item

PIXEL = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("userMessage", {"content": [{"type": "text", "text": "look"}]}, ("User", "", "look", "")),
        ("userMessage", {"content": [{"type": "image", "url": "https://x/y"}]}, ("User", "", "https://x/y", "")),
        ("userMessage", {"content": [{"type": "image", "url": PIXEL}]}, ("User", "", "[image, 26 characters]", "")),
        ("userMessage", {"content": [{"type": "localImage", "path": "/p"}]}, ("User", "", "[localImage: /p]", "")),
        ("agentMessage", {"text": "done"}, ("Agent", "", "done", "")),
        ("plan", {"text": "- one"}, ("Agent, plan", "Plan", "- one", "")),
        ("reasoning", {"summary": ["a"], "content": ["b"]}, ("Agent, thinking", "", "a\n\nb", "")),
        (
            "commandExecution",
            {"command": "ls", "aggregated_output": "x\n", "exit_code": 2},
            ("Tool", "Command", "ls", "x\n(exit code 2)"),
        ),
        (
            "mcpToolCall",
            {"server": "shop", "tool": "find", "arguments": "{}", "result": {"content": [{"text": "two"}]}},
            ("Tool", "shop.find", "{}", "two"),
        ),
        ("webSearch", {"query": "locks"}, ("Tool", "Web search", "locks", "")),
        ("contextCompaction", {}, ("Note", "The context was compacted", "", "")),
        ("newKind", {"a": 1, "truncated": {"a": 9}}, ("Tool", "newKind", '{\n "a": 1\n}', "")),
    ],
)
def test_every_kind_of_item_has_a_speaker_a_title_a_text_and_an_output(
    kind: str, fields: dict[str, Any], told: tuple[str, ...]
) -> None:
    piece = piece_of(Item(type=kind, id="i", **fields))
    assert (piece.heading, piece.title, piece.said, piece.output) == told
