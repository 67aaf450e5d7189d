"""What was said, as the model's own history tells it: it stands in where no event does.

Converters write `response_item` lines alone, and so did Codex until September 2025. Where Codex writes both, an event
tells what the user saw.
"""

from __future__ import annotations

from typing import Any

from mcp_server.codex import items as shapes
from mcp_server.codex.spoken import parts_of, said_by_user
from mcp_server.models.loose import Json, dict_of, list_of, text_of
from mcp_server.models.turn import Item


def stand_in(payload: Json, item_id: str) -> Item | None:
    """The item of a response item that tells what was said or thought, None for any other. `item_id` is for one that
    has no id."""
    item_id = text_of(payload.get("id")) or item_id
    match payload.get("type"), payload.get("role"):
        case "message", "user":
            content = said_by_user(payload)
            return shapes.new_item("userMessage", item_id, {"content": content}) if content else None
        case "message", "assistant":
            text = "".join(text_of(part.get("text")) or "" for part in parts_of(payload))
            fields: Json = {"text": text, "phase": text_of(payload.get("phase"))}
            return shapes.new_item("agentMessage", item_id, fields) if text else None
        case "reasoning", _:
            summary, content = _texts(payload.get("summary")), _texts(payload.get("content"))
            fields = {"summary": summary, "content": content}
            return shapes.new_item("reasoning", item_id, fields) if summary or content else None
        case _:
            return None


def _texts(value: Any) -> list[str]:
    return [text for part in list_of(value) if (text := text_of(dict_of(part).get("text")))]
