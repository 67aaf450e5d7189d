"""Reads from Codex's own state DB what no rollout holds, without leaving a trace.

Codex owns `state_<N>.sqlite`; this module only reads it. If that is impossible (no such file, an older schema, a
damaged or locked database), nothing is known: the answer is empty, and no error is raised.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from mcp_server.models.records import SpawnEdge
from mcp_server.storage import regular

_FILE = re.compile(r"state_(\d+)\.sqlite")
_BUSY_S = 0.2
_SLACK_MS = 2_000
_NAMED = "trim(coalesce(name, '')) <> ''"
_TITLED = (
    "history_mode = 'legacy' AND trim(title) <> '' AND trim(title) NOT IN (trim(first_user_message), trim(preview))"
)


def names(sqlite_home: Path, thread_ids: Collection[str] | None = None) -> dict[str, str]:
    """Names by thread id, trimmed, as Codex shows them, whatever session_index.jsonl says: `name` of a paginated
    thread, and `title` of a legacy one unless that is only its first message (as in Codex 0.169 and 0.171).

    `sqlite_home` is the folder that holds Codex's databases. None asks for all threads, and scans every row.
    """
    asked = () if thread_ids is None else (json.dumps(list(thread_ids)),)
    among = "" if thread_ids is None else "id IN (SELECT value FROM json_each(?)) AND "
    found: dict[str, str] = {}
    for names in (f"title FROM threads WHERE {among}{_TITLED}", f"name FROM threads WHERE {among}{_NAMED}"):
        rows = _read(sqlite_home, f"SELECT id, {names} ORDER BY id", asked)
        found |= {str(thread_id): str(name).strip() for thread_id, name in rows}
    return found


def paths(sqlite_home: Path, thread_ids: Collection[str]) -> dict[str, str]:
    """The paths of these threads' rollouts by thread id, as Codex spells them."""
    query = "SELECT id, rollout_path FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return {str(one): str(path) for one, path in _read(sqlite_home, query, (json.dumps(list(thread_ids)),))}


def changed_since(sqlite_home: Path, at_ms: int | None, limit: int = 200) -> dict[str, int]:
    """The threads that Codex has written to last, with the times in Unix milliseconds, the last first. Only those since
    `at_ms`, and a little before it, unless that is None."""
    since = 0 if at_ms is None else at_ms - _SLACK_MS
    rows = _read(
        sqlite_home,
        f"SELECT id, updated_at_ms FROM threads WHERE updated_at_ms >= {since:d} "
        f"ORDER BY updated_at_ms DESC LIMIT {limit:d}",
    )
    return {str(thread_id): at for thread_id, at in rows if isinstance(at, int)}


def closed_edges(sqlite_home: Path) -> list[SpawnEdge]:
    """The spawn edges whose agent was closed, sorted by child id. Open ones follow from the rollouts."""
    rows = _read(
        sqlite_home,
        "SELECT parent_thread_id, child_thread_id FROM thread_spawn_edges WHERE status = 'closed' "
        "ORDER BY child_thread_id",
    )
    return [SpawnEdge(str(parent), str(child), "closed") for parent, child in rows]


def _read(sqlite_home: Path, query: str, values: Sequence[str] = ()) -> Sequence[tuple[object, object]]:
    try:
        path = newest(sqlite_home)
        if path is None:
            return []
        with closing(sqlite3.connect(uri(path), uri=True, timeout=_BUSY_S)) as connection:
            return connection.execute(query, values).fetchall()
    except (OSError, ValueError, sqlite3.Error):
        return []


def newest(sqlite_home: Path) -> Path | None:
    """The file of the newest generation, None if there is none. Regular files come before others of such a name."""
    try:
        names = os.listdir(sqlite_home)
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = {int(match[1]): sqlite_home / match[0] for match in map(_FILE.fullmatch, names) if match}
    return max(found.items(), key=lambda one: (one[1].is_file(), one[0]))[1] if found else None


def database_files(sqlite_home: Path) -> list[Path]:
    """The files of the newest generation, whose stamps reveal its changes; empty if there is none."""
    try:
        path = newest(sqlite_home)
    except OSError:
        return []
    return [] if path is None else [path, path.with_name(f"{path.name}-wal")]


def uri(path: Path) -> str:
    """The URI that opens the database for reading without creating files beside it."""
    # Even a read-only connection to a WAL database creates -wal and -shm when they aren't there. Both exist while
    # Codex runs; without them nobody writes, and the main file alone can be read as immutable.
    with regular.opened(path) as file:
        wal = file.read(20)[18:] == b"\x02\x02"
    in_use = all(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-shm"))
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if wal and not in_use else ''}"
