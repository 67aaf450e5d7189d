"""Stamps of files, which reveal whether anything has changed.

Two changes within one tick of the file system's clock have the same mtime. So a stamp that is younger than a tick may
hide the next change; an older one is *settled*.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp_server.models.thread import FileStamp
from mcp_server.storage.files.atomic import stamp_of

_TICK_NS = 50_000_000
# For times without fractions: some file systems count in steps of two seconds.
_COARSE_TICK_NS = 2_000_000_000

Stamps = tuple[FileStamp | None, ...]


def stamps_of(paths: Sequence[Path | None]) -> Stamps:
    """The stamp of each file; None if it is not there."""
    found: list[FileStamp | None] = []
    for path in paths:
        try:
            found.append(None if path is None else stamp_of(path.stat()))
        except OSError:
            found.append(None)
    return tuple(found)


def is_settled(mtime_ns: int, now_ns: int) -> bool:
    """Whether a change from now on is certain to give another mtime."""
    tick = _TICK_NS if mtime_ns % 1_000_000_000 else _COARSE_TICK_NS
    return abs(now_ns - mtime_ns) > tick


def settled(stamps: Stamps, now_ns: int) -> Stamps | None:
    """The stamps if each change from now on is certain to alter them, else None."""
    return stamps if all(stamp is None or is_settled(stamp.mtime_ns, now_ns) for stamp in stamps) else None
