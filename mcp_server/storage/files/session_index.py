"""The names that users gave to the threads of a home: session_index.jsonl, which Codex writes too."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from pathlib import Path
from stat import S_ISREG

from mcp_server.codex.name_index import name_line, names_in, without_name
from mcp_server.codex.paths import NAME_INDEX
from mcp_server.errors import DamagedRollout
from mcp_server.models.thread import FileStamp
from mcp_server.storage import regular
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.atomic import stamp_of, writing
from mcp_server.storage.files.file_lock import LOCK_SECONDS, locked
from mcp_server.storage.rollout_text import reading

READ_BYTES = 64 << 20


class NameIndex:
    """Names are appended; the last line of a thread counts. Only the last 64 MB are read. `lock_seconds` bounds the
    wait for other writers."""

    def __init__(self, home: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self._path, self._lock_seconds = home / NAME_INDEX, lock_seconds

    def names(self) -> dict[str, str]:
        return names_in(self._read())

    def stamp(self) -> FileStamp | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stamp_of(stat) if S_ISREG(stat.st_mode) else None

    def append(self, thread_id: str, name: str, at_ms: int) -> None:
        with writing(NAME_INDEX), self._locked():
            durable.append(self._path, name_line(thread_id, name, at_ms), create=True)

    def forget(self, thread_id: str) -> None:
        with writing(NAME_INDEX), self._locked():
            before = self._read(whole=True)
            after = without_name(before, thread_id)
            if after != before:
                durable.replace(self._path, after)

    def _read(self, *, whole: bool = False) -> bytes:
        """The last lines, within the bound; if `whole`, a larger file is an OSError."""
        try:
            with reading(NAME_INDEX), regular.opened(self._path) as file:
                skipped = max(0, file.seek(0, os.SEEK_END) - READ_BYTES)
                if skipped and whole:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                file.seek(skipped)
                data = file.read(READ_BYTES)
                return data.partition(b"\n")[2] if skipped else data
        except DamagedRollout as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return b""
            raise

    def _locked(self) -> AbstractContextManager[None]:
        """Codex takes the same lock (flock on session_index.jsonl.lock) around its own appends and rewrites."""
        return locked(self._path, self._lock_seconds)
