"""Names for the workers of a backfill, and whether the process of such a worker is still alive."""

from __future__ import annotations

import os
import uuid


def worker_name() -> str:
    """A name for a new worker of this process; no other has it."""
    return f"{os.getpid()}:{uuid.uuid4().hex}"


def has_died(name: str | None) -> bool:
    """Whether the worker's process is known to be gone. A process in another container looks gone, too; then two
    workers do the same work at once, which is harmless."""
    pid = (name or "").partition(":")[0]
    if os.name == "nt" or not pid.isascii() or not pid.isdigit():  # on Windows, os.kill would end the process
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
