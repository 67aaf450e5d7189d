"""Opens the state DB's file: checks whose it is, moves an unusable one aside, and brings its schema up to date."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from sqlalchemy import Connection, Engine
from sqlmodel import SQLModel, col, insert, select

from mcp_server.models.thread import FileStamp
from mcp_server.storage.sql.tables import REVISION, SchemaVersion
from mcp_server.storage.sqlite.bounds import StateBounds
from mcp_server.storage.sqlite.engine import connect
from mcp_server.storage.sqlite.failure import is_ruin, retried
from mcp_server.storage.sqlite.triggers import CREATE_TRIGGERS, CREATE_WORDS

if TYPE_CHECKING:
    from alembic.config import Config

APPLICATION_ID = int.from_bytes(b"thrd", "big")
"""In the header of every state DB. A file with another id, or with tables but no id, is another program's."""

MIGRATIONS = Path(__file__).parents[1] / "sql" / "migrations"

_COUNT_TABLES = "SELECT count(*) FROM sqlite_master"

Identity = tuple[int, int]
"""Device and inode: the file that a name stands for."""


def open_file(path: Path, bounds: StateBounds, ruined: Identity | None = None) -> tuple[Engine, Path | None]:
    """The engine of an existing or new state DB with a current schema; and where an unusable file was moved, if there
    was one. `ruined` is a file that was found damaged: if the path still names it, it is unusable.

    Raises:
        filelock.Timeout: other processes were opening the file for longer than the bound.
        OSError, sqlite3.Error, sqlalchemy.exc.DBAPIError: the file can't be read, written or created.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    current = None if ruined and identity(path) == ruined else open_existing(path, bounds)
    if current is not None:  # the usual case, in which no other process has to wait
        return current, None
    # One process at a time: while one moves a ruined file aside, another must not create a new one in its place,
    # since the -wal that is moved (or deleted by whoever closes last) is found by name.
    with FileLock(f"{path}.lock", timeout=bounds.open_seconds, mode=0o600):
        known_bad = ruined is not None and identity(path) == ruined
        good = not known_bad and retried(lambda: _is_ours(path, bounds), bounds.open_seconds)
        moved_aside = None if good else _move_aside(path)
        retried(lambda: _create(path, bounds), bounds.open_seconds)
        engine = connect(path, bounds.busy_seconds)
        try:
            retried(lambda: _make_current(engine), bounds.open_seconds)
        except BaseException:
            engine.dispose()
            raise
        return engine, moved_aside


def open_existing(path: Path, bounds: StateBounds) -> Engine | None:
    """The engine of a state DB as it is; None if there is none, if it is unusable, or if its schema is older than this
    version's. Creates, moves and migrates nothing.

    Raises:
        sqlite3.Error, sqlalchemy.exc.DBAPIError: the file can't be read.
    """
    if not path.exists() or not retried(lambda: _is_ours(path, bounds), bounds.busy_seconds):
        return None
    engine = connect(path, bounds.busy_seconds)
    try:
        with engine.connect() as connection:
            empty = connection.exec_driver_sql(_COUNT_TABLES).scalar_one() == 0
            usable = not empty and (_revision(connection) or "") >= REVISION
    except BaseException:
        engine.dispose()
        raise
    if usable:
        return engine
    engine.dispose()
    return None


def identity(path: Path) -> Identity | None:
    """Which file has the name now, None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def checkpoint_wal(engine: Engine) -> None:
    """Write the WAL into the database file, as far as nobody reads older states. Others read and write meanwhile."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def flush_wal(path: Path) -> None:
    """Flush all commits to the disk. SQLite's locks are on other files, so the WAL may be opened and closed here."""
    with suppress(OSError), Path(f"{path}-wal").open("rb+") as wal:
        os.fsync(wal.fileno())


def wal_stamp(path: Path) -> FileStamp | None:
    """The stamp of the database's WAL, None if there is none."""
    try:
        stat = Path(f"{path}-wal").stat()
    except OSError:
        return None
    return FileStamp(stat.st_size, stat.st_mtime_ns)


# ---------------------------------------------------------------------------------------------- the file


def _is_ours(path: Path, bounds: StateBounds) -> bool:
    """Whether the file can be used: not there, empty, or a sound database of ours."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with closing(sqlite3.connect(path, timeout=bounds.busy_seconds)) as connection:
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
                # A large database is not checked at each start; its damage is found when a damaged part is read.
                small = path.stat().st_size <= bounds.checked_bytes
                return not small or connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            return connection.execute(_COUNT_TABLES).fetchone()[0] == 0
        except sqlite3.DatabaseError as error:
            if is_ruin(error):
                return False
            raise


def _move_aside(path: Path) -> Path:
    at = int(time.time())
    while (aside := path.with_name(f"{path.name}.corrupt-{at}")).exists():
        at += 1
    for suffix in ("-wal", "-shm", "-journal", ""):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return aside


def _create(path: Path, bounds: StateBounds) -> None:
    """Create the file with mode 0600 before SQLite writes to it (-wal and -shm inherit the mode), and enter WAL mode,
    which is permanent and can't be entered within a transaction."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(path, timeout=bounds.busy_seconds)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


# ---------------------------------------------------------------------------------------------- the schema


def _make_current(engine: Engine) -> None:
    with engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
        if connection.exec_driver_sql(_COUNT_TABLES).scalar_one() == 0:
            create_tables(connection)
        elif (revision := _revision(connection)) != REVISION:
            migrate(connection, revision)


def _revision(connection: Connection) -> str | None:
    return connection.execute(select(col(SchemaVersion.version_num))).scalar_one_or_none()


def create_tables(connection: Connection) -> None:
    """Tables, stamp and application id of a fresh database, in the connection's transaction."""
    SQLModel.metadata.create_all(connection, checkfirst=False)
    for statement in (*CREATE_TRIGGERS, *CREATE_WORDS):
        connection.exec_driver_sql(statement)
    connection.execute(insert(SchemaVersion).values(version_num=REVISION))
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def migrate(connection: Connection, revision: str | None) -> None:
    """Migrate an older schema to the newest, in the connection's transaction. An unknown revision comes from a newer
    version and is left alone, as Codex does with newer migrations."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = alembic_config(connection)
    if revision is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(revision)
        except CommandError:
            return
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Config:
    """What alembic's commands need to work on this connection, within its transaction."""
    from alembic.config import Config

    config = Config(stdout=sys.stderr)  # stdout may be the MCP connection
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
