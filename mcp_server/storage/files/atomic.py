"""Writes that survive a crash: every helper returns after file and folder have reached the disk.

On an error the old state stays. Files have mode 0600, folders 0700.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_server.errors import DamagedRollout, RolloutNameTaken, WriteFailed
from mcp_server.models.number import clamped
from mcp_server.models.thread import FileStamp
from mcp_server.storage import regular

logger = logging.getLogger(__name__)

_BINARY = getattr(os, "O_BINARY", 0)
# Errors of link(2) where no hard link can be made: the file system has none (FAT, some network and FUSE mounts), the
# kernel protects the file, or the names lie on two file systems (EXDEV).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_COPIED_BYTES = 1 << 20


def check_writable(folder: Path) -> None:
    """Raise the OSError that creating a file in the folder would raise, as far as can be seen. Creates nothing."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(there).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(there))


def make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handle on a folder to flush
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(path: Path, data: bytes) -> None:
    """Replace the content of a file atomically."""
    draft = Draft(path)
    try:
        draft.add(data)
        draft.put_over()
    finally:
        draft.drop()


_DRAFT_NAME = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


class Draft:
    """A file that has a hidden name until it is complete."""

    def __init__(self, path: Path) -> None:
        make_folders(path.parent)
        self._path = path
        self._hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        self._fd: int | None = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        self._made = os.fstat(self._fd)

    def add(self, data: bytes | bytearray) -> None:
        assert self._fd is not None
        _write(self._fd, data)

    def put(self, like: os.stat_result | None = None) -> os.stat_result:
        """Give the file its name, and the times of `like` if that is given.

        Raises:
            FileExistsError: the path is taken.
        """
        if like is not None:
            os.utime(self._hidden, ns=(like.st_atime_ns, like.st_mtime_ns))
        self.flush()
        _put(self._hidden, self._path)
        return self._path.stat()

    def put_over(self) -> None:
        """Give the file its name, in place of the file that has it now."""
        self.flush()
        self._hidden.replace(self._path)
        sync_folder(self._path.parent)

    def has_its_name(self) -> bool:
        """Whether its path names this very file."""
        with suppress(OSError):
            return os.path.samestat(self._made, self._path.lstat())
        return False

    def drop(self) -> None:
        """Delete the file under its hidden name. Once `put`, it stays."""
        self._close()
        with suppress(OSError):
            self._hidden.unlink(missing_ok=True)

    def flush(self) -> None:
        """End the file: it is complete on the disk, and no longer open."""
        if self._fd is not None:
            os.fsync(self._fd)
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def is_draft(name: str) -> bool:
    """Whether a file has the hidden name of a draft."""
    return _DRAFT_NAME.fullmatch(name) is not None


def append(path: Path, data: bytes, *, create: bool = False) -> os.stat_result:
    """Append whole lines. A torn tail is closed with a newline first; on an error the file is cut back.

    The caller holds a lock that keeps other writers out.

    Raises:
        FileNotFoundError: there is no such file, and `create` is off.
    """
    fresh = create and not path.exists()
    fd = regular.opened_fd(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0))
    try:
        size = os.fstat(fd).st_size
        try:
            _write(fd, b"\n" + data if _is_torn(fd, size) else data)
            os.fsync(fd)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(fd, size)
                os.fsync(fd)
            raise
        stat = os.fstat(fd)
    finally:
        os.close(fd)
    if fresh:
        sync_folder(path.parent)
    return stat


def move(source: Path, target: Path) -> None:
    """Move a file without overwriting another. Across file systems, the copy is on the disk before the source is
    deleted. A move that was interrupted is finished.

    Raises:
        FileExistsError: another file has the target's name.
        FileNotFoundError: there is no source.
    """
    make_folders(target.parent)
    try:
        _put(source, target)
    except FileExistsError:
        # If a move was killed between its two steps, both names have the same file, or a copy: delete the old one.
        if not (same_file(source, target) or same_content(source, target)):
            raise
        source.unlink(missing_ok=True)
    _flush_removals([str(source.parent)])


