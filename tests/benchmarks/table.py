"""The table of cases, and what they share. `starts` and `calls` fill it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.benchmarks.lab import Case, Lab, Operation
from tests.benchmarks.measure import Side, Target
from tests.benchmarks.sides import Failed, Json

CASES: list[Case] = []

# So many rows and threads found fit a concise answer; so many turns fit a detailed one.
PAGE = 15
HITS = 10
TURNS = 20
RESUMES = 5
LONG_THREADS = 2 * (RESUMES + 1) + 1
"""How many long threads a home needs: each resume takes a fresh one, and the last is only read."""
TREE = 1_000
HUNDRED = 100_000

Sides = dict[Side, Operation]
Operations = Callable[[Lab, int], Sides]


def case(name: str, *targets: Target, **options: Any) -> Callable[[Operations], Operations]:
    """Enter a function into the table, with what `Case` takes besides."""

    def enter(operations: Operations) -> Operations:
        CASES.append(Case(name, operations, targets, **options))
        return operations

    return enter


async def check(answer: Awaitable[Json], rows: int = 0, key: str = "data") -> None:
    """Wait for an answer, which must have at least so many rows, with those that it has left out.

    Raises:
        Failed: it has fewer.
    """
    told = await answer
    found = len(told.get(key) or ()) + told.get("left_out", {}).get(key, 0)
    if found < rows:
        raise Failed(f"expected {rows} rows, got {found}")


def bare(lab: Lab) -> Operation:
    """The bare server's call, which every other call contains."""
    return lambda: check(lab.bare.call("nothing"))


def ready(lab: Lab, tool: str, **arguments: Any) -> Operation:
    """The bare server's call that has the answer of ours ready: what the SDK takes for it, and no work."""
    name = hashlib.sha256(json.dumps([tool, arguments]).encode()).hexdigest()
    path = anyio.Path(lab.ours_home.path.parent / f"answer-{name}.json")

    async def operation() -> float:
        if not await path.exists():
            answer = await lab.ours.ask(tool, **arguments)
            await path.write_text(answer.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
            await lab.bare.call("ready", path=str(path))
        watch = Stopwatch()
        await lab.bare.call("ready", path=str(path))
        return watch.ms()

    return operation


class Stopwatch:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000
