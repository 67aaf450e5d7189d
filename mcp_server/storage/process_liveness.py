"""What the workers of a backfill are called, and whether the one of a name still lives."""

from __future__ import annotations

import os
import uuid


def worker_name() -> str:
    """A name for a new worker of this process; no other has it."""
    return f"{os.getpid()}:{uuid.uuid4().hex}"


def has_died(name: str | None) -> bool:
    """Whether the worker's process is known to be gone. A process of another container looks like one: two workers at
    once do the same work twice and no harm."""
    pid = (name or "").partition(":")[0]
    if os.name == "nt" or not pid.isascii() or not pid.isdigit():  # on Windows the look would end the process
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
