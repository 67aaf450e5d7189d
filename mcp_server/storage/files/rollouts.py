"""Rollout files and the name index of one home, on the file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.files import BadLine, Description, RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.codex.paths import ACTIVE, ARCHIVED, COMPRESSED, rollout_path, thread_id_of, uncompressed
from mcp_server.errors import (
    CompressedRollout,
    RolloutChanged,
    StoreFailure,
    WriteFailed,
)
from mcp_server.models.thread import FileStamp
from mcp_server.storage.companions import companions
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.describe import describe
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.atomic import Draft, writing
from mcp_server.storage.files.folders import Folders
from mcp_server.storage.files.moving import Moves, rollout_file
from mcp_server.storage.files.safe_path import ManyInside, inside
from mcp_server.storage.files.session_index import NameIndex
from mcp_server.storage.rollout_text import RolloutText, damage_of, open_text

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_HELD_BYTES = 1 << 20


class RolloutFiles(RolloutStore):
    """The home's files. A symbolic link inside the two folders is followed only if it stays inside its folder."""

    def __init__(self, home: Path, bounds: ReadingBounds = BOUNDS) -> None:
        self._home, self.bounds = home, bounds
        self._index = NameIndex(home)
        self._moves = Moves(home)
        self._folders = Folders(home)
        self._leftovers: dict[Path, tuple[int | None, int]] = {}

    def new(self, thread_id: str, created_at_ms: int) -> RolloutRef:
        return RolloutRef(rollout_path(thread_id, created_at_ms))

    def absolute(self, rollout: RolloutRef) -> str:
        return f"{self._home}{os.sep}{uncompressed(rollout.path)}"

    def current(self, rollout: RolloutRef) -> RolloutRef | None:
        return self._folders.stat(rollout.path)

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        return self._folders.walk(odd)

    def paths(self) -> Iterator[str]:
        return self._folders.paths()

    def unusable(self, paths: Collection[str] | None = None) -> list[BadLine]:
        return self._folders.unusable(paths)

    def abandoned(self) -> list[str]:
        return self._folders.abandoned()

    def locate(self, thread_id: str) -> list[RolloutRef]:
        return self._folders.locate(thread_id)

    def locate_rollout(self, rollout_id: str) -> list[RolloutRef]:
        return self._folders.locate_rollout(rollout_id)

    def stat(self, path: str) -> RolloutRef | None:
        return self._folders.stat(path)

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        return self._folders.stat_many(paths)

    def companions(
        self, rollouts: Mapping[str, RolloutRef], *, archived: bool | None = None
    ) -> dict[str, list[RolloutRef]]:
        return companions(self, rollouts, archived)

    def describe(self, rollout: RolloutRef) -> Description:
        with self._open(rollout.path) as text:
            return describe(rollout, text, self._open_base)

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        many = ManyInside(self._home)
        return [self._described(file, many) for file in files]

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        text = self._open(rollout.path)
        try:
            batches = text.batches(start, end)
            while (batch := next(batches, None)) is not None:
                yield batch
        finally:
            text.close()

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with self._open(rollout.path) as text:
            return [text.read(start, end) for start, end in ranges]

    def read_many(self, pieces: Sequence[tuple[RolloutRef, int, int]]) -> list[bytes | StoreFailure]:
        return [self._piece(*piece) for piece in pieces]

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        return self._create(rollout.path, data)

    @contextmanager
    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> Generator[Callable[[], RolloutRef]]:
        held, draft, path = bytearray(), None, rollout.path
        try:
            with closing(parts):
                for part in parts:
                    held += part
                    if len(held) >= _HELD_BYTES:
                        draft = self._draft(path, held, draft)
                        held = bytearray()

            def put() -> RolloutRef:
                return self._create(path, held, draft)

            yield put
        finally:
            if draft is not None:
                draft.drop()

    @contextmanager
    def drafted_many(
        self, rollouts: Sequence[tuple[RolloutRef, Generator[bytes]]]
    ) -> Generator[Callable[[], list[RolloutRef]]]:
        drafts: list[tuple[str, Draft]] = []
        try:
            for rollout, parts in rollouts:
                with closing(parts):
                    drafts.append((rollout.path, self._draft(rollout.path, b"", None)))
                    for part in parts:
                        self._draft(rollout.path, part, drafts[-1][1])
                    with writing(rollout.path):
                        drafts[-1][1].flush()
            yield lambda: self._put_all(drafts)
        finally:
            for _, draft in drafts:
                draft.drop()

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        path, size = rollout.path, rollout.size
        full = self._inside(path, ACTIVE, ARCHIVED)
        if path.endswith(COMPRESSED):
            raise CompressedRollout(thread_id_of(PurePosixPath(path).name) or path)
        with writing(path):
            seen = full.stat()
            self._undo(full)
            before = full.stat()
            # The size may include what a failed append left, if the disk refused to cut it off.
            if size not in (before.st_size, seen.st_size):
                raise RolloutChanged(path, size, before.st_size)
            if not data:
                return rollout_file(path, before)
            try:
                return rollout_file(path, durable.append(full, data))
            except OSError:
                self._note_leftover(full, before.st_size)
                raise

    def decompress(self, rollout: RolloutRef) -> RolloutRef:
        path = rollout.path
        plain = uncompressed(path)
        if plain == path:
            return rollout
        packed, target = self._inside(path, ACTIVE, ARCHIVED), self._inside(plain, ACTIVE, ARCHIVED)
        with self._open(path) as text, writing(plain):
            like, draft, end = packed.stat(), Draft(target), 0
            try:
                while data := text.read(end, end + _HELD_BYTES):
                    draft.add(data)
                    end += len(data)
                restored = rollout_file(plain, draft.put(like))
            finally:
                draft.drop()
        with writing(path):
            durable.remove(packed)
        return restored

    def move(
        self, rollouts: Sequence[RolloutRef], *, archived: bool, dry_run: bool = False
    ) -> list[RolloutRef | StoreFailure]:
        move = self._moves.foreseen if dry_run else self._moves.many
        return move([rollout.path for rollout in rollouts], ACTIVE if archived else ARCHIVED)

    def remove(self, rollout: RolloutRef, dry_run: bool = False) -> None:
        return self._moves.remove(rollout.path, dry_run)

    def names(self) -> dict[str, str]:
        return self._index.names()

    def names_stamp(self) -> FileStamp | None:
        return self._index.stamp()

    def set_name(self, thread_id: str, name: str | None, at_ms: int) -> None:
        if name is None:
            self._index.forget(thread_id)
        else:
            self._index.append(thread_id, name, at_ms)

    def _inside(self, path: str, *folders: str) -> Path:
        return inside(self._home, path, *folders)

    # ------------------------------------------------------------------------------------------ reading

    def _open(self, path: str) -> RolloutText:
        return open_text(self._inside(path, ACTIVE, ARCHIVED), path, self.bounds)

    def _piece(self, rollout: RolloutRef, start: int, end: int) -> bytes | StoreFailure:
        try:
            return self.read(rollout, [(start, end)])[0]
        except StoreFailure as error:
            return error

    def _open_base(self, rollout_id: str) -> RolloutText | None:
        found = self._folders.locate_rollout(rollout_id)
        return self._open(found[0].path) if found else None

    def _described(self, file: RolloutRef, many: ManyInside) -> Description | BadLine | None:
        try:
            with self._open_listed(file.path, many) as text:
                return describe(file, text, self._open_base)
        except StoreFailure as failure:
            return None if self.stat(file.path) is None else damage_of(failure, file.path)

    def _open_listed(self, path: str, many: ManyInside) -> RolloutText:
        """Open one of many files; quicker than `_open` unless it is a link."""
        full = Path(many.full(path, ACTIVE, ARCHIVED))
        if full.is_symlink():
            return self._open(path)
        return open_text(full, path, self.bounds, flags=_NO_FOLLOW)

    # ------------------------------------------------------------------------------------------ writing

    def _create(self, path: str, data: bytes | bytearray, draft: Draft | None = None) -> RolloutRef:
        draft = self._draft(path, data, draft)
        try:
            return self._put(path, draft)
        finally:
            draft.drop()

    def _put(self, path: str, draft: Draft) -> RolloutRef:
        try:
            with writing(path):
                return rollout_file(path, draft.put())
        except WriteFailed:
            if draft.has_its_name():
                self._note_leftover(self._home / path, None)
            raise

    def _put_all(self, drafts: Sequence[tuple[str, Draft]]) -> list[RolloutRef]:
        """Make all drafts rollouts, or none."""
        made: list[RolloutRef] = []
        try:
            for path, draft in drafts:
                made.append(self._put(path, draft))
        except BaseException:
            for rollout in made:
                try:
                    self.remove(rollout)
                except StoreFailure:
                    self._note_leftover(self._home / rollout.path, None)
            raise
        return made

    def _draft(self, path: str, data: bytes | bytearray, draft: Draft | None) -> Draft:
        """The draft with this data appended; a new draft if there is none."""
        full = self._inside(path, ACTIVE, ARCHIVED)
        with writing(path):
            if draft is None:
                self._undo(full)
                draft = Draft(full)
            try:
                draft.add(data)
            except OSError:
                draft.drop()
                raise
        return draft

    def _note_leftover(self, full: Path, size: int | None) -> None:
        """A failing disk may even refuse to undo a write. Remember the size to go back to (None: no file)."""
        with suppress(OSError):
            self._leftovers[full] = (size, full.stat().st_size)

    def _undo(self, full: Path) -> None:
        """Remove what a failed write left, before the next write; not if somebody has appended to it since."""
        size, left = self._leftovers.get(full, (0, 0))
        if size != left and full.exists() and full.stat().st_size == left:
            full.unlink() if size is None else os.truncate(full, size)
        self._leftovers.pop(full, None)
