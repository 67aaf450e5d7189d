"""Whose turn it is to watch a home: many servers may run on one, and each change need be taken in once."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.storage import regular

# A holder without a sign of life for this long is superseded: it may be suspended, and only its death frees the lock.
SILENT_SECONDS = 10.0
_SIGN_BYTES = 1 << 10


class WatchTurn:
    """One process at a time has the turn. Its death gives it back. All methods are quick and block for moments only.

    `path` is the sign of life, a small file beside the state DB; the lock lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._sign = path
        self._me = uuid.uuid4().hex.encode()
        self._lock = _lock(path)

    def take(self) -> bool:
        """Take the turn if nobody has it, or if whoever has it has been silent for too long."""
        try:
            if self._is_silent():
                # Two that find this at the same time may both go on until the one that was overtaken looks at the sign.
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.acquire(blocking=False)
            with os.fdopen(regular.opened_fd(self._sign, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(self._me)
        except (Timeout, OSError):
            self.give_back()
            return False
        return True

    def keep(self) -> bool:
        """Give a sign of life; False if another process has superseded this one, which then must not go on."""
        try:
            if regular.content(self._sign, _SIGN_BYTES) != self._me:
                return False
            os.utime(self._sign)
        except OSError:
            return False
        return True

    def give_back(self) -> None:
        with suppress(OSError):
            self._lock.release()

    def _is_silent(self) -> bool:
        try:
            return time.time() - self._sign.stat().st_mtime > SILENT_SECONDS
        except OSError:
            return False


def _lock(path: Path) -> FileLock:
    return FileLock(f"{path}.lock", mode=0o600, thread_local=False)
