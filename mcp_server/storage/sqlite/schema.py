"""Opening the state DB's file: whose it is, what is moved aside, how its schema comes to be current."""

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
from mcp_server.storage.sqlite.engine import BUSY_SECONDS, connect
from mcp_server.storage.sqlite.failure import is_ruin, retried
from mcp_server.storage.sqlite.triggers import CREATE_TRIGGERS

if TYPE_CHECKING:
    from alembic.config import Config

APPLICATION_ID = int.from_bytes(b"thrd", "big")
"""In the header of every state DB; a file with another one, or with tables and none, is another program's."""

MIGRATIONS = Path(__file__).parents[1] / "sql" / "migrations"
OPEN_SECONDS = 30
CHECKED_BYTES = 32 << 20

_COUNT_TABLES = "SELECT count(*) FROM sqlite_master"

Identity = tuple[int, int]
"""Device and inode: which file it is that has a name."""


def open_file(path: Path, ruined: Identity | None = None) -> tuple[Engine, Path | None]:
    """The engine of an existing or new state DB with a current schema, and where a file that was no good went.
    `ruined` is a file in which damage was met; while it has the name, it is no good.

    Raises:
        filelock.Timeout: other processes have kept the opening for themselves for `OPEN_SECONDS`.
        OSError, sqlite3.Error, sqlalchemy.exc.DBAPIError: the file can't be read, written or created.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    current = None if ruined and identity(path) == ruined else open_existing(path)
    if current is not None:  # the usual case: nothing to do that other processes would have to wait for
        return current, None
    # One process at a time: while one moves a ruined file aside, another must not create a new one in its place,
    # since the -wal that is moved (or deleted by whoever closes last) is found by name.
    with FileLock(f"{path}.lock", timeout=OPEN_SECONDS, mode=0o600):
        known_bad = ruined is not None and identity(path) == ruined
        good = not known_bad and retried(lambda: _is_ours(path), OPEN_SECONDS)
        moved_aside = None if good else _move_aside(path)
        retried(lambda: _create(path), OPEN_SECONDS)
        engine = connect(path)
        try:
            retried(lambda: _make_current(engine), OPEN_SECONDS)
        except BaseException:
            engine.dispose()
            raise
        return engine, moved_aside


def open_existing(path: Path) -> Engine | None:
    """The engine of a state DB as it is: None if there is none, it is no good, or its schema is older than this
    version's. Creates, moves and migrates nothing.

    Raises:
        sqlite3.Error, sqlalchemy.exc.DBAPIError: the file can't be read.
    """
    if not path.exists() or not retried(lambda: _is_ours(path), BUSY_SECONDS):
        return None
    engine = connect(path)
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


def take_log_over(engine: Engine) -> None:
    """Take what the database's log (-wal) holds over into the file, as far as nobody reads older states. Others read
    and write meanwhile."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def flush_log(path: Path) -> None:
    """Have the disk hold what is committed. SQLite's locks are on other files, so this one may be opened and closed."""
    with suppress(OSError), Path(f"{path}-wal").open("rb+") as log:
        os.fsync(log.fileno())


def log_of(path: Path) -> FileStamp | None:
    """The database's log, None if there is none."""
    try:
        stat = Path(f"{path}-wal").stat()
    except OSError:
        return None
    return FileStamp(stat.st_size, stat.st_mtime_ns)


# ---------------------------------------------------------------------------------------------- the file


def _is_ours(path: Path) -> bool:
    """Whether the file can be used: not there, empty, or a sound database of ours."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
                # A large database is not read through at each start; damage in it is met where it is read.
                small = path.stat().st_size <= CHECKED_BYTES
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


def _create(path: Path) -> None:
    """Make the file private before SQLite puts anything into it (-wal and -shm inherit its mode), and enter WAL mode,
    which lasts and can't be entered within a transaction."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
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
    for statement in CREATE_TRIGGERS:
        connection.exec_driver_sql(statement)
    connection.execute(insert(SchemaVersion).values(version_num=REVISION))
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def migrate(connection: Connection, revision: str | None) -> None:
    """Take an older schema to the newest, in the connection's transaction. A revision that isn't known comes from a
    newer version and is left alone, as Codex leaves newer migrations."""
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
