"""The only way from the event loop to the synchronous core: a whole call runs in one worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")


async def in_worker(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a verb in a worker thread. Once begun it runs to its end, even if the caller is cancelled."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))


async def in_worker_within(seconds: float, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """The same, also where the caller is cancelled, but wait no longer than that for the end."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(seconds):
        await anyio.to_thread.run_sync(partial(work, *args, **kwargs), abandon_on_cancel=True)


async def in_background(work: Callable[[threading.Event], T]) -> T:
    """Run long-lasting work in a thread of its own. Cancelling sets the work's stop event and waits for its end."""
    stop = threading.Event()
    result: list[T] = []
    failure: Exception | None = None

    async def stop_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stop.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_when_cancelled)
        try:
            result.append(await anyio.to_thread.run_sync(work, stop, limiter=anyio.CapacityLimiter(1)))
        except Exception as error:  # a task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result[0]
