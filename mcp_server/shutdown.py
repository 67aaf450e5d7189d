"""Ends the process: on a signal the server closes its threads, and then nothing keeps the process alive."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import anyio

# Time for running work, the last answers and closing the state DB, after the threads are closed.
_LINGER_SECONDS = 0.5
_HANG_UP = getattr(signal, "SIGHUP", None)


async def serve_until_signalled(serve: Callable[[], Awaitable[object]], end: Callable[[], None] | None = None) -> None:
    """Serve until `serve` returns or a signal arrives: SIGINT, SIGTERM, or SIGHUP when a terminal or SSH session ends.

    A signal calls `end`; without `end`, `serve` is cancelled. A second SIGINT or SIGTERM ends the process at once.
    """
    loop = asyncio.get_running_loop()
    signalled = False
    with anyio.CancelScope() as scope:

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal signalled
            # Kernel and shell may each send SIGHUP for the same hang-up.
            if signalled and number != _HANG_UP:
                os._exit(128 + number)
            signalled = True
            loop.call_soon_threadsafe(end or scope.cancel)

        taken = [signal.SIGINT, signal.SIGTERM]
        if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:  # nohup ignores it
            taken.append(_HANG_UP)
        before = {number: signal.signal(number, stop) for number in taken}
        try:
            await serve()
        finally:
            # After a signal, keep the handler: a second signal must still end a process that hangs.
            if not signalled:
                for number, handler in before.items():
                    signal.signal(number, handler)


def exit_soon() -> None:
    """End the process with exit code 0 in half a second, if it has not ended by itself.

    A process waits for its OS threads, and one that reads stdin or watches files can't be cancelled.
    """
    timer = threading.Timer(_LINGER_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
