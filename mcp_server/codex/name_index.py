"""The lines of session_index.jsonl, in which Codex keeps the names of threads. The last line of a thread counts."""

from __future__ import annotations

import msgspec

from mcp_server.codex.lines import BOM
from mcp_server.codex.paths import checked_id, parse_id
from mcp_server.models.times import rfc3339


class _NameLine(msgspec.Struct):
    id: str
    thread_name: str
    updated_at: str = ""


_name_decoder = msgspec.json.Decoder(_NameLine)


def _decode_name(line: bytes) -> tuple[str, str] | None:
    try:
        entry = _name_decoder.decode(line.removeprefix(BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    thread_id = parse_id(entry.id)
    return (thread_id, entry.thread_name.strip()) if thread_id else None


def names_in(index: bytes) -> dict[str, str]:
    """The newest name of each thread. Blank names and lines that don't parse are skipped (Codex)."""
    entries = (_decode_name(line) for line in index.split(b"\n"))
    return {entry[0]: entry[1] for entry in entries if entry and entry[1]}


def name_line(thread_id: str, name: str, at_ms: int) -> bytes:
    entry = _NameLine(checked_id(thread_id), name, rfc3339(at_ms))
    return msgspec.json.encode(entry) + b"\n"


def without_name(index: bytes, thread_id: str) -> bytes:
    """The index without the lines of one thread. Lines that don't parse stay."""
    gone = checked_id(thread_id)

    def stays(line: bytes) -> bool:
        entry = _decode_name(line)
        return entry is None or entry[0] != gone

    return b"\n".join(line for line in index.split(b"\n") if stays(line))
