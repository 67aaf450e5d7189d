"""The process's standard input and output, for the server alone, as the lines of MCP.

A pipe or a socket is waited for on the event loop. The SDK's own streams go to a worker thread and back for each read,
and twice for each write, which takes longer than most tools do. Whatever else a client may give (a file, a terminal, a
pipe of Windows) can't be waited for so, and keeps the threads.
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
# What a system answers, or a sandbox, that has no write which takes only what there is room for.
_NO_SUCH_WRITE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE, errno.EPERM)


class LineTooLong(Exception):
    """A line goes on beyond the limit, and nothing after it is read. `head` is what was read of it."""

    def __init__(self, head: str) -> None:
        self.head = head
        super().__init__("the line is too long")


def claimed_stdin() -> Stream:
    """The standard input: whatever else reads descriptor 0 finds it at its end. A line of more than `MAX_BODY_BYTES`
    ends it, as `LineTooLong`."""
    fd = _claimed(0, os.open(os.devnull, os.O_RDONLY))
    if _can_be_awaited(fd):
        return cast("Stream", PipeReader(fd, MAX_BODY_BYTES))
    # Not closed with the object: a worker thread may still be reading it when the server ends.
    return anyio.wrap_file(BoundedLines(os.fdopen(fd, "rb", closefd=False), MAX_BODY_BYTES))


def claimed_stdout() -> Stream:
    """The standard output: what else is written to descriptor 1 goes to the standard error."""
    fd = _claimed(1, os.dup(2))
    if _can_be_awaited(fd):
        return cast("Stream", PipeWriter(fd))
    return anyio.wrap_file(io.TextIOWrapper(os.fdopen(fd, "wb", closefd=False), encoding="utf-8", newline=""))


def _claimed(fd: int, diversion: int) -> int:
    """A descriptor of our own for what `fd` was, which is the diversion from now on."""
    own = os.dup(fd)
    os.dup2(diversion, fd)
    os.close(diversion)
    return own


def _can_be_awaited(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return sys.platform != "win32" and (S_ISFIFO(mode) or S_ISSOCK(mode))


# ---------------------------------------------------------------------------------------------- on the event loop


class PipeReader:
    """The lines that come through a pipe or a socket; a last one may lack its newline."""

    def __init__(self, fd: int, limit: int) -> None:
        self._fd, self._limit = fd, limit
        self._held = bytearray()
        self._ended = False

    def __aiter__(self) -> PipeReader:
        return self

    async def __anext__(self) -> str:
        looked = 0
        while not (end := self._held.find(b"\n", looked) + 1) and not self._ended:
            looked = len(self._held)
            if looked > self._limit:
                break
            self._ended = not await self._more()
        end = end or len(self._held)
        if end > self._limit:
            head = self._held[: self._limit].decode("utf-8", "replace")
            self._ended = True
            self._held.clear()
            raise LineTooLong(head)
        if not end:
            raise StopAsyncIteration
        line = self._held[:end].decode("utf-8", "replace")
        del self._held[:end]
        return line

    async def _more(self) -> bool:
        await anyio.wait_readable(self._fd)
        try:
            data = os.read(self._fd, _READ_BYTES)
        except ConnectionResetError:  # a socket whose other end went without having read all
            data = b""
        self._held += data
        return bool(data)


class PipeWriter:
    """Writes to a pipe or a socket without blocking, and without making it non-blocking for who else has it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._write_now = self._all_there_is_room_for if hasattr(os, "RWF_NOWAIT") else self._what_never_blocks

    async def write(self, text: str) -> None:
        """All of it.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        data = memoryview(text.encode())
        while data:
            if written := self._write_now(data):
                data = data[written:]
            else:
                await anyio.wait_writable(self._fd)

    def _all_there_is_room_for(self, data: memoryview) -> int:
        """A reader that gets an answer in one piece is woken once. Linux can do so, with pipes since 6.4."""
        try:
            return os.pwritev(self._fd, [data], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _NO_SUCH_WRITE:
                raise
            self._write_now = self._what_never_blocks
            return self._write_now(data)

    def _what_never_blocks(self, data: memoryview) -> int:
        """Once poll says that there is room, PIPE_BUF bytes are written without waiting."""
        return os.write(self._fd, data[: select.PIPE_BUF]) if self._poll.poll(0) else 0

    async def flush(self) -> None:
        """Nothing is held back."""

    def is_unread(self) -> bool:
        """Whether the other end is closed, so that nobody can read what is written."""
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
