"""Rollout files and the name index of one home, on the file system."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from operator import itemgetter
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from anyio import CancelScope, to_thread

from mcp_server.errors import (
    CompressedRollout,
    PathOutsideHome,
    StoreFailure,
    WriteFailed,
)
from mcp_server.models.rollout import RawLine
from mcp_server.models.thread import FileStamp
from mcp_server.stores import durable
from mcp_server.stores.base import BadLine, Description, RolloutFile, RolloutStore
from mcp_server.stores.describe import describe
from mcp_server.stores.durable import Draft, stamp_of, writing
from mcp_server.stores.files import current_first
from mcp_server.stores.inside import ManyInside, inside
from mcp_server.stores.moving import Moves, rollout_file
from mcp_server.stores.name_index import NameIndex
from mcp_server.stores.naming import (
    ACTIVE,
    ARCHIVED,
    COMPRESSED,
    id_in,
    is_before,
    is_plain,
    is_rollout,
    likely_folders,
    parse_id,
    rollout_id_of,
    rollout_path,
    thread_id_of,
)
from mcp_server.stores.rawlines import RolloutText, damage_of, open_text

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_HELD_BYTES = 1 << 20
_ABANDONED_SECONDS = 3_600


class RolloutFiles(RolloutStore):
    """The home's files. A symbolic link inside the two folders is followed only if it stays inside its folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._index = NameIndex(home)
        self._moves = Moves(home)
        self._leavings: dict[Path, tuple[int | None, int]] = {}

    def path_of(self, thread_id: str, created_at_ms: int) -> str:
        return rollout_path(thread_id, created_at_ms)

    def absolute(self, path: str) -> str:
        return f"{self._home}{os.sep}{path}"

    def walk(self) -> Iterator[RolloutFile]:
        for folder in (ACTIVE, ARCHIVED):
            for path, entry in self._entries(folder):
                if (file := self._listed(path, entry)) is not None:
                    yield file

    def paths(self) -> Iterator[str]:
        for folder in (ACTIVE, ARCHIVED):
            for path, _ in self._entries(folder):
                yield path

    def look_at(self, path: str) -> RolloutFile | None:
        try:
            stat = self._inside(path, ACTIVE, ARCHIVED).stat()
        except (OSError, PathOutsideHome):
            return None
        return rollout_file(path, stat) if S_ISREG(stat.st_mode) else None

    def present(self, paths: Collection[str]) -> frozenset[str]:
        home, isfile = f"{self._home}/", os.path.isfile  # as Path objects they take four times as long
        return frozenset([path for path in paths if isfile(home + path)])

    async def files(self) -> list[RolloutFile]:
        return await to_thread.run_sync(lambda: list(self.walk()))

    async def unusable(self) -> list[BadLine]:
        return await to_thread.run_sync(self._unusable)

    async def abandoned(self) -> list[str]:
        return await to_thread.run_sync(self._abandoned)

    async def locate(self, thread_id: str) -> list[RolloutFile]:
        return await to_thread.run_sync(self._locate, thread_id)

    async def locate_rollout(self, rollout_id: str) -> list[RolloutFile]:
        return await to_thread.run_sync(self._rollout, rollout_id)

    async def stat(self, path: str) -> RolloutFile | None:
        return await to_thread.run_sync(self.look_at, path)

    async def stat_many(self, paths: Collection[str]) -> dict[str, RolloutFile]:
        return await to_thread.run_sync(self.look_at_many, paths)

    async def describe(self, file: RolloutFile) -> Description:
        return await to_thread.run_sync(self._describe, file)

    async def describe_many(self, files: Sequence[RolloutFile]) -> list[Description | BadLine | None]:
        return await to_thread.run_sync(self._describe_many, files)

    async def lines(self, path: str, start: int = 0, end: int | None = None) -> AsyncIterator[list[RawLine]]:
        text = await to_thread.run_sync(self._open, path)
        try:
            batches = text.batches(start, end)
            while (batch := await to_thread.run_sync(next, batches, None)) is not None:
                yield batch
        finally:
            text.close()

    async def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return await to_thread.run_sync(self._read, path, ranges)

    async def read_many(self, pieces: Sequence[tuple[str, int, int]]) -> list[bytes | StoreFailure]:
        return await to_thread.run_sync(lambda: [self._piece(*piece) for piece in pieces])

    async def create(self, path: str, data: bytes) -> FileStamp:
        return await to_thread.run_sync(self._create, path, data)

    @asynccontextmanager
    async def drafted(
        self, path: str, parts: AsyncGenerator[bytes]
    ) -> AsyncGenerator[Callable[[], Awaitable[FileStamp]]]:
        held, draft = bytearray(), None
        try:
            async with aclosing(parts):
                async for part in parts:
                    held += part
                    if len(held) >= _HELD_BYTES:
                        draft = await to_thread.run_sync(self._draft, path, held, draft)
                        held = bytearray()

            async def put() -> FileStamp:
                return await to_thread.run_sync(self._create, path, held, draft)

            yield put
        finally:
            if draft is not None:
                with CancelScope(shield=True):
                    await to_thread.run_sync(draft.drop)

    async def append(self, path: str, data: bytes) -> FileStamp:
        return await to_thread.run_sync(self._append, path, data)

    async def archive(self, path: str) -> RolloutFile:
        return await to_thread.run_sync(self._moves.archive, path)

    async def unarchive(self, path: str) -> RolloutFile:
        return await to_thread.run_sync(self._moves.unarchive, path)

    async def archive_many(self, paths: Sequence[str], dry_run: bool = False) -> list[RolloutFile | StoreFailure]:
        return await to_thread.run_sync(self._moves.would if dry_run else self._moves.many, paths, ACTIVE)

    async def unarchive_many(self, paths: Sequence[str], dry_run: bool = False) -> list[RolloutFile | StoreFailure]:
        return await to_thread.run_sync(self._moves.would if dry_run else self._moves.many, paths, ARCHIVED)

    async def remove(self, path: str, dry_run: bool = False) -> None:
        return await to_thread.run_sync(self._moves.remove, path, dry_run)

    async def names(self) -> dict[str, str]:
        return await to_thread.run_sync(self._index.names)

    async def names_stamp(self) -> FileStamp | None:
        return await to_thread.run_sync(self._index.stamp)

    async def append_name(self, thread_id: str, name: str, at_ms: int) -> None:
        await to_thread.run_sync(self._index.append, thread_id, name, at_ms)

    async def forget_name(self, thread_id: str) -> None:
        await to_thread.run_sync(self._index.forget, thread_id)

    # ------------------------------------------------------------------------------------------ finding

    def _locate(self, thread_id: str) -> list[RolloutFile]:
        wanted = parse_id(thread_id)
        if wanted is None:
            return []
        # a revert lies in the folder of its own day
        begun = min(likely_folders(wanted), default="")
        found = [*self._walk(ACTIVE, wanted, id_in, since=begun), *self._walk(ARCHIVED, wanted, id_in)]
        return current_first(found or self._walk(ACTIVE, wanted, id_in), wanted)

    def _rollout(self, rollout_id: str) -> list[RolloutFile]:
        wanted = parse_id(rollout_id)
        if wanted is None:
            return []
        likely = (self._walk(folder, wanted, rollout_id_of) for folder in (*likely_folders(wanted), ARCHIVED))
        found = [file for walk in likely for file in walk]
        return current_first(found or self._walk(ACTIVE, wanted, rollout_id_of))

    def _walk(
        self, folder: str, wanted: str, id_of: Callable[[str], str | None], *, since: str = ""
    ) -> Iterator[RolloutFile]:
        """The rollouts of one id below a folder, date folders before `since` left out."""
        tail = wanted[-12:]
        for path, entry in self._entries(folder, since):
            if (
                tail in entry.name.lower()
                and id_of(entry.name) == wanted
                and (file := self._listed(path, entry)) is not None
            ):
                yield file

    def _entries(
        self, folder: str, since: str = "", odd: list[str] | None = None
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What is called a rollout below a folder, by path, descending. Names that can't be kept are passed over, and
        added to `odd`."""
        pending = [(folder, self._children(folder, odd))]
        while pending:
            here, children = pending[-1]
            if not children:
                pending.pop()
                continue
            key, entry = children.pop()
            path = f"{here}/{entry.name}"
            if not key.endswith("/"):
                yield path, entry
            elif not is_before(path, since):
                pending.append((path, self._children(path, odd)))

    def _children(self, folder: str, odd: list[str] | None) -> list[tuple[str, os.DirEntry[str]]]:
        """The folders and rollouts in a folder, the last first to be taken; folders with the `/` by which they sort."""
        found: list[tuple[str, os.DirEntry[str]]] = []
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(self._home / folder) as all_:
            for one in all_:
                key = f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name
                if not (key.endswith("/") or is_rollout(key)):
                    continue
                if is_plain(one.name):
                    found.append((key, one))
                elif odd is not None:
                    odd.append(f"{folder}/{one.name}")
        return sorted(found, key=itemgetter(0))

    def _listed(self, path: str, entry: os.DirEntry[str]) -> RolloutFile | None:
        if entry.is_symlink():
            return self.look_at(path)
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        return rollout_file(path, stat) if S_ISREG(stat.st_mode) else None

    def _unusable(self) -> list[BadLine]:
        found: list[BadLine] = []
        odd: list[str] = []
        for folder in (ACTIVE, ARCHIVED):
            for path, entry in self._entries(folder, odd=odd):
                full = self._home / path
                if self._listed(path, entry) is not None or not os.path.lexists(full):
                    continue
                reason = "no regular file"
                if entry.is_symlink():
                    reason = f"a link that leads {f'out of {folder}' if full.is_file() else 'to no file'}"
                found.append(BadLine(path, 0, f"is {reason}"))
        told = (os.fsencode(path).decode("utf-8", "replace") for path in odd)
        reason = "has a name that is not UTF-8, or with a backslash; it is left out until it is renamed"
        return found + [BadLine(path, 0, reason) for path in told]

    def _abandoned(self) -> list[str]:
        found: list[str] = []
        folders = (where for top in (ACTIVE, ARCHIVED) for where in os.walk(self._home / top))
        for folder, _, names in folders:
            for name in filter(durable.is_draft, names):
                with suppress(FileNotFoundError):
                    if time.time() - os.stat(f"{folder}/{name}").st_mtime > _ABANDONED_SECONDS:
                        found.append(Path(folder, name).relative_to(self._home).as_posix())
        return sorted(filter(is_plain, found))

    def look_at_many(self, paths: Collection[str]) -> dict[str, RolloutFile]:
        many = ManyInside(self._home)
        found: dict[str, RolloutFile] = {}
        for path in paths:
            with suppress(OSError, PathOutsideHome):
                _, stat = many.stat(path, ACTIVE, ARCHIVED)
                if S_ISREG(stat.st_mode):
                    found[path] = rollout_file(path, stat)
        return found

    def _inside(self, path: str, *folders: str) -> Path:
        return inside(self._home, path, *folders)

    # ------------------------------------------------------------------------------------------ reading

    def _open(self, path: str) -> RolloutText:
        return open_text(self._inside(path, ACTIVE, ARCHIVED), path)

    def _read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        with self._open(path) as text:
            return [text.read(start, end) for start, end in ranges]

    def _piece(self, path: str, start: int, end: int) -> bytes | StoreFailure:
        try:
            return self._read(path, [(start, end)])[0]
        except StoreFailure as error:
            return error

    def _open_base(self, rollout_id: str) -> RolloutText | None:
        found = self._rollout(rollout_id)
        return self._open(found[0].path) if found else None

    def _describe(self, file: RolloutFile) -> Description:
        with self._open(file.path) as text:
            return describe(file, text, self._open_base)

    def _describe_many(self, files: Sequence[RolloutFile]) -> list[Description | BadLine | None]:
        many = ManyInside(self._home)
        return [self._told(file, many) for file in files]

    def _told(self, file: RolloutFile, many: ManyInside) -> Description | BadLine | None:
        try:
            with self._open_listed(file.path, many) as text:
                return describe(file, text, self._open_base)
        except StoreFailure as failure:
            return None if self.look_at(file.path) is None else damage_of(failure, file.path)

    def _open_listed(self, path: str, many: ManyInside) -> RolloutText:
        """Open one of many files."""
        full = Path(many.full(path, ACTIVE, ARCHIVED))
        if full.is_symlink():
            return self._open(path)
        return open_text(full, path, flags=_NO_FOLLOW)

    # ------------------------------------------------------------------------------------------ writing

    def _create(self, path: str, data: bytes | bytearray, draft: Draft | None = None) -> FileStamp:
        draft = self._draft(path, data, draft)
        try:
            with writing(path):
                return stamp_of(draft.put())
        except WriteFailed:
            self._note_leavings(self._home / path, None)
            raise
        finally:
            draft.drop()

    def _draft(self, path: str, data: bytes | bytearray, draft: Draft | None) -> Draft:
        """A draft with this data behind what it has; a new one if there is none."""
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

    def _append(self, path: str, data: bytes) -> FileStamp:
        full = self._inside(path, ACTIVE, ARCHIVED)
        if path.endswith(COMPRESSED):
            raise CompressedRollout(thread_id_of(PurePosixPath(path).name) or path)
        with writing(path):
            self._undo(full)
            before = full.stat()
            if not data:
                return stamp_of(before)
            try:
                return stamp_of(durable.append(full, data))
            except OSError:
                self._note_leavings(full, before.st_size)
                raise

    def _note_leavings(self, full: Path, size: int | None) -> None:
        """A disk that fails may refuse even to undo what it did: remember the size (None: no file) to go back to."""
        with suppress(OSError):
            self._leavings[full] = (size, full.stat().st_size)

    def _undo(self, full: Path) -> None:
        """Take away what a failed write left, before the next; not if somebody has written behind it since."""
        size, left = self._leavings.get(full, (0, 0))
        if size != left and full.exists() and full.stat().st_size == left:
            full.unlink() if size is None else os.truncate(full, size)
        self._leavings.pop(full, None)
