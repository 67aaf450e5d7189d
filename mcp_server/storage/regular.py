"""Opens only regular files. Anything else (a pipe, a device, a folder) is refused, so that opening never blocks."""

from __future__ import annotations

import errno
import os
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG

_BINARY = getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def opened_fd(path: Path | str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file. A file that is created has mode 0600.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for its other end. For a regular file the flag changes nothing.
    fd = os.open(path, flags | _BINARY | _NO_WAIT, 0o600)
    if not S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return fd


def opened(path: Path | str, flags: int = 0) -> BufferedReader:
    """A regular file, opened for reading. Raises as `opened_fd`."""
    return os.fdopen(opened_fd(path, os.O_RDONLY | flags), "rb")


def content(path: Path | str, most: int) -> bytes:
    """The content of a regular file. Raises as `opened_fd`, and OSError also if it is longer than `most` bytes."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most >> 20} MB", str(path))
    return data
