"""The lines of a rollout file, decoded and encoded. Unknown kinds of lines and unknown fields are no errors.

A line is `{"timestamp", "type", "payload"}`, with an `ordinal` beside them in paginated histories (Codex 0.169.0).
Payloads stay plain dicts, since Codex adds to them with each release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.fields import mapping_of
from mcp_server.codex.old_rollout import in_current_form
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.value import Json

MAX_DEPTH = 100
"""How deep a payload may be nested. Codex reads lines nested up to 128 levels. Our bound is lower, since an answer
nests the payload a little deeper, and clients have bounds, too."""


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
    """One undecoded line and its byte offset. `whole` is False for an unfinished last line. Of a line that is longer
    than the bound, `data` holds only the end; `cut` is how many bytes come before."""

    offset: int
    data: bytes
    whole: bool = True
    cut: int = 0

    @property
    def end(self) -> int:
        """The offset after its newline."""
        return self.offset + self.cut + len(self.data) + (1 if self.whole else 0)


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
    attached_thread: Any = None
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
BOM = b"\xef\xbb\xbf"


class MalformedLine(ValueError):
    """A line that is no JSON object of a rollout's shape. The text says why."""


def decode_line(data: bytes, bounds: ReadingBounds = BOUNDS) -> RolloutLine:
    """Decode one line. It may begin with a byte order mark, which editors put at the start of a file.

    Raises:
        MalformedLine: not JSON, not UTF-8, nested deeper than `MAX_DEPTH`, with too many values, or neither a line in
            today's form (with `type` and `payload`) nor one of an old rollout.
    """
    data = data.removeprefix(BOM)
    check_values(data, bounds)
    try:
        line = _decoder.decode(data)
    except msgspec.ValidationError as error:
        if (old := _old(data)) is None:
            raise MalformedLine(str(error)) from error
        line = old
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedLine(str(error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_deeper(line.payload, MAX_DEPTH):
        raise _too_deep()
    return line


def check_values(data: bytes, bounds: ReadingBounds) -> None:
    """Raise MalformedLine if a JSON text holds so many values that they would take many times its length in memory."""
    if len(data) > bounds.uncounted_bytes and sum(map(data.count, (b",", b"[", b"{"))) > bounds.values:
        raise MalformedLine(f"JSON holds more than {bounds.values} values")


def _old(data: bytes) -> RolloutLine | None:
    """A line of an old rollout, in today's form."""
    try:
        fields = in_current_form(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return fields and RolloutLine(*fields)


def decode_raw(raw: RawLine, bounds: ReadingBounds = BOUNDS) -> RolloutLine:
    """`decode_line` of a line as it was read.

    Raises:
        MalformedLine: as `decode_line`, or longer than the bound.
    """
    if raw.cut or len(raw.data) > bounds.line_bytes:
        raise MalformedLine(f"the line is longer than {bounds.line_bytes >> 20} MB")
    return decode_line(raw.data, bounds)


def decode_value(text: str) -> Any:
    """The value of a JSON text within a line.

    Raises:
        MalformedLine: not JSON, or nested deeper than `MAX_DEPTH`.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedLine(str(error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deeper([value], MAX_DEPTH + 1):
        raise _too_deep()
    return value


def decoded_or_text(written: Any) -> Any:
    """The value of a JSON text. Anything that is no text, or doesn't decode, is returned unchanged."""
    if not isinstance(written, str):
        return written
    try:
        return decode_value(written)
    except MalformedLine:
        return written


def _is_deeper(value: Any, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        parts: list[Iterable[Any]] = [one.values() if isinstance(one, dict) else one for one in level]
        level = [part for one in parts for part in one if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _too_deep() -> MalformedLine:
    return MalformedLine(f"JSON is nested deeper than {MAX_DEPTH} levels")


def decode_first(raw: RawLine, problems: list[str], bounds: ReadingBounds = BOUNDS) -> RolloutLine:
    """Decode the first line of a file, which says what the file is, tolerantly: bytes that are no UTF-8 are replaced,
    and a timestamp or an ordinal of a wrong type counts as missing. What was wrong is added to `problems`.

    Raises:
        MalformedLine: as `decode_raw`, for any other reason.
    """
    try:
        return decode_raw(raw, bounds)
    except MalformedLine as error:
        if raw.cut:
            raise
        cause = error
    record = decode_value(raw.data.removeprefix(BOM).decode("utf-8", "replace"))
    if (fields := in_current_form(record)) is not None:
        line = RolloutLine(*fields)
    else:
        known = {name: value for name, value in mapping_of(record).items() if name in ("type", "payload")}
        try:
            line = msgspec.convert(known, RolloutLine)
        except msgspec.ValidationError as error:
            raise cause from error
    problems.append(f"not all of it can be used: {cause}")
    return line


def decode_meta(payload: Json, problems: list[str] | None = None) -> SessionMeta:
    """Read the payload of a `session_meta` line. A field that is null, or of a type that no version of Codex writes,
    counts as missing. A wrong type is added to `problems`.

    Raises:
        MalformedLine: `id` is missing or no text.
    """
    try:
        return msgspec.convert(payload, SessionMeta)
    except msgspec.ValidationError:
        pass
    misfits: dict[str, str] = {}
    for field in msgspec.structs.fields(SessionMeta):
        try:
            msgspec.convert(payload.get(field.name), field.type)
        except msgspec.ValidationError as error:
            misfits[field.name] = str(error)
    if problems is not None:
        problems += [f"{name} is left out: {why}" for name, why in misfits.items() if payload.get(name) is not None]
    try:
        return msgspec.convert({name: payload[name] for name in payload.keys() - misfits.keys()}, SessionMeta)
    except msgspec.ValidationError as error:
        raise MalformedLine(str(error)) from error


def split_lines(data: bytes, offset: int = 0) -> list[RawLine]:
    """The lines of bytes that begin at an offset, without blank ones. The last may be unfinished."""
    lines = list[RawLine]()
    *whole, tail = data.split(b"\n")
    for line in whole:
        if line and not line.isspace():
            lines.append(RawLine(offset, line))
        offset += len(line) + 1
    if tail and not tail.isspace():
        lines.append(RawLine(offset, tail, whole=False))
    return lines


def encode_line(line: RolloutLine) -> bytes:
    """The bytes of a line: compact JSON and a newline. `ordinal` is written only if the history numbers its lines."""
    record: Json = {"timestamp": line.timestamp}
    if line.ordinal is not None:
        record["ordinal"] = line.ordinal
    record["type"] = line.type
    record["payload"] = line.payload
    return _encoder.encode(record) + b"\n"
