"""A database like Codex's own, as far as threads go: what a home holds that Codex has been at."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

FILE = "state_5.sqlite"
COLUMNS = {
    "id": "TEXT PRIMARY KEY",
    "rollout_path": "TEXT NOT NULL",
    "updated_at": "INTEGER NOT NULL DEFAULT 7",
    "title": "TEXT NOT NULL DEFAULT ''",
    "archived": "INTEGER NOT NULL DEFAULT 0",
    "archived_at": "INTEGER",
    "git_sha": "TEXT",
    "git_branch": "TEXT",
    "git_origin_url": "TEXT",
    "first_user_message": "TEXT NOT NULL DEFAULT ''",
    "preview": "TEXT NOT NULL DEFAULT ''",
    "history_mode": "TEXT NOT NULL DEFAULT 'legacy'",
    "name": "TEXT",
}
MIGRATIONS = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, success BOOLEAN NOT NULL)"

Row = dict[str, Any]


def make(folder: Path, *rows: Row, without: str | None = None, migrations: dict[int, bool] | None = None) -> Path:
    """The database with these rows, in WAL mode and used by nobody."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items() if name != without)
    with opened(folder) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute(f"CREATE TABLE threads ({columns})")
        db.execute(MIGRATIONS)
        known = migrations if migrations is not None else dict.fromkeys(range(1, 63), True)
        db.executemany("INSERT INTO _sqlx_migrations VALUES (?, ?)", known.items())
        for row in rows:
            db.execute(f"INSERT INTO threads ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
    return folder / FILE


def row_of(path: Path) -> Row:
    """What Codex's row tells of the rollout at this path."""
    return {"id": path.stem[-36:], "rollout_path": str(path), "archived": int(path.parent.name == "archived_sessions")}


@contextmanager
def opened(folder: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        yield db


def rows_of(folder: Path) -> dict[str, Row]:
    """All rows, by thread id."""
    with opened(folder) as db:
        db.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in db.execute("SELECT * FROM threads ORDER BY id")}
