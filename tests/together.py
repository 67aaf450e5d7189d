"""Calls that run side by side in threads, and waits for what they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 30.0


def together(*work: Callable[[], T], seconds: float = _SECONDS) -> list[T]:
    """All at once; what they return, in their order, or what the first of them raises."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [running.result(seconds) for running in [pool.submit(each) for each in work]]


def until(condition: Callable[[], object], seconds: float = _SECONDS) -> None:
    """Wait for what another thread or process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@contextmanager
def running(work: Callable[[threading.Event], object]) -> Generator[threading.Event]:
    """Work that goes on beside the block, until it sets the event or ends."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, stop)
        try:
            yield stop
        finally:
            stop.set()
        done.result(_SECONDS)
