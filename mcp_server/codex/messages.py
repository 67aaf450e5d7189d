"""Messages of the model's own history (`response_item` lines): what people and the model said, what Codex added.

Converters write `response_item` lines alone, and so did Codex until September 2025. Where Codex writes both, an event
records what the user saw.
"""

from __future__ import annotations

import re

from mcp_server.codex.fields import list_of, mapping_of, part_texts, text_of
from mcp_server.codex.items import new_item
from mcp_server.models.turn import Item
from mcp_server.models.value import Json

REQUEST_MARKER = "## My request for Codex:"

# Codex wraps what it adds in tags, whose names have several words or are one of these two. People hardly use such tags.
_TAGGED = r"<(?P<tag>[a-z]+[_ ][a-z_ ]+|skill|tools)\b[^>]*>.*</(?P=tag)>"
_INJECTED = re.compile(rf"\s*(?:{_TAGGED}|# AGENTS\.md instructions.*</INSTRUCTIONS>)\s*", re.DOTALL | re.IGNORECASE)
_IMAGE_TAG = re.compile(r"\s*(?:<image\b[^>]*>|</image>)\s*")
_CONTEXT = "<environment_context>"
_CWD = re.compile(r"<cwd>\s*(.+?)\s*</cwd>|^Current working directory: (.+?)\s*$", re.MULTILINE)


def parts_of(payload: Json) -> list[Json]:
    """The parts of a message. A bare text counts as one part."""
    content = payload.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [mapping_of(part) for part in list_of(content)]


def message_text(payload: Json) -> str:
    """The whole text of a message."""
    return "\n".join(part_texts(parts_of(payload)))


def said_by_user(payload: Json) -> list[Json]:
    """What the user said in a response item, as parts in wire form, such as
    `{"type": "text", "text": ..., "text_elements": []}`. Empty if Codex added all of it, or if the item is no message
    with the user's role."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return []
    return [said for part in parts_of(payload) if (said := _user_input(part)) is not None]


def _user_input(part: Json) -> Json | None:
    if url := text_of(part, "image_url"):
        return {"type": "image", "url": url}
    text = text_of(part, "text")
    if not text or not text.strip() or _INJECTED.fullmatch(text) or _IMAGE_TAG.fullmatch(text):
        return None
    return {"type": "text", "text": text, "text_elements": []}


def recorded_cwd(payload: Json) -> str:
    """The working directory that Codex's message about the environment names; "" for any other line."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return ""
    contexts = [text for text in part_texts(parts_of(payload)) if text.lstrip().startswith(_CONTEXT)]
    found = [_CWD.search(text) for text in contexts]
    return next((match[1] or match[2] for match in found if match), "")


def preview_of(text: str, images: bool) -> str:
    """The preview of a thread whose first user message this is: the text after the marker that editors put before the
    request, else all of it. `[Image]` for a message of images alone."""
    _, marker, request = text.partition(REQUEST_MARKER)
    return (request if marker else text).strip() or ("[Image]" if images else "")


def message_item(payload: Json, default_id: str) -> Item | None:
    """The item of a response item that holds a message or reasoning, None for any other. An item without an id gets
    `default_id`."""
    item_id = text_of(payload, "id") or default_id
    match payload.get("type"), payload.get("role"):
        case "message", "user":
            content = said_by_user(payload)
            return new_item("userMessage", item_id, {"content": content}) if content else None
        case "message", "assistant":
            text = "".join(part_texts(parts_of(payload)))
            return (
                new_item("agentMessage", item_id, {"text": text, "phase": text_of(payload, "phase")}) if text else None
            )
        case "reasoning", _:
            summary, content = part_texts(payload, "summary"), part_texts(payload, "content")
            fields: Json = {"summary": summary, "content": content}
            return new_item("reasoning", item_id, fields) if summary or content else None
        case _:
            return None
