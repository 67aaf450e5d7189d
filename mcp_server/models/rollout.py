"""The lines of a rollout file, tolerant of kinds and fields that this version doesn't know.

A line is `{"timestamp", "type", "payload"}`, with an `ordinal` beside them in paginated histories (Codex 0.169.0).
Only what every reader needs is typed here; payloads stay plain dicts, since Codex adds to them with each release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

Json = dict[str, Any]


class RolloutLine(msgspec.Struct, frozen=True):
    """One decoded line."""

    type: str
    payload: Json
    timestamp: str = ""
    ordinal: int | None = None

    @property
    def event(self) -> str | None:
        """The event's kind if this is an `event_msg` line."""
        return self.payload.get("type") if self.type == "event_msg" else None


@dataclass(frozen=True, slots=True)
class RawLine:
    """One undecoded line and where it lies. `end` is the offset after its newline; `whole` is False for a torn tail."""

    offset: int
    data: bytes
    whole: bool = True

    @property
    def end(self) -> int:
        return self.offset + len(self.data) + (1 if self.whole else 0)


class HistoryBase(msgspec.Struct, frozen=True):
    """What a paginated fork borrows: the source's first `end_byte_offset` bytes (ordinals below the end)."""

    thread_id: str
    end_ordinal_exclusive: int = 0
    end_byte_offset: int = 0


class SessionMeta(msgspec.Struct, frozen=True):
    """The payload of the first line: the identity of a thread and what it was started with."""

    id: str
    timestamp: str = ""
    cwd: str = ""
    originator: str = ""
    cli_version: str = ""
    source: Any = "vscode"
    session_id: str | None = None
    parent_thread_id: str | None = None
    forked_from_id: str | None = None
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    agent_path: str | None = None
    model_provider: str | None = None
    history_mode: str = "legacy"
    history_base: HistoryBase | None = None
    git: Json | None = None
    base_instructions: Any = None


_decoder = msgspec.json.Decoder(RolloutLine)
_encoder = msgspec.json.Encoder()


class MalformedLine(ValueError):
    """A line that is not a JSON object of the rollout's shape. The text says why."""


def decode_line(data: bytes) -> RolloutLine:
    """Decode one line.

    Raises:
        MalformedLine: not JSON, not UTF-8, or without `type` and `payload`.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedLine(str(error)) from error


def decode_meta(payload: Json) -> SessionMeta:
    """Read the payload of a `session_meta` line.

    Raises:
        MalformedLine: `id` is missing, or a field has a type that no version of Codex writes.
    """
    try:
        return msgspec.convert(payload, SessionMeta)
    except msgspec.ValidationError as error:
        raise MalformedLine(str(error)) from error


def encode_line(line: RolloutLine) -> bytes:
    """The line as written: compact JSON and a newline; `ordinal` only where the history counts."""
    record: Json = {"timestamp": line.timestamp}
    if line.ordinal is not None:
        record["ordinal"] = line.ordinal
    record["type"] = line.type
    record["payload"] = line.payload
    return _encoder.encode(record) + b"\n"