def move_many(moves: Sequence[tuple[str, str]]) -> list[OSError | None]:
    """`move` for each pair of source and target, with one flush per folder. Returns the error of each move, or None.
    The sources are regular files; all paths have `/` before the name.

    At no time is a file on the disk under neither name: all new names are flushed before the first old one is removed.
    """
    # As text: Path objects would take most of the time of a thousand moves, and os.path.dirname a fifth.
    outcomes: list[OSError | None] = [None] * len(moves)
    folders = [(source.rpartition("/")[0], target.rpartition("/")[0]) for source, target in moves]
    linked: list[int] = []
    made = set[str]()
    for number, (source, target) in enumerate(moves):
        try:
            if (folder := folders[number][1]) not in made:
                make_folders(Path(folder))
                made.add(folder)
            if _linked(source, target):
                linked.append(number)
            else:
                move(Path(source), Path(target))
        except OSError as error:
            outcomes[number] = error
    flushed = _flushed({folders[number][1] for number in linked})
    for number in linked:
        outcomes[number] = flushed[folders[number][1]]
        if outcomes[number] is None:
            try:
                with suppress(FileNotFoundError):
                    os.unlink(moves[number][0])
            except OSError as error:
                outcomes[number] = error
    _flush_removals({folders[number][0] for number in linked})
    return outcomes


def _linked(source: str, target: str) -> bool:
    """Give a file its new name beside the old one, if it has not got it yet. False if no hard link can be made."""
    try:
        return _link(source, target)
    except FileExistsError:
        if not same_file(source, target):
            raise
        return True


def _flush_removals(folders: Collection[str]) -> None:
    """Flush the removal of old names. If this fails, the files have moved all the same, but a crash may bring an old
    name back beside the new one. That is the state after an interrupted move, which the next move finishes."""
    for folder, failure in _flushed(folders).items():
        if failure is not None:
            logger.warning("the move out of %s may not survive a crash: %s", folder, failure)


def _flushed(folders: Collection[str]) -> dict[str, OSError | None]:
    """Flush folders. Returns by folder the error, or None."""
    failures: dict[str, OSError | None] = {}
    for folder in sorted(folders):
        try:
            sync_folder(Path(folder))
            failures[folder] = None
        except OSError as error:
            failures[folder] = error
    return failures


def remove(path: Path) -> None:
    """Delete a file; already gone counts as done."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def same_file(source: Path | str, target: Path | str) -> bool:
    """Whether both are names of one file. A symbolic link to the source is none: it breaks once the source is gone."""
    try:
        return os.path.samefile(source, target) and not os.path.islink(target)
    except FileNotFoundError:
        return False


def same_content(source: Path, target: Path) -> bool:
    """Whether two regular files hold the same bytes."""
    if source.is_symlink() or target.is_symlink() or not (source.is_file() and target.is_file()):
        return False
    with source.open("rb") as one, target.open("rb") as other:
        if os.fstat(one.fileno()).st_size != os.fstat(other.fileno()).st_size:
            return False
        while (part := one.read(_COPIED_BYTES)) == other.read(_COPIED_BYTES):
            if not part:
                return True
    return False


def _put(source: Path, target: Path) -> None:
    """Give a file another name. On an error it keeps only the old one, unless the disk also refuses to undo."""
    if source.is_symlink() or not _link(source, target):
        # Without hard links, a file that is created between the check and the rename would be overwritten.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, target)
        else:
            sync_folder(target.parent)
            return
    try:
        sync_folder(target.parent)  # the new name is on the disk before the old one goes
        source.unlink()
    except OSError:
        with suppress(OSError):
            target.unlink()
        raise


def _copy(source: Path, target: Path) -> None:
    """Copy a file, with its mtime, to another file system. Under its name it is complete, or not there.

    Raises:
        FileExistsError: another file has the target's name.
        OSError: EAGAIN if somebody writes to the source meanwhile.
    """
    draft = Draft(target)
    try:
        with source.open("rb") as file:
            before = os.fstat(file.fileno())
            while part := file.read(_COPIED_BYTES):
                draft.add(part)
            draft.put(before)
            after = os.fstat(file.fileno())
        if stamp_of(before) != stamp_of(after):
            target.unlink()
            raise OSError(errno.EAGAIN, "somebody wrote to it while it was copied to another file system")
    finally:
        draft.drop()


def _link(source: Path | str, target: Path | str) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def _is_torn(fd: int, size: int) -> bool:
    if not size:
        return False
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) != b"\n"


def _write(fd: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def stamp_of(stat: os.stat_result) -> FileStamp:
    """Size and mtime of a file. The mtime is clamped to 64 bits (April 2262), since a state DB has room for no more."""
    return FileStamp(stat.st_size, clamped(stat.st_mtime_ns))


@contextmanager
def writing(path: str, missing: str | None = None) -> Generator[None]:
    """Turn the OSError of a write into a StoreFailure. `missing` is the path to name if a file is gone."""
    try:
        yield
    except FileExistsError as error:
        raise RolloutNameTaken(path) from error
    except FileNotFoundError as error:
        raise DamagedRollout.gone(missing or path) from error
    except OSError as error:
        raise WriteFailed(path, error.strerror or str(error)) from error
