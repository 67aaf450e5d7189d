"""Why the state DB can't be used, and the way out."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_server.errors import StoreFailure
from mcp_server.storage.files.atomic import check_writable


def state_failure(path: Path, error: Exception) -> StoreFailure:
    """What is told of an error that SQLite or the system has raised. Blocks."""
    reason = str(getattr(error, "orig", None) or error)
    way_out = "Free the disk or the lock it names and repeat"
    try:
        check_writable(path.parent)
    except OSError as unwritable:  # all that SQLite says of it may be "unable to open database file"
        reason = f"{path.parent} can't be written ({unwritable.strerror})"
        way_out = (
            "Make it writable, or name another folder for the state DB in THREADSTORE_SQLITE_HOME; `threadstore serve "
            "--read-only` reads the threads without one"
        )
    else:
        if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
            reason = "it is no file that can be read and written"
            way_out = "Mend its rights, or move it away: it is rebuilt"
    return StoreFailure(
        f"the state DB {path} failed: {reason}; no thread is lost, since the rollouts hold them. {way_out}"
    )
