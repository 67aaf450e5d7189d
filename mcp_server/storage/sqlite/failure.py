"""What an error of SQLite means: busy, so repeat; a value that can't be stored; damage; or a failing disk."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from json import JSONDecodeError
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy.exc import DBAPIError

from mcp_server.errors import StoreFailure
from mcp_server.storage.files.atomic import check_writable

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_RUINED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")


def retried(attempt: Callable[[], T], seconds: float) -> T:
    """Repeat while SQLite says that the database is locked, for at most so long. Its busy timeout does not cover all
    cases: entering WAL mode and recovering a WAL fail with "locked" at once."""
    deadline = time.monotonic() + seconds
    delay = 0.01
    while True:
        try:
            return attempt()
        except (sqlite3.Error, DBAPIError) as error:
            if _code(error) not in _BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(delay * random.uniform(0.5, 1))
        delay = min(delay * 2, 0.25)


def is_unstorable(error: Exception) -> bool:
    """Whether a statement failed because of a value that a column can't hold."""
    if isinstance(error, sqlite3.ProgrammingError):
        return "binding" in str(error)
    if isinstance(error, sqlite3.IntegrityError):  # a trigger refuses for reasons of its own
        return error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_TRIGGER
    refused = sqlite3.DataError | sqlite3.InterfaceError
    return isinstance(error, refused | OverflowError | UnicodeEncodeError | RecursionError)


def is_damage(error: Exception) -> bool:
    """Whether an error means that the file is damaged: SQLite says so, or a column holds what nobody wrote there."""
    if isinstance(error, DBAPIError | sqlite3.Error):
        return is_ruin(error) or "Could not decode to UTF-8" in str(_raised(error))
    return isinstance(error, JSONDecodeError | UnicodeDecodeError | msgspec.DecodeError)


def is_ruin(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether SQLite finds that the file is no database, or a corrupt one."""
    return _code(error) in _RUINED


def state_failure(path: Path, error: Exception) -> StoreFailure:
    """The failure that says what is wrong with the file or the disk, and the way out."""
    reason = str(_raised(error))
    way_out = "Free the disk or the lock it names and repeat"
    try:
        check_writable(path.parent)
    except OSError as unwritable:  # SQLite may say no more than "unable to open database file"
        reason = f"{path.parent} can't be written ({unwritable.strerror})"
        way_out = (
            "Make it writable, or name another folder for the state DB in THREADSTORE_SQLITE_HOME; `threadstore serve "
            "--read-only` reads the threads without one"
        )
    else:
        if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
            reason = "it is no file that can be read and written"
            way_out = "Fix its permissions, or move it away: it is rebuilt"
    return StoreFailure(
        f"the state DB {path} failed: {reason}; no thread is lost, since their files hold them. {way_out}"
    )


def _code(error: DBAPIError | sqlite3.Error) -> int:
    """SQLite's primary result code, 0 if there is none."""
    return getattr(_raised(error), "sqlite_errorcode", 0) & 0xFF


def _raised(error: Exception) -> object:
    """What the driver raised, whether SQLAlchemy has wrapped it or not."""
    return getattr(error, "orig", None) or error
