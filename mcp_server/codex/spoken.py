"""What the user said, as the model's own history holds it: among instructions and context in the user's role."""

from __future__ import annotations

import re

from mcp_server.models.loose import Json, dict_of, list_of, text_of

# Codex wraps what it adds in tags whose names have several words, or are one of these; people hardly do.
_TAGGED = r"<(?P<tag>[a-z]+[_ ][a-z_ ]+|skill|tools)\b[^>]*>.*</(?P=tag)>"
_INJECTED = re.compile(rf"\s*(?:{_TAGGED}|# AGENTS\.md instructions.*</INSTRUCTIONS>)\s*", re.DOTALL | re.IGNORECASE)
_IMAGE_TAG = re.compile(r"\s*(?:<image\b[^>]*>|</image>)\s*")
_CONTEXT = "<environment_context>"
_CWD = re.compile(r"<cwd>\s*(.+?)\s*</cwd>|^Current working directory: (.+?)\s*$", re.MULTILINE)


def said_by_user(payload: Json) -> list[Json]:
    """The parts of a response item that a user said, in the form of the wire, such as
    `{"type": "text", "text": ..., "text_elements": []}`. None if Codex has added all of it, or nobody said it."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return []
    return [part for told in parts_of(payload) if (part := _input(told)) is not None]


def parts_of(payload: Json) -> list[Json]:
    """The parts of a message, which may be a mere text."""
    content = payload.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [dict_of(part) for part in list_of(content)]


def recorded_cwd(payload: Json) -> str:
    """The working directory that a message of context names; "" if it is no such message."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return ""
    texts = [text_of(part.get("text")) or "" for part in parts_of(payload)]
    found = [_CWD.search(text) for text in texts if text.lstrip().startswith(_CONTEXT)]
    return next((hit[1] or hit[2] for hit in found if hit), "")


def _input(part: Json) -> Json | None:
    if url := text_of(part.get("image_url")):
        return {"type": "image", "url": url}
    text = text_of(part.get("text"))
    if not text or not text.strip() or _INJECTED.fullmatch(text) or _IMAGE_TAG.fullmatch(text):
        return None
    return {"type": "text", "text": text, "text_elements": []}
