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


async def until_stopped(serve: Callable[[], Awaitable[object]]) -> None:
    """Serve until that ends by itself, or SIGINT or SIGTERM cancels it. A second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:

        def stop(number: int, frame: FrameType | None) -> None:
            if scope.cancel_called:
                os._exit(128 + number)
            loop.call_soon_threadsafe(scope.cancel)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            await serve()
        finally:
            # What lingers after a cancellation must still be open to a second signal, so only a plain end restores.
            if not scope.cancel_called:
                for number, handler in before.items():
                    signal.signal(number, handler)


def leave_soon() -> None:
    """End the process with exit code 0 after a moment, if it has not ended by itself.

    A worker thread that reads stdin or waits for changed files can't be cancelled, and a process waits for its threads.
    """
    timer = threading.Timer(_LINGER_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
