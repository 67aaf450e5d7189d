"""How the process ends: the threads are closed in order, and then nothing keeps it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import anyio

# Time for what is under way, the last answers and the state DB's closing, once the threads are closed.
_LINGER_SECONDS = 0.5
_HANG_UP = getattr(signal, "SIGHUP", None)


async def until_stopped(serve: Callable[[], Awaitable[object]], end: Callable[[], None] | None = None) -> None:
    """Serve until that ends by itself, or a signal tells it to: SIGINT, SIGTERM, or the SIGHUP of a terminal or an SSH
    session that goes away. `end` makes it end in order; without it, it is cancelled. A second SIGINT or SIGTERM ends
    the process at once."""
    loop = asyncio.get_running_loop()
    told = False
    with anyio.CancelScope() as scope:

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal told
            # The kernel and the shell may each tell of the same hang-up.
            if told and number != _HANG_UP:
                os._exit(128 + number)
            told = True
            loop.call_soon_threadsafe(end or scope.cancel)

        taken = [signal.SIGINT, signal.SIGTERM]
        if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:  # as nohup has it
            taken.append(_HANG_UP)
        before = {number: signal.signal(number, stop) for number in taken}
        try:
            await serve()
        finally:
            # What lingers after that must still be open to a second signal, so only a plain end restores.
            if not told:
                for number, handler in before.items():
                    signal.signal(number, handler)


def leave_soon() -> None:
    """End the process with exit code 0 after a moment, if it has not ended by itself.

    A worker thread that reads stdin or waits for changed files can't be cancelled, and a process waits for its threads.
    """
    timer = threading.Timer(_LINGER_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
