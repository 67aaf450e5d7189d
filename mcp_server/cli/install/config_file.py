"""A config file of another program: read as it is, written all at once, with a copy of what was there."""

from __future__ import annotations

import codecs
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcp_server.cli.install.configs.format import InvalidConfig
from mcp_server.storage.files import atomic

_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Content:
    """What a file holds. `data` None: there is no file. `text` has `\\n` for line ends."""

    data: bytes | None
    text: str
    line_end: str
    mark: bytes
    """The byte order mark that it begins with, if it has one."""

    def bytes_of(self, text: str) -> bytes:
        """A new text, spelt as this file is."""
        return self.mark + text.replace("\n", self.line_end).encode()


def read(path: Path) -> Content:
    """What the file holds; nothing if there is none.

    Raises:
        InvalidConfig: it can't be read, or is no text.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidConfig("it is no file")
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise InvalidConfig(f"it has more than {_MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
    except FileNotFoundError:
        return Content(None, "", "\n", b"")
    except OSError as error:
        raise InvalidConfig(f"it can't be read ({error.strerror})") from error
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        text = data[len(mark) :].decode()
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"it is no UTF-8 text: {error}") from error
    # A file with both keeps what it has, as it has it.
    all_crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
    return Content(data, text.replace("\r\n", "\n") if all_crlf else text, "\r\n" if all_crlf else "\n", mark)


def copy_aside(path: Path, now: datetime) -> Path | None:
    """Copy the file beside itself, with its rights; returns the copy. None: there is no file."""
    if not path.exists():
        return None
    name = f"{path.name}.{now:%Y%m%d-%H%M%S}"
    candidates = (path.with_name(f"{name}{number}.bak") for number in ("", *(f"-{n}" for n in range(2, 1_000))))
    aside = next(one for one in candidates if not os.path.lexists(one))
    shutil.copy2(path, aside)
    return aside


def write(path: Path, data: bytes, *, seen: bytes | None) -> None:
    """Put new content in the place of what was `seen`. A link stays one, and the file keeps its rights.

    Raises:
        InvalidConfig: somebody has changed it since, or it can't be written.
    """
    place = Path(os.path.realpath(path))
    try:
        if read(place).data != seen:
            raise InvalidConfig("another program has changed it meanwhile")
        mode = place.stat().st_mode & 0o777 if seen is not None else None
        atomic.replace(place, data)
        if mode is not None:
            place.chmod(mode)
    except OSError as error:
        raise InvalidConfig(f"it can't be written ({error.strerror})") from error
