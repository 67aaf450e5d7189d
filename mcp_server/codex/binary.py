"""Replaces base64 text (the pictures, sounds and other bytes that tools return) with a short note."""

from __future__ import annotations

import re
from typing import Any, cast

from mcp_server.codex.fields import text_of
from mcp_server.models.value import Json

# A shorter run costs little to index, and may be a key or a hash that somebody searches for.
_RUN_CHARS = 512
_DATA_URL_CHARS = 64
_DIGITS = "[A-Za-z0-9+/_-]"
_data_url = re.compile(rf"data:([\w.+-]*/?[\w.+-]*)[\w;=.+-]*;base64,({_DIGITS}{{{_DATA_URL_CHARS},}}+={{0,2}})")
_mime_type = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}")
_LINE_END = r"(?:\r?\n|\\n)"  # the last form: an escaped newline in JSON inside a text
_run = re.compile(rf"{_DIGITS}{{{_RUN_CHARS},}}+={{0,2}}|(?:{_DIGITS}{{60,76}}{_LINE_END}){{6,}}+{_DIGITS}*={{0,2}}")
# Divide the text into blocks of _STRIDE characters: every run contains nearly all of some block. Testing the blocks is
# 50 times as fast as searching the text for a run.
_STRIDE = _RUN_CHARS // 2
_inside_run = re.compile(rf"(?:{_DIGITS}|[\r\n\\=]){{{_STRIDE - 2}}}")
_base64 = re.compile(rf"(?:{_DIGITS}|\s)+={{0,2}}\s*")
_SAMPLED = 4096
# Random bytes use nearly all of the 64 digits. A path, a word or a hexadecimal dump does not.
_LEAST_DIGITS = 32

# Where a value of this type keeps its bytes (MCP content, an embedded resource).
_TYPED = {"image": "data", "audio": "data"}


def without_base64(value: Any) -> Any:
    """The value, with a note of the size in place of each base64 text. The same object if there is none."""
    match value:
        case str():
            return _shortened(value) if len(value) > _DATA_URL_CHARS else value
        case list():
            parts = cast("list[Any]", value)
            shown: list[Any] = [without_base64(part) for part in parts]
            return parts if all(a is b for a, b in zip(parts, shown, strict=True)) else shown
        case dict():
            return _fields(cast("Json", value))
        case _:
            return value


def left_out(kind: str, chars: int) -> str:
    """The note that replaces `chars` characters of base64."""
    return f"[{kind}, {_size(chars * 3 // 4)}, left out]"


def _fields(fields: Json) -> Json:
    place = _TYPED.get(text_of(fields, "type") or "", "blob")
    changed: Json = {}
    for name, value in fields.items():
        if name == place and isinstance(value, str) and _is_base64(value):
            mime = text_of(fields.get("mimeType", fields.get("mime_type"))) or ""
            shown: Any = left_out(mime if _mime_type.fullmatch(mime) else "base64", len(value))
        else:
            shown = without_base64(value)
        if shown is not value:
            changed[name] = shown
    return fields | changed if changed else fields


def _is_base64(text: str) -> bool:
    return len(text) > _DATA_URL_CHARS and _base64.fullmatch(text) is not None


def _shortened(text: str) -> str:
    if ";base64," in text:
        text = _data_url.sub(lambda found: left_out(found[1] or "base64", len(found[2])), text)
    if len(text) >= _RUN_CHARS and any(_inside_run.match(text, at) for at in range(0, len(text), _STRIDE)):
        text = _run.sub(_replaced, text)
    return text


def _replaced(found: re.Match[str]) -> str:
    run = found[0]
    lines = re.split(_LINE_END, run.rstrip())
    # Encoders wrap all lines but the last at one width; a list of long paths has many.
    wrapped = len({len(line) for line in lines[:-1]}) <= 1
    return left_out("base64", len(run)) if wrapped and _is_random(run) else run


def _is_random(run: str) -> bool:
    used = set(run[:: max(1, len(run) // _SAMPLED)])
    return len(used) >= _LEAST_DIGITS and any(map(str.isupper, used)) and any(map(str.isdigit, used))


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} MB"
