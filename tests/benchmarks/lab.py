"""One home per side and the processes on them; takes the samples of a case, side after side, round after round."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
from mcp.shared.exceptions import MCPError

from tests.benchmarks.homes import Home
from tests.benchmarks.measure import Measurement, Side, Target, Unit
from tests.benchmarks.sides import CHECKOUT, Codex, Failed, McpServer, serving_bare, serving_codex, serving_ours

Phase = Literal["start", "call"]
"""`start`: every process is started by the case itself. `call`: all sides run already."""

Operation = Callable[[], Awaitable[float | None]]
"""One side's part in a round. What it returns is the sample; None: the time that it took, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a function that says what each side does in a round of a number, from 0 on."""

    name: str
    operations: Callable[[Lab, int], dict[Side, Operation]]
    targets: tuple[Target, ...] = ()
    home: str = "sized"
    phase: Phase = "call"
    unit: Unit = "ms"
    rounds: int = 20
    pause: float = 0.02
    """Seconds between two operations, for what a side does after its answer."""


@dataclass
class Lab:
    """`ours_home` and `codex_home` hold the same bytes. The servers are there in the phase `call`. `small` is the lab
    of the smallest home of the run, where it is another; it has a server of ours in that phase too. `old` is the lab of
    an earlier commit, with the same bytes again; where there is one, our server is compared with that alone."""

    size: int
    ours_home: Home
    codex_home: Home | None = None
    binary: str = ""
    checkout: Path = CHECKOUT
    small: Lab | None = None
    old: Lab | None = None
    memo: dict[str, str] = field(default_factory=dict[str, str])
    _ours: McpServer | None = None
    _bare: McpServer | None = None
    _codex: Codex | None = None

    @property
    def ours(self) -> McpServer:
        assert self._ours is not None
        return self._ours

    @property
    def bare(self) -> McpServer:
        assert self._bare is not None
        return self._bare

    @property
    def codex(self) -> Codex:
        assert self._codex is not None
        return self._codex

    @property
    def codex_path(self) -> Path:
        assert self.codex_home is not None
        return self.codex_home.path

    @property
    def huge(self) -> str:
        assert self.ours_home.huge is not None
        return self.ours_home.huge

    def start_ours(self) -> AbstractAsyncContextManager[McpServer]:
        return serving_ours(self.ours_home.path, self.checkout)

    def start_codex(self) -> AbstractAsyncContextManager[Codex]:
        return serving_codex(self.binary, self.codex_path)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """All sides up, each on its home."""
        async with AsyncExitStack() as stack:
            self._ours = await stack.enter_async_context(self.start_ours())
            self._bare = await stack.enter_async_context(serving_bare())
            if self.codex_home is not None:
                self._codex = await stack.enter_async_context(self.start_codex())
            for other in (self.small, self.old):
                if other is not None:
                    other._ours = await stack.enter_async_context(other.start_ours())
            yield

    def durable_write(self) -> None:
        """What no durable append can do without: one write and one fsync."""
        fd = os.open(self.ours_home.path / "floor.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, b"x" * 1_000 + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)

    # ------------------------------------------------------------------------------------------ samples

    async def take(self, case: Case, *, rounds: int, seconds: float) -> Measurement:
        """Rounds of a case until there are enough of them or the time is up, two at least (one where `rounds` is 1).

        A round before them, in the phase `call`, warms up; it counts only if it took so long that there is no second.
        """
        taken = Measurement(case.name, self.size, case.unit, case.targets, home=self.title(case))
        deadline = time.monotonic() + seconds
        first = 0
        if case.phase == "call" and rounds > 1:
            await self.round(case, 0, taken)
            if time.monotonic() > deadline:
                return taken
            taken.samples.clear()
            first = 1
        for number in range(first, first + rounds):
            await self.round(case, number, taken)
            if time.monotonic() > deadline and number > first:
                break
        return taken

    async def round(self, case: Case, number: int, taken: Measurement) -> None:
        """One sample of each side, in an order that chance gives."""
        sides = list(self._sides(case, number).items())
        # Who comes after a long call finds the processor's caches full of it.
        random.Random(number).shuffle(sides)
        for side, operation in sides:
            if side in taken.failures or (side.startswith("codex") and self.codex_home is None):
                continue
            try:
                began = time.perf_counter()
                sample = await operation()
                took = (time.perf_counter() - began) * 1000
            except (Failed, MCPError, TimeoutError) as error:
                taken.failures[side] = str(error)[:300] or type(error).__name__
            else:
                taken.samples.setdefault(side, []).append(took if sample is None else sample)
            await anyio.sleep(case.pause)

    def _sides(self, case: Case, number: int) -> dict[Side, Operation]:
        if self.old is None:
            return case.operations(self, number)
        return {"ours": case.operations(self, number)["ours"], "old": case.operations(self.old, number)["ours"]}

    def title(self, case: Case) -> str:
        return f"{self.size:,} threads" if case.home == "sized" else f"{self.size:,} threads, one of them huge"
