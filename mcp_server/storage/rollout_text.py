"""The bytes of one open rollout, plain or compressed, and its lines."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.files import BadLine
from mcp_server.codex.lines import RawLine, check_values
from mcp_server.codex.old_rollout import lines_of_document
from mcp_server.codex.paths import COMPRESSED, DOCUMENT
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.storage import regular

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

_DOCUMENT_BYTES = 64 << 20


class ByteStream(Protocol):
    """What a plain file, a compressed one and bytes in memory have in common."""

    def seek(self, offset: int, /) -> int: ...

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class RolloutText:
    """The uncompressed bytes of a rollout. `size` is None if only reading to the end would tell it.

    Reading raises DamagedRollout where the file can't be read or decompressed.
    """

    def __init__(self, path: str, stream: ByteStream, size: int | None, bounds: ReadingBounds = BOUNDS) -> None:
        self.path, self.size, self.bounds = path, size, bounds
        self._stream = stream

    def __enter__(self) -> RolloutText:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    def batches(self, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        """The lines in `[start, end)` without blank ones. A line may be longer than a batch."""
        with reading(self.path):
            self._stream.seek(start)
        position = start
        line = _Line(start, self.bounds)
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
            line = _Line(offset, self.bounds, rest)
            yield batch
        if tail := line.torn():
            yield tail

    def read(self, start: int, end: int) -> bytes:
        """The bytes `[start, end)`, fewer if the text ends earlier. More than `read_bytes` are refused."""
        parts = list[bytes]()
        end = end if self.size is None else min(end, self.size)
        if end - start > self.bounds.read_bytes:
            raise DamagedRollout(self.path, f"has a part of {end - start >> 20} MB, too much to read at once", start)
        with reading(self.path):
            self._stream.seek(start)
            while start < end and (part := self._stream.read(end - start)):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def _chunk(self, position: int, end: int | None) -> bytes:
        batch = self.bounds.batch_bytes
        wanted = batch if end is None else min(batch, max(0, end - position))
        with reading(self.path):
            return self._stream.read(wanted)


class _Line:
    """A line that is read in parts. If it turns out to be too long, only its end is kept."""

    def __init__(self, offset: int, bounds: ReadingBounds, begun: bytes = b"") -> None:
        self.offset, self._bounds = offset, bounds
        self._parts = [begun]
        self._held, self._cut = len(begun), 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._held += len(part)
        if self._held > self._bounds.line_bytes or self._cut:
            end = b"".join(self._parts[-2:] if self._cut else self._parts)[-self._bounds.kept_bytes :]
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

    def __init__(self, path: str, source: BufferedReader, most: int) -> None:
        self._path, self._source, self._most = path, source, most
        self._file = ZstdFile(source)

    def seek(self, offset: int, /) -> int:
        return self._within(self._file.seek(min(offset, self._most + 1)))

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._within(self._file.tell())
        return data

    def _within(self, position: int) -> int:
        if position > self._most:
            raise DamagedRollout(self._path, f"expands to more than {self._most >> 20} MB")
        return position

    def close(self) -> None:
        self._file.close()
        self._source.close()


def open_text(file: Path, path: str, bounds: ReadingBounds, flags: int = 0) -> RolloutText:
    """Open a rollout file, whose kind follows from its suffix. Errors name it by `path`; `flags` go to open(2).

    Raises:
        DamagedRollout: there is no such file, or it can't be opened.
    """
    with reading(path):
        stream = regular.opened(file, flags)
        if path.endswith(COMPRESSED):
            return RolloutText(path, _Expanded(path, stream, bounds.expanded_bytes), None, bounds)
        size = os.fstat(stream.fileno()).st_size
        if not path.endswith(DOCUMENT):
            return RolloutText(path, stream, size, bounds)
        with stream:
            if size > _DOCUMENT_BYTES:
                raise DamagedRollout(path, f"is a document of {size} bytes; the limit is {_DOCUMENT_BYTES}")
            return document_text(path, stream.read(), bounds)


def document_text(path: str, data: bytes, bounds: ReadingBounds) -> RolloutText:
    """A session document of the TypeScript CLI, as the lines that its successor would have written.

    Raises:
        DamagedRollout: it is no such document.
    """
    try:
        check_values(data, bounds)
        return RolloutText(path, io.BytesIO(lines_of_document(data)), None, bounds)
    except (ValueError, RecursionError) as error:
        raise DamagedRollout(path, f"is in an old format, but is no session of the TypeScript CLI: {error}") from error


def damage_of(error: StoreFailure, path: str) -> BadLine:
    """The `BadLine` that stands for a file that can't be read."""
    if isinstance(error, DamagedRollout):
        return BadLine(error.path, error.offset, error.reason, transient=isinstance(error.__cause__, OSError))
    return BadLine(path, 0, str(error), transient=True)


@contextmanager
def reading(path: str) -> Generator[None]:
    """Turn the errors of reading a rollout into DamagedRollout."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedRollout.gone(path) from error
    except (OSError, EOFError, ZstdError) as error:
        raise DamagedRollout(path, f"can't be read: {getattr(error, 'strerror', None) or error}") from error
