"""The process's standard input and output as lines, claimed for MCP alone.

Pipes and sockets are awaited on the event loop. The SDK's streams hop to a worker thread for each read and twice for
each write, which takes longer than most tools do. Everything else (files, terminals, pipes on Windows) can't be awaited
and is read and written in worker threads.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from stat import S_ISFIFO, S_ISSOCK
from typing import cast

import anyio

from mcp_server.handlers.http import MAX_BODY_BYTES

Stream = anyio.AsyncFile[str]
"""What the SDK asks of its streams: `async for`, `write` and `flush`."""

_READ_BYTES = 1 << 16
# Errors of systems and sandboxes that have no pwritev with RWF_NOWAIT.
_NO_SUCH_WRITE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE, errno.EPERM)


class LineTooLong(Exception):
    """A line is longer than the limit; nothing after it is read. `head` is its beginning."""

    def __init__(self, head: str) -> None:
        self.head = head
        super().__init__("the line is too long")


def claim_stdin() -> Stream:
    """Take over standard input; from now on, descriptor 0 reads as empty.

    A line of more than `MAX_BODY_BYTES` raises `LineTooLong` and ends the stream.
    """
    fd = _take_over(0, os.open(os.devnull, os.O_RDONLY))
    if _can_be_awaited(fd):
        return cast("Stream", PipeReader(fd, MAX_BODY_BYTES))
    # closefd=False: a worker thread may still read the descriptor when the server ends.
    return anyio.wrap_file(BoundedLines(os.fdopen(fd, "rb", closefd=False), MAX_BODY_BYTES))


def claim_stdout() -> Stream:
    """Take over standard output; from now on, what is written to descriptor 1 goes to standard error."""
    fd = _take_over(1, os.dup(2))
    if _can_be_awaited(fd):
        return cast("Stream", PipeWriter(fd))
    return anyio.wrap_file(io.TextIOWrapper(os.fdopen(fd, "wb", closefd=False), encoding="utf-8", newline=""))


def _take_over(fd: int, diversion: int) -> int:
    """A private duplicate of `fd`, which then points to `diversion`."""
    private = os.dup(fd)
    os.dup2(diversion, fd)
    os.close(diversion)
    return private


def _can_be_awaited(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return sys.platform != "win32" and (S_ISFIFO(mode) or S_ISSOCK(mode))


# ---------------------------------------------------------------------------------------------- on the event loop


class PipeReader:
    """Reads lines from a pipe or a socket. The last one may lack its newline."""

    def __init__(self, fd: int, limit: int) -> None:
        self._fd, self._limit = fd, limit
        self._buffer = bytearray()
        self._ended = False

    def __aiter__(self) -> PipeReader:
        return self

    async def __anext__(self) -> str:
        looked = 0
        while not (end := self._buffer.find(b"\n", looked) + 1) and not self._ended:
            looked = len(self._buffer)
            if looked > self._limit:
                break
            self._ended = not await self._read_more()
        end = end or len(self._buffer)
        if end > self._limit:
            head = self._buffer[: self._limit].decode("utf-8", "replace")
            self._ended = True
            self._buffer.clear()
            raise LineTooLong(head)
        if not end:
            raise StopAsyncIteration
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[:end]
        return line

    async def _read_more(self) -> bool:
        await anyio.wait_readable(self._fd)
        try:
            data = os.read(self._fd, _READ_BYTES)
        except ConnectionResetError:  # the other end of the socket closed without reading everything
            data = b""
        self._buffer += data
        return bool(data)


class PipeWriter:
    """Writes to a pipe or a socket without blocking, and without O_NONBLOCK, which other holders would see."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._write_now = self._write_what_fits if hasattr(os, "RWF_NOWAIT") else self._write_when_polled

    async def write(self, text: str) -> None:
        """Write all of the text.

        Raises:
            BrokenPipeError: the reader has closed its end.
        """
        data = memoryview(text.encode())
        while data:
            if written := self._write_now(data):
                data = data[written:]
            else:
                await anyio.wait_writable(self._fd)

    def _write_what_fits(self, data: memoryview) -> int:
        """Write as much as fits, so that the reader wakes once per answer. Linux can; with pipes since 6.4."""
        try:
            return os.pwritev(self._fd, [data], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _NO_SUCH_WRITE:
                raise
            self._write_now = self._write_when_polled
            return self._write_now(data)

    def _write_when_polled(self, data: memoryview) -> int:
        """Write up to PIPE_BUF bytes: if poll reports room, that many never block."""
        return os.write(self._fd, data[: select.PIPE_BUF]) if self._poll.poll(0) else 0

    async def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def has_no_reader(self) -> bool:
        """Whether the reader has closed its end."""
        return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in self._poll.poll(0))


# ---------------------------------------------------------------------------------------------- in worker threads


class BoundedLines(io.TextIOWrapper):
    """Lines of text, each of at most `limit` characters."""

    def __init__(self, source: io.BufferedReader, limit: int) -> None:
        super().__init__(source, encoding="utf-8", errors="replace")
        self._limit = limit
        self._ended = False

    def readline(self, size: int = -1, /) -> str:
        line = "" if self._ended else super().readline(self._limit + 1)
        if len(line) > self._limit:
            self._ended = True
            raise LineTooLong(line)
        return line
