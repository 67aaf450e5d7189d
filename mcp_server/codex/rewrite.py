"""Rewrites rollouts for another home: thread ids, working directories and texts change, offsets follow. A line that
needs no change stays as it is, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from mcp_server.codex.bounds import BOUNDS
from mcp_server.codex.lines import MalformedLine, decode_value
from mcp_server.errors import DamagedRollout
from mcp_server.models.cwd import moved_cwd
from mcp_server.models.value import Json

_PLACED = (b'"session_meta"', b'"turn_context"', b'"thread_settings_applied"')
"""The lines from which Codex takes a thread's folders when it resumes the thread."""
_FOLDERS = frozenset({"cwd", "runtime_workspace_roots", "workspace_roots", "writable_roots"})
_OPAQUE = frozenset({"encrypted_content", "id", "call_id"})
"""Fields whose text is no text: a change would make them useless."""
_YIELDED_BYTES = 1 << 20


@dataclass
class Rewriter:
    """Rewrites the rollouts of one bundle. Those that others borrow from come first.

    Fields:
        ids: old thread and rollout ids, each with its new one. They are replaced wherever they stand.
        folders: old folders, each with its new place.
        mask: replaces what must not be told in a text.
        line_bytes: a longer line is refused.
    """

    ids: Mapping[str, str] = field(default_factory=dict[str, str])
    folders: Sequence[tuple[str, str]] = ()
    mask: Callable[[str], str] | None = None
    line_bytes: int = BOUNDS.line_bytes
    _ends: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int], init=False)

    def __post_init__(self) -> None:
        old = b"|".join(re.escape(one.encode()) for one in self.ids)
        self._old_ids = re.compile(old, re.IGNORECASE) if old else None

    @property
    def changes_nothing(self) -> bool:
        return not self.ids and not self.folders and self.mask is None

    def id_of(self, old: str) -> str:
        return self.ids.get(old, old)

    def path_of(self, old: str) -> str:
        """The path of a rollout with its ids replaced."""
        return self._with_ids(old.encode()).decode()

    def rewritten(self, rollout_id: str, parts: Iterable[bytes], ends: Collection[int] = ()) -> Generator[bytes]:
        """The new bytes of a rollout. `ends` are the offsets up to which others borrow from it.

        Raises:
            DamagedRollout: a line is too long to be held in memory.
        """
        if self.changes_nothing:
            yield from parts
            return
        waiting = sorted(ends, reverse=True)
        before = after = held_bytes = 0
        held: list[bytes] = []
        for line in self._lines(rollout_id, parts):
            held.append(made := self._line(line))
            before, after, held_bytes = before + len(line), after + len(made), held_bytes + len(made)
            while waiting and waiting[-1] <= before:
                self._ends[rollout_id, waiting.pop()] = after
            if held_bytes >= _YIELDED_BYTES:
                yield b"".join(held)
                held, held_bytes = [], 0
        yield b"".join(held)

    def _lines(self, rollout_id: str, parts: Iterable[bytes]) -> Generator[bytes]:
        """The lines with their newlines; the last may have none."""
        begun: list[bytes] = []
        size = 0
        for part in parts:
            *whole, rest = part.split(b"\n")
            for line in whole:
                yield b"".join((*begun, line, b"\n"))
                begun, size = [], 0
            begun.append(rest)
            size += len(rest)
            if size > self.line_bytes:
                raise DamagedRollout(rollout_id, f"has a line of more than {self.line_bytes >> 20} MB")
        if size:
            yield b"".join(begun)

    def _line(self, line: bytes) -> bytes:
        if self.mask is not None or any(kind in line for kind in _PLACED):
            try:
                record = decode_value(line.decode())
            except (MalformedLine, UnicodeDecodeError):
                return self._with_ids(self._masked_bytes(line))
            if isinstance(record, dict):
                changed = self._record(cast("Json", record))
                if changed != record:
                    line = msgspec.json.encode(changed) + (b"\n" if line.endswith(b"\n") else b"")
        return self._with_ids(line)

    def _record(self, record: Json) -> Json:
        payload = record.get("payload")
        if isinstance(payload, dict):
            placed = cast("Json", payload)
            if record.get("type") == "session_meta":
                placed = self._with_base(placed)
            if self.folders and _has_folders(record):
                placed = self._placed(placed)
            record = {**record, "payload": placed}
        return self._masked(record) if self.mask is not None else record

    def _with_base(self, meta: Json) -> Json:
        """The metadata with the offset up to which the thread borrows, as it is in the rewritten source."""
        match meta.get("history_base"):
            case {"thread_id": str(source), "end_byte_offset": int(end)} as base if (source, end) in self._ends:
                return {**meta, "history_base": {**cast("Json", base), "end_byte_offset": self._ends[source, end]}}
            case _:
                return meta

    def _placed(self, value: Any) -> Any:
        match value:
            case dict():
                fields = cast("Json", value)
                return {
                    name: self._folder(part) if name in _FOLDERS else self._placed(part)
                    for name, part in fields.items()
                }
            case list():
                return [self._placed(part) for part in cast("list[Any]", value)]
            case _:
                return value

    def _folder(self, value: Any) -> Any:
        match value:
            case str():
                return moved_cwd(value, self.folders)
            case list():
                return [self._folder(part) for part in cast("list[Any]", value)]
            case _:
                return self._placed(value)

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self.mask(value) if self.mask else value
            case dict():
                fields = cast("Json", value)
                return {name: part if name in _OPAQUE else self._masked(part) for name, part in fields.items()}
            case list():
                return [self._masked(part) for part in cast("list[Any]", value)]
            case _:
                return value

    def _masked_bytes(self, line: bytes) -> bytes:
        if self.mask is None:
            return line
        return self.mask(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _with_ids(self, data: bytes) -> bytes:
        if self._old_ids is None:
            return data
        return self._old_ids.sub(lambda old: self.ids[old[0].decode().lower()].encode(), data)


def _has_folders(record: Json) -> bool:
    payload = record["payload"]
    return record.get("type") in ("session_meta", "turn_context") or payload.get("type") == "thread_settings_applied"
