"""What only Codex's own state DB says about single threads: names, git info of paginated threads, and sections. Read
when a thread is shown, and cached until the database changes.

As in `codex_db`, any error means that nothing is known.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from mcp_server.models.thread import GitInfo, Section, StoredThread
from mcp_server.storage.files.codex_db import database_files, newest, uri
from mcp_server.storage.files.codex_home import CodexHome
from mcp_server.storage.files.stamps import Stamps, settled, stamps_of

_BUSY_S = 0.2
_MAX_CACHED = 5_000
_NAME = (
    "CASE WHEN t.history_mode <> 'legacy' THEN trim(t.name) "
    "WHEN trim(t.title) NOT IN (trim(t.first_user_message), trim(t.preview)) THEN trim(t.title) END"
)
_KNOWN = (
    f"SELECT t.id, t.history_mode, {_NAME}, t.git_sha, t.git_branch, t.git_origin_url, t.rollout_path, {{sections}} "
    "WHERE t.id IN (SELECT value FROM json_each(?))"
)
_SECTIONS = (
    "s.id, s.name, t.section_entered_at_ms FROM threads t LEFT JOIN thread_sections s ON s.id = t.thread_section_id"
)
_NO_SECTIONS = "NULL, NULL, NULL FROM threads t"
_IN_SECTION = (
    "SELECT id FROM threads WHERE thread_section_id IN (SELECT id FROM thread_sections WHERE id = ?1 OR name = ?1)"
)


Row = Sequence[object]


class CodexFacts:
    """Reads the newest state DB in a folder. Where our names don't get into it, ours take precedence over its names, as
    in `CodexNames`."""

    def __init__(self, home: Path, sqlite_home: Path, *, ours_first: bool = False) -> None:
        self._home, self._folder, self._ours_first = CodexHome(home), sqlite_home, ours_first
        self._lock = threading.Lock()
        self._stamps: Stamps | None = None
        self._cache: dict[str, Row | None] = {}

    def added_to(self, threads: Sequence[StoredThread]) -> list[StoredThread]:
        """The threads, each with the facts in Codex's row of it."""
        if not threads:
            return []
        rows = self._rows([thread.id for thread in threads])
        return [self._with(thread, rows[thread.id]) if thread.id in rows else thread for thread in threads]

    def in_section(self, section: str) -> list[str]:
        """The ids of the threads in the section with this id or name, in any order."""
        rows = self._read((_IN_SECTION,), section)
        return [str(row[0]) for row in rows]

    def _rows(self, thread_ids: Collection[str]) -> dict[str, Row]:
        with self._lock:
            now_ns, stamps = time.time_ns(), stamps_of(database_files(self._folder))
            if stamps != self._stamps or len(self._cache) > _MAX_CACHED:
                self._cache.clear()
                self._home.forget()
            self._stamps = settled(stamps, now_ns)
            if stamps and (missing := [thread_id for thread_id in thread_ids if thread_id not in self._cache]):
                both = (_KNOWN.format(sections=_SECTIONS), _KNOWN.format(sections=_NO_SECTIONS))
                self._cache |= dict.fromkeys(missing)
                self._cache |= {str(row[0]): row for row in self._read(both, json.dumps(missing))}
            return {key: row for key in thread_ids if (row := self._cache.get(key)) is not None}

    def _read(self, queries: Sequence[str], value: str) -> Sequence[Row]:
        """The result of the first query that the schema has all columns for."""
        try:
            if (path := newest(self._folder)) is None:
                return []
            with closing(sqlite3.connect(uri(path), uri=True, timeout=_BUSY_S)) as connection:
                for query in queries:
                    try:
                        return connection.execute(query, (value,)).fetchall()
                    except sqlite3.OperationalError:  # a column is missing in this version, or the database is locked
                        continue
        except (OSError, ValueError, sqlite3.Error):
            pass
        return []

    def _with(self, thread: StoredThread, row: Row) -> StoredThread:
        _, mode, name, sha, branch, origin_url, path, section_id, section_name, entered_ms = row
        section = Section(id=str(section_id), name=str(section_name)) if section_id is not None else None
        entered = entered_ms if section is not None and isinstance(entered_ms, int) else None
        codex_name = _text(name)
        ours_first = self._ours_first or self._home.prefix(str(path)) is None
        name = thread.name or codex_name if ours_first else codex_name or thread.name
        thread = replace(thread, name=name, section=section, section_entered_at_ms=entered)
        if mode != "paginated":
            return thread
        git = GitInfo(sha=_text(sha), branch=_text(branch), origin_url=_text(origin_url))
        return replace(thread, git=git if git != GitInfo() else None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
