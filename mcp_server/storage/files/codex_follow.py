"""Updates Codex's rows of threads that were archived, unarchived, named or given git info here (`CodexRows`).

Each update is one short transaction, with a bound on its time. The database is Codex's: nothing is created, migrated,
inserted or deleted in it, and a database of an unknown version is not touched.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import uncompressed
from mcp_server.models.params import GitField
from mcp_server.models.thread import GitInfo
from mcp_server.storage.codex_rows import CodexRows, FollowedGit
from mcp_server.storage.files import codex_db as codex_state
from mcp_server.storage.files.codex_home import CodexHome

_GENERATION = 5
BUSY_SECONDS = 2.0
_COLUMNS = {
    *("id", "rollout_path", "archived", "archived_at", "history_mode", "name", "title"),
    *("git_sha", "git_branch", "git_origin_url"),
}


class _Left(Exception):
    """The database is left as it is; the text says why."""


class _Row(NamedTuple):
    thread_id: str
    path: str
    archived: int
    archived_at: int | None
    mode: str
    home: str = ""


class CodexDatabase(CodexRows):
    """The rows in `state_5.sqlite`. `home` is the folder of the rollouts, `sqlite_home` that of Codex's databases. If
    `read_only`, nothing is changed, and the answers say so. `busy_seconds` bounds the wait for other programs."""

    def __init__(
        self, home: Path, sqlite_home: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self._home, self._sqlite_home, self._read_only = CodexHome(home), sqlite_home, read_only
        self._busy_seconds = busy_seconds

    def follows(self, thread_id: str) -> bool:
        if self._read_only:
            return False
        try:
            with self._opened(look=True) as connection:
                return connection is not None and bool(self._rows(connection, [thread_id]))
        except (_Left, OSError, sqlite3.Error):
            return False

    def lagging(self, rollouts: Mapping[str, RolloutRef]) -> list[str]:
        if not rollouts:
            return []
        try:
            with self._opened(look=True) as connection:
                return [new.thread_id for new in self._due(connection, rollouts)] if connection is not None else []
        except (_Left, OSError, sqlite3.Error):
            return []

    def move(self, rollouts: Mapping[str, RolloutRef], dry_run: bool = False) -> str | None:
        def work(connection: sqlite3.Connection) -> None:
            due = [(row.path, row.archived, row.archived_at, row.thread_id) for row in self._due(connection, rollouts)]
            update = "UPDATE threads SET rollout_path = ?, archived = ?, archived_at = ? WHERE id = ?"
            self._write(None if dry_run else connection, update, due)

        way_out = "call store_repair later to let it follow"
        return self._attempt(work, rollouts, way_out) if rollouts else None

    def name(self, thread_id: str, name: str) -> str | None:
        def work(connection: sqlite3.Connection) -> None:
            for row in self._rows(connection, [thread_id]):
                # Where Codex itself keeps it, and looks for it first.
                column = {"paginated": "name", "legacy": "title"}.get(row.mode)
                if column is None:
                    raise _Left(f"its row of thread {row.thread_id} has the unknown history mode {row.mode!r}")
                self._write(connection, f"UPDATE threads SET {column} = ? WHERE id = ?", [(name, thread_id)])

        return self._attempt(work, [thread_id])

    def git(self, thread_id: str, fields: Mapping[GitField, str | None]) -> FollowedGit:
        found: list[GitInfo] = []

        def work(connection: sqlite3.Connection) -> None:
            for _ in self._rows(connection, [thread_id]):
                columns = ", ".join(f"git_{field} = ?" for field in fields)
                values = [(*fields.values(), thread_id)]
                self._write(connection, f"UPDATE threads SET {columns} WHERE id = ?", values)
                query = "SELECT git_sha, git_branch, git_origin_url FROM threads WHERE id = ?"
                (now,) = connection.execute(query, (thread_id,))
                sha, branch, origin_url = (None if value is None else str(value) for value in now)
                found.append(GitInfo(sha=sha, branch=branch, origin_url=origin_url))

        left = self._attempt(work, [thread_id])
        return FollowedGit(found[0] if found and left is None else None, left)

    # ------------------------------------------------------------------------------------------ the database

    def _attempt(
        self,
        work: Callable[[sqlite3.Connection], None],
        thread_ids: Collection[str],
        way_out: str = "repeat the call",
    ) -> str | None:
        """Do the work in one transaction. Returns None, or a sentence on why not. `way_out` is for passing reasons."""
        path: Path | None = self._sqlite_home
        self._home.forget()
        try:
            path = codex_state.newest(self._sqlite_home)
            with self._opened() as connection:
                if connection is None:
                    return None
                connection.execute("BEGIN" if self._read_only else "BEGIN IMMEDIATE")
                try:
                    work(connection)
                    foreign = [row for row in _fetch(connection, thread_ids) if self._home.prefix(row.path) is None]
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            for row in foreign:
                raise _Left(f"its row of thread {row.thread_id} names a file that is not in this home, {row.path}")
            return None
        except (_Left, OSError, sqlite3.Error) as error:
            reason = f"another program is writing to it; {way_out}" if _is_busy(error) else str(error)
            return f"Codex's own database {path} was left as it is: {reason}; Codex itself does not see this change"

    @contextmanager
    def _opened(self, *, look: bool = False) -> Generator[sqlite3.Connection | None]:
        """The database, None if Codex has none. A `look` can't change it. Raises `_Left` if its kind is unknown."""
        path = codex_state.newest(self._sqlite_home)
        if path is None:
            yield None
            return
        if not S_ISREG(path.stat().st_mode):
            raise _Left("it is no regular file")
        if path.name != f"state_{_GENERATION}.sqlite":
            raise _Left(f"it is newer than what this version knows, state_{_GENERATION}.sqlite")
        if not (look or self._read_only or os.access(path, os.W_OK)):
            raise _Left("it is read-only")
        uri = f"{path.absolute().as_uri()}?mode={'ro' if look else 'rw'}"
        if self._read_only or (look and not _has_wal(path)):
            uri = codex_state.uri(path)
        with closing(sqlite3.connect(uri, uri=True, timeout=self._busy_seconds, isolation_level=None)) as connection:
            _check_kind(connection)
            yield connection

    def _write(self, connection: sqlite3.Connection | None, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Without a connection (a dry run), only raise what would prevent the write."""
        if rows and self._read_only:
            raise _Left("this server was told not to change it (--codex-db read-only)")
        if rows and connection is not None:
            connection.executemany(statement, rows)

    def _due(self, connection: sqlite3.Connection, rollouts: Mapping[str, RolloutRef]) -> list[_Row]:
        """The rows that are out of date, with the values that they should have."""
        rows = self._rows(connection, rollouts)
        return [new for row in rows if (new := _moved(row, rollouts[row.thread_id])) != row]

    def _rows(self, connection: sqlite3.Connection, thread_ids: Collection[str]) -> list[_Row]:
        """The rows of these threads that name rollouts in this home."""
        found = _fetch(connection, thread_ids)
        return [row._replace(home=home) for row in found if (home := self._home.prefix(row.path)) is not None]


def _moved(row: _Row, rollout: RolloutRef) -> _Row:
    separator = "\\" if "\\" in row.path else "/"
    # Codex's row names the plain file even if it is compressed.
    plain = uncompressed(rollout.path)
    at = (row.archived_at or int(time.time())) if rollout.archived else None
    return row._replace(
        path=separator.join((row.home, *plain.split("/"))), archived=int(rollout.archived), archived_at=at
    )


def _fetch(connection: sqlite3.Connection, thread_ids: Collection[str]) -> list[_Row]:
    query = (
        "SELECT id, rollout_path, archived, archived_at, history_mode FROM threads "
        "WHERE id IN (SELECT value FROM json_each(?))"
    )
    return [_Row(row[0], str(row[1]), *row[2:]) for row in connection.execute(query, (json.dumps(list(thread_ids)),))]


def _check_kind(connection: sqlite3.Connection) -> None:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(threads)")}
    if missing := sorted(_COLUMNS - columns):
        raise _Left(f"its schema is unknown to this version, `threads` has no {', '.join(missing)}")
    migrations = connection.execute("SELECT version, success FROM _sqlx_migrations ORDER BY version").fetchall()
    if not migrations or [version for version, _ in migrations] != list(range(1, len(migrations) + 1)):
        raise _Left("its schema is unknown to this version, its migrations are not numbered in a row")
    if not all(success for _, success in migrations):
        raise _Left("a migration of its schema is not complete")


def _has_wal(path: Path) -> bool:
    """Whether the WAL holds changes: a killed Codex leaves them behind, even if nobody has the database open."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        return False


def _is_busy(error: Exception) -> bool:
    busy = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in busy
