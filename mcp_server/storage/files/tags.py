"""The tags of a home of files: threadstore-tags.jsonl, a file of ours that outlives the index beside it. Blocking."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from mcp_server.codex.paths import parse_id
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.models.thread import FileStamp
from mcp_server.models.times import rfc3339
from mcp_server.storage import regular
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.atomic import stamp_of, writing
from mcp_server.storage.files.file_lock import LOCK_SECONDS, locked
from mcp_server.storage.rollout_text import reading
from mcp_server.storage.tags import Tags, having

TAG_FILE = "threadstore-tags.jsonl"
READ_BYTES = 64 << 20
# A file of this many lines that are mostly out of date is written anew.
_COMPACTED_LINES = 200

logger = logging.getLogger(__name__)


class _Line(msgspec.Struct):
    id: str
    tags: list[str]
    updated_at: str = ""


_decoder = msgspec.json.Decoder(_Line)


class TagFile(Tags):
    """Lines are appended, the last one of a thread counts. What was read is kept until the file changes."""

    def __init__(self, home: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self._path, self._lock_seconds = home / TAG_FILE, lock_seconds
        self._cached: tuple[FileStamp | None, Mapping[str, _Line]] = (None, {})
        self._lock = threading.Lock()

    def of(self, thread_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        try:
            known = self._known()
        except StoreFailure as error:
            logger.warning("Tags are left out: %s", error)
            return {}
        return {thread_id: tuple(sorted(known[thread_id].tags)) for thread_id in thread_ids if thread_id in known}

    def having(self, tags: Collection[str]) -> set[str]:
        return having({thread_id: line.tags for thread_id, line in self._known().items()}, tags)

    def set(self, thread_id: str, tags: Sequence[str], at_ms: int) -> None:
        line = _Line(thread_id, sorted(tags), rfc3339(at_ms))
        with writing(TAG_FILE), locked(self._path, self._lock_seconds):
            lines = _lines_in(data := self._read())
            if not tags and thread_id not in lines:
                return
            number = data.count(b"\n")
            if number > _COMPACTED_LINES and number > 2 * len(lines):
                lines.pop(thread_id, None)
                durable.replace(self._path, b"".join(map(_encoded, [*lines.values(), *([line] if tags else [])])))
            else:
                durable.append(self._path, _encoded(line), create=True)

    def _known(self) -> Mapping[str, _Line]:
        with self._lock:
            if (stamp := self._stamp()) is None:
                return {}
            if self._cached[0] != stamp:
                self._cached = (stamp, _lines_in(self._read()))
            return self._cached[1]

    def _stamp(self) -> FileStamp | None:
        try:
            return stamp_of(self._path.stat())
        except OSError:
            return None

    def _read(self) -> bytes:
        try:
            with reading(TAG_FILE):
                return regular.content(self._path, READ_BYTES)
        except DamagedRollout as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return b""
            raise


def _encoded(line: _Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _lines_in(data: bytes) -> dict[str, _Line]:
    """The newest line of each thread that has tags. Lines that don't parse are skipped."""
    found: dict[str, _Line] = {}
    for raw in data.split(b"\n"):
        try:
            line = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if (thread_id := parse_id(line.id)) is None:
            continue
        found.pop(thread_id, None)
        if line.tags:
            found[thread_id] = line
    return found
