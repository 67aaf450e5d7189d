"""Rollouts and writer locks in memory, which behave like the real ones: for tests and ephemeral threads."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.files import BadLine, Description, RolloutRef, current_first
from mcp_server.codex.lines import RawLine
from mcp_server.codex.name_index import name_line, names_in, without_name
from mcp_server.codex.paths import (
    ACTIVE,
    ARCHIVED,
    COMPRESSED,
    DOCUMENT,
    active_path,
    archived_path,
    check_path,
    checked_id,
    id_in,
    is_rollout,
    parse_id,
    rollout_id_of,
    rollout_path,
    thread_id_of,
)
from mcp_server.errors import (
    ActiveWriter,
    CompressedRollout,
    DamagedRollout,
    RolloutChanged,
    RolloutNameTaken,
    StoreFailure,
)
from mcp_server.models.thread import FileStamp
from mcp_server.storage.companions import companions
from mcp_server.storage.contracts import Holder, Leases, RolloutStore
from mcp_server.storage.describe import describe
from mcp_server.storage.files.locks import holder_sentence
from mcp_server.storage.rollout_text import RolloutText, damage_of, document_text
from mcp_server.storage.serialised import serialised, whole


@serialised
class MemoryRollouts(RolloutStore):
    """A home in a dict: path -> content and mtime in nanoseconds. `home` is only what absolute paths begin with."""

    def __init__(self, home: str = "memory:", bounds: ReadingBounds = BOUNDS) -> None:
        self._home, self.bounds = home, bounds
        self._files: dict[str, tuple[bytes, int]] = {}
        self._index: tuple[bytes, int] | None = None

    def new(self, thread_id: str, created_at_ms: int) -> RolloutRef:
        return RolloutRef(rollout_path(thread_id, created_at_ms))

    def absolute(self, rollout: RolloutRef) -> str:
        return f"{self._home}/{rollout.path}"

    def current(self, rollout: RolloutRef) -> RolloutRef | None:
        return self.stat(rollout.path)

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        for path in self.paths():
            if (file := self.stat(path)) is not None:
                yield file

    def paths(self) -> Iterator[str]:
        return iter(sorted((path for path in self._files if is_rollout(PurePosixPath(path).name)), reverse=True))

    def unusable(self, paths: Collection[str] | None = None) -> list[BadLine]:
        return []

    def abandoned(self) -> list[str]:
        return []

    def locate(self, thread_id: str) -> list[RolloutRef]:
        return self._locate(thread_id)

    def locate_rollout(self, rollout_id: str) -> list[RolloutRef]:
        return self._rollout(rollout_id)

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        return {path: self._file(path) for path in paths if path in self._files}

    def stat(self, path: str) -> RolloutRef | None:
        return self._file(path) if path in self._files else None

    def companions(
        self, rollouts: Mapping[str, RolloutRef], *, archived: bool | None = None
    ) -> dict[str, list[RolloutRef]]:
        return companions(self, rollouts, archived)

    def describe(self, rollout: RolloutRef) -> Description:
        with self._open(rollout.path) as text:
            return describe(rollout, text, self._open_base)

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        return [self._described(file) for file in files]

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        with self._open(rollout.path) as text:
            yield from text.batches(start, end)

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with self._open(rollout.path) as text:
            return [text.read(start, end) for start, end in ranges]

    def read_many(self, pieces: Sequence[tuple[RolloutRef, int, int]]) -> list[bytes | StoreFailure]:
        found: list[bytes | StoreFailure] = []
        for rollout, start, end in pieces:
            try:
                found += self.read(rollout, [(start, end)])
            except StoreFailure as error:
                found.append(error)
        return found

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        path = check_path(rollout.path, ACTIVE, ARCHIVED)
        if path in self._files:
            raise RolloutNameTaken(path)
        self._files[path] = (data, time.time_ns())
        return self._file(path)

    @contextmanager
    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> Generator[Callable[[], RolloutRef]]:
        yield partial(self.create, rollout, b"".join(parts))

    @contextmanager
    def drafted_many(
        self, rollouts: Sequence[tuple[RolloutRef, Generator[bytes]]]
    ) -> Generator[Callable[[], list[RolloutRef]]]:
        drafts = [(rollout, b"".join(parts)) for rollout, parts in rollouts]
        yield lambda: self._create_all(drafts)

    def _create_all(self, drafts: Sequence[tuple[RolloutRef, bytes]]) -> list[RolloutRef]:
        with whole(self):
            if taken := next((rollout.path for rollout, _ in drafts if rollout.path in self._files), None):
                raise RolloutNameTaken(taken)
            return [self.create(rollout, data) for rollout, data in drafts]

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        path = check_path(rollout.path, ACTIVE, ARCHIVED)
        if path.endswith(COMPRESSED):
            raise CompressedRollout(thread_id_of(PurePosixPath(path).name) or path)
        if path not in self._files:
            raise DamagedRollout.gone(path)
        if (size := len(self._files[path][0])) != rollout.size:
            raise RolloutChanged(path, rollout.size, size)
        if data:
            self._files[path] = (_closed(self._files[path][0]) + data, time.time_ns())
        return self._file(path)

    def decompress(self, rollout: RolloutRef) -> RolloutRef:
        return rollout  # nothing in memory is compressed

    def move(
        self, rollouts: Sequence[RolloutRef], *, archived: bool, dry_run: bool = False
    ) -> list[RolloutRef | StoreFailure]:
        with self._unchanged(dry_run):
            return [self._tried(self._archive if archived else self._unarchive, one.path) for one in rollouts]

    def _archive(self, path: str) -> RolloutRef:
        return self._move(check_path(path, ACTIVE), archived_path(path))

    def _unarchive(self, path: str) -> RolloutRef:
        return self._move(check_path(path, ARCHIVED), active_path(path), time.time_ns())

    @contextmanager
    def _unchanged(self, dry_run: bool) -> Generator[None]:
        before = dict(self._files)
        yield
        if dry_run:
            self._files = before

    def _tried(self, move: Callable[[str], RolloutRef], path: str) -> RolloutRef | StoreFailure:
        try:
            return move(path)
        except StoreFailure as error:
            return error

    def remove(self, rollout: RolloutRef, dry_run: bool = False) -> None:
        checked = check_path(rollout.path, ACTIVE, ARCHIVED)
        if not dry_run:
            self._files.pop(checked, None)

    def names(self) -> dict[str, str]:
        return names_in(self._index[0] if self._index else b"")

    def names_stamp(self) -> FileStamp | None:
        return FileStamp(len(self._index[0]), self._index[1]) if self._index else None

    def set_name(self, thread_id: str, name: str | None, at_ms: int) -> None:
        before = self._index[0] if self._index else b""
        after = without_name(before, thread_id) if name is None else _closed(before) + name_line(thread_id, name, at_ms)
        if after != before:
            self._index = (after, time.time_ns())

    def _described(self, file: RolloutRef) -> Description | BadLine | None:
        if file.path not in self._files:
            return None
        try:
            with self._open(file.path) as text:
                return describe(file, text, self._open_base)
        except StoreFailure as failure:
            return damage_of(failure, file.path)

    def _file(self, path: str) -> RolloutRef:
        data, mtime_ns = self._files[path]
        return RolloutRef(path, FileStamp(len(data), mtime_ns))

    def _locate(self, thread_id: str) -> list[RolloutRef]:
        wanted = parse_id(thread_id)
        files = [self._file(path) for path in self._files if wanted and id_in(PurePosixPath(path).name) == wanted]
        return current_first(files, wanted)

    def _rollout(self, rollout_id: str) -> list[RolloutRef]:
        wanted = parse_id(rollout_id)
        return current_first(self._file(path) for path in self._files if wanted and rollout_id_of(path) == wanted)

    def _open(self, path: str) -> RolloutText:
        if path not in self._files:
            raise DamagedRollout.gone(path)
        data = self._files[path][0]
        if path.endswith(DOCUMENT):
            return document_text(path, data, self.bounds)
        return RolloutText(path, io.BytesIO(data), len(data), self.bounds)

    def _open_base(self, rollout_id: str) -> RolloutText | None:
        found = self._rollout(rollout_id)
        return self._open(found[0].path) if found else None

    def _move(self, path: str, target: str, mtime_ns: int | None = None) -> RolloutRef:
        if path in self._files:
            if target in self._files:
                raise RolloutNameTaken(target)
            data, before_ns = self._files.pop(path)
            self._files[target] = (data, mtime_ns or before_ns)
        elif target not in self._files:
            raise DamagedRollout.gone(path)
        return self._file(target)


def _closed(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


@serialised
class MemoryLocks(Leases):
    """Writer locks among the objects that share a registry (thread id -> owner and since when)."""

    def __init__(self, registry: dict[str, tuple[MemoryLocks, int]] | None = None) -> None:
        self._registry = registry if registry is not None else {}

    def acquire(self, thread_ids: Sequence[str], *, for_moments: bool = False) -> None:
        taken: list[str] = []
        try:
            for thread_id in map(checked_id, thread_ids):
                self._take(thread_id)
                taken.append(thread_id)
        except BaseException:
            self.release(taken)
            raise

    def check_free(self, thread_ids: Sequence[str]) -> None:
        self.acquire(thread_ids)
        self.release(thread_ids)

    def release(self, thread_ids: Collection[str]) -> None:
        for thread_id in self.held().intersection(map(checked_id, thread_ids)):
            del self._registry[thread_id]

    def held(self) -> frozenset[str]:
        return frozenset(thread_id for thread_id, (owner, _) in self._registry.items() if owner is self)

    def foreign(self, thread_ids: Collection[str] | None = None) -> dict[str, Holder]:
        pid = os.getpid()
        return {
            thread_id: Holder(pid, "threadstore", since_ms)
            for thread_id, (owner, since_ms) in self._registry.items()
            if owner is not self and (thread_ids is None or thread_id in thread_ids)
        }

    def _take(self, thread_id: str) -> None:
        owner, since_ms = self._registry.get(thread_id, (None, 0))
        if owner is self:
            raise RuntimeError(f"the writer lock of {thread_id} is held already")
        if owner is not None:
            raise ActiveWriter(thread_id, holder_sentence(Holder(os.getpid(), "threadstore", since_ms)))
        self._registry[thread_id] = (self, time.time_ns() // 1_000_000)
