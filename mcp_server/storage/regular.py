"""Opens regular files alone. What else has the name of one (a pipe, a device, a folder) is refused, not waited for."""

from __future__ import annotations

import errno
import os
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG

_BINARY = getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def opened_fd(path: Path | str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file, which is private if it is created.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    # Without O_NONBLOCK the opening of a pipe waits for its other end; of a regular file it changes nothing.
    fd = os.open(path, flags | _BINARY | _NO_WAIT, 0o600)
    if not S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return fd


def opened(path: Path | str, flags: int = 0) -> BufferedReader:
    """A regular file, to be read. Raises as `opened_fd`."""
    return os.fdopen(opened_fd(path, os.O_RDONLY | flags), "rb")


def content(path: Path | str, most: int) -> bytes:
    """What a regular file holds. Raises as `opened_fd`, and OSError too if it is longer than `most` bytes."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most >> 20} MB", str(path))
    return data
