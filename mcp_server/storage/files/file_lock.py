"""One writer at a time of a small file, by a lock file beside it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.errors import StoreFailure
from mcp_server.storage.files.atomic import make_folders

LOCK_SECONDS = 15.0


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Generator[None]:
    """Hold FILE.lock, for which others wait `seconds` at most.

    Raises:
        StoreFailure: another process kept it for longer.
    """
    make_folders(path.parent)
    lock = FileLock(f"{path}.lock", seconds, mode=0o600, poll_interval=0.01)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreFailure(
            f"{path.name} was kept locked by another process for {seconds:g} seconds; repeat the call"
        ) from error
    try:
        yield
    finally:
        lock.release()
