"""The bytes of one open rollout, plain or compressed, and their lines. Blocking."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from mcp_server.codex.files import BadLine
from mcp_server.codex.lines import MAX_LINE_BYTES, RawLine, check_values
from mcp_server.codex.old_rollout import lines_of_document
from mcp_server.codex.paths import COMPRESSED, DOCUMENT
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.storage import regular

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

_DOCUMENT_BYTES = 64 << 20
MAX_READ_BYTES = 128 << 20
"""How many bytes are read at once. Longer parts are read line by line."""
MAX_EXPANDED_BYTES = 1 << 30
"""A compressed rollout that expands to more is damaged."""


@dataclass(frozen=True, slots=True)
class LineLimits:
    """How lines are read, in bytes."""

    batch: int = 1 << 20
    """How much is read at once."""
    line: int = MAX_LINE_BYTES
    """Of a longer line only the end is kept."""
    kept: int = 4 << 10
    """So much of it: it proves that the file is still the same (see threads/turn_index.py)."""


LINE_LIMITS = LineLimits()


class ByteStream(Protocol):
    """What a plain file, a compressed one and bytes in memory have in common."""

    def seek(self, offset: int, /) -> int: ...

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class RolloutText:
    """The uncompressed bytes of a rollout. `size` is None if only reading to the end would tell it.

    Reading raises DamagedRollout where the file can't be read or decompressed.
    """

    def __init__(self, path: str, stream: ByteStream, size: int | None, *, limits: LineLimits | None = None) -> None:
        self.path, self.size = path, size
        self._stream, self._limits = stream, limits or LINE_LIMITS

    def __enter__(self) -> RolloutText:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    def batches(self, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        """The lines in `[start, end)`, blank ones left out. A line may be longer than a batch."""
        with reading(self.path):
            self._stream.seek(start)
        position = start
        line = _Line(start, self._limits)
        while chunk := self._chunk(position, end):
            position += len(chunk)
            if b"\n" not in chunk:
                line.add(chunk)
                continue
            first, *whole = chunk.split(b"\n")
            rest = whole.pop()
            batch = line.closed(first)
            offset = line.offset
            for data in whole:
                if data and not data.isspace():
                    batch.append(RawLine(offset, data))
                offset += len(data) + 1
            line = _Line(offset, self._limits, rest)
            yield batch
        if tail := line.torn():
            yield tail

    def read(self, start: int, end: int) -> bytes:
        """The bytes `[start, end)`, fewer where the text ends before. More than `MAX_READ_BYTES` are refused."""
        parts = list[bytes]()
        end = end if self.size is None else min(end, self.size)
        if end - start > MAX_READ_BYTES:
            raise DamagedRollout(self.path, f"has {end - start >> 20} MB in one piece, too much to read", start)
        with reading(self.path):
            self._stream.seek(start)
            while start < end and (part := self._stream.read(end - start)):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def _chunk(self, position: int, end: int | None) -> bytes:
        batch = self._limits.batch
        wanted = batch if end is None else min(batch, max(0, end - position))
        with reading(self.path):
            return self._stream.read(wanted)


class _Line:
    """A line that is read in parts. Of a line that proves too long only the end is kept."""

    def __init__(self, offset: int, limits: LineLimits, begun: bytes = b"") -> None:
        self.offset, self._limits = offset, limits
        self._parts = [begun]
        self._held, self._cut = len(begun), 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._held += len(part)
        if self._held > self._limits.line or self._cut:
            end = b"".join(self._parts[-2:] if self._cut else self._parts)[-self._limits.kept :]
            self._cut += self._held - len(end)
            self._parts, self._held = [end], len(end)

    def closed(self, last: bytes) -> list[RawLine]:
        """The line with its last part, unless it is blank; the next one begins at `offset`."""
        self.add(last)
        found = self._made(whole=True)
        self.offset += self._cut + self._held + 1
        return found

    def torn(self) -> list[RawLine]:
        """The line without an end, unless it is blank."""
        return self._made(whole=False)

    def _made(self, *, whole: bool) -> list[RawLine]:
        data = b"".join(self._parts)
        blank = not self._cut and (not data or data.isspace())
        return [] if blank else [RawLine(self.offset, data, whole, self._cut)]


class _Expanded:
    """The expanded bytes of a compressed file, up to the bound: a small file may expand to any number of bytes."""

    def __init__(self, path: str, source: BufferedReader) -> None:
        self._path, self._source = path, source
        self._file = ZstdFile(source)

    def seek(self, offset: int, /) -> int:
        return self._within(self._file.seek(min(offset, MAX_EXPANDED_BYTES + 1)))

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._within(self._file.tell())
        return data

    def _within(self, position: int) -> int:
        if position > MAX_EXPANDED_BYTES:
            raise DamagedRollout(self._path, f"expands to more than {MAX_EXPANDED_BYTES >> 20} MB")
        return position

    def close(self) -> None:
        self._file.close()
        self._source.close()


def open_text(file: Path, path: str, flags: int = 0) -> RolloutText:
    """Open a rollout file by the kind that its suffix tells. Errors name it by `path`; `flags` go to open(2).

    Raises:
        DamagedRollout: there is no such file, or it can't be opened.
    """
    with reading(path):
        stream = regular.opened(file, flags)
        if path.endswith(COMPRESSED):
            return RolloutText(path, _Expanded(path, stream), None)
        size = os.fstat(stream.fileno()).st_size
        if not path.endswith(DOCUMENT):
            return RolloutText(path, stream, size)
        with stream:
            if size > _DOCUMENT_BYTES:
                raise DamagedRollout(path, f"is a document of {size} bytes; the limit is {_DOCUMENT_BYTES}")
            return document_text(path, stream.read())


def document_text(path: str, data: bytes) -> RolloutText:
    """A session document of the TypeScript CLI, as the lines that its successor would have written.

    Raises:
        DamagedRollout: it is no such document.
    """
    try:
        check_values(data)
        return RolloutText(path, io.BytesIO(lines_of_document(data)), None)
    except (ValueError, RecursionError) as error:
        raise DamagedRollout(path, f"is in an old format, but is no session of the TypeScript CLI: {error}") from error


def damage_of(error: StoreFailure, path: str) -> BadLine:
    """The entry of a file that can't be read, among bad lines."""
    if isinstance(error, DamagedRollout):
        return BadLine(error.path, error.offset, error.reason, transient=isinstance(error.__cause__, OSError))
    return BadLine(path, 0, str(error), transient=True)


@contextmanager
def reading(path: str) -> Generator[None]:
    """Turn what the system raises about a rollout into DamagedRollout."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedRollout(path, "is gone") from error
    except (OSError, EOFError, ZstdError) as error:
        raise DamagedRollout(path, f"can't be read: {getattr(error, 'strerror', None) or error}") from error
