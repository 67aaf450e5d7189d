"""The memory of a server that runs for long."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_M_ARENA_MAX = -8


def share_one_heap() -> None:
    """Let all threads of this process share one heap. Call it before there are any.

    glibc gives threads heaps of their own, up to eight a core, and what is freed in one is no use to another. Work goes
    from worker thread to worker thread here, so each heap in turn grows to what the whole server needs at most: after
    10,000 calls 38 MB of 68 were free and yet not given back. Other C libraries have no such call and need none.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
