"""Stored text in the texts that a model or a person reads: what others wrote must not pose as words of ours."""

from __future__ import annotations

import json
import re

_encode = json.JSONEncoder(ensure_ascii=False).encode
# Emoji and several scripts join their characters with these.
_JOINERS = "\u200c\u200d"
_PLAIN = re.compile(r"[\w.:@/+~=#$-]{1,300}")


def quoted(text: str, limit: int = 90) -> str:
    """Text on one line in JSON quotes, cut to `limit` characters. Whatever moves the cursor, turns the direction of the
    writing or is not to be seen stands there as an escape."""
    flat = " ".join(text.split())
    return visible(_encode(flat if len(flat) <= limit else flat[: limit - 1] + "…"))


def plain_or_quoted(text: str, limit: int = 300) -> str:
    """A name that was made by a program (an id, a model, a type): as it is if it is one word, else in quotes."""
    return text if _PLAIN.fullmatch(text) else quoted(text, limit)


def visible(text: str, keep: str = "") -> str:
    """The text with all that is not printable as JSON's escapes; but for joiners, and for what is to be kept."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS or char in keep else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]
