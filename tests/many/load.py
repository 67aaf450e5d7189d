"""Many server processes on one home, started together, each driven by its own client. A command for the long run:

    python -m tests.many.load --processes 64 --seconds 60 [--threads 10000]

With `--threads` the home holds that many threads before, and no index. Exit code 0 if no call failed, no thread is
missing and the index agrees with the files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.answers import whole
from tests.benchmarks.homes import Shape, make_home
from tests.servers import stdio_server, structure

_NAME = "worker {worker} thread {number}"


@dataclass
class Outcome:
    """What the clients were told: the texts of each thread's messages in order, and every failure."""

    messages: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    archived: set[str] = field(default_factory=set[str])
    names: dict[str, str] = field(default_factory=dict[str, str])
    failures: list[str] = field(default_factory=list[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    starts: list[float] = field(default_factory=list[float])
    took: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def figures(self) -> str:
        """How long the starts and the calls took, in seconds: the median and the longest."""
        times = {"handshake": self.starts, **self.took}
        return "\n".join(f"{name:20} {median(all_):7.2f} {max(all_):7.2f}" for name, all_ in times.items() if all_)


class Worker:
    """One client with a server process of its own."""

    def __init__(self, client: Client, number: int, outcome: Outcome) -> None:
        self._client, self._number, self._outcome = client, number, outcome

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        self._outcome.calls[tool] += 1
        begun = time.monotonic()
        try:
            result = await self._client.call_tool(tool, arguments)
        except MCPError as error:
            self._outcome.failures.append(f"{tool}: {error}")
            return {}
        self._outcome.took.setdefault(tool, []).append(time.monotonic() - begun)
        if result.is_error:
            text = " ".join(getattr(part, "text", "") for part in result.content)
            self._outcome.failures.append(f"{tool}: {text}")
            return {}
        return whole(tool, dict(result.structured_content or {}))

    async def live(self, until: float) -> None:
        """Start, write, name, archive and list until the time is up; at least one round."""
        round_number = 0
        while round_number == 0 or time.monotonic() < until:
            await self._round(round_number)
            round_number += 1

    async def _round(self, number: int) -> None:
        started = await self.call("thread_start", cwd="/work")
        if not started:
            return
        thread_id = started["thread"]["id"]
        said = self._outcome.messages.setdefault(thread_id, [])
        for turn in range(2):
            text = f"question {turn} of {self._number}/{number}"
            await self.call("turn_start", thread_id=thread_id, input=text)
            said.append(text)
            answers = [f"part {part} of turn {turn}" for part in range(3)]
            await self.call(
                "turn_append",
                thread_id=thread_id,
                items=[{"type": "agentMessage", "text": answer} for answer in answers],
            )
            said += answers
            await self.call("turn_complete", thread_id=thread_id)
        name = _NAME.format(worker=self._number, number=number)
        await self.call("thread_update", thread_id=thread_id, name=name)
        self._outcome.names[thread_id] = name
        await self.call("thread_list", limit=50)
        await self.call("thread_unsubscribe", thread_id=thread_id)
        if number % 2:
            await self.call("thread_archive", thread_id=thread_id)
            self._outcome.archived.add(thread_id)


async def run(home: Path, processes: int, seconds: float) -> Outcome:
    """All servers are started together; each client works for that long from its own handshake."""
    outcome = Outcome()
    begun = time.monotonic()

    async def work(number: int) -> None:
        async with Client(stdio_server(home), read_timeout_seconds=300) as client:
            outcome.starts.append(time.monotonic() - begun)
            await Worker(client, number, outcome).live(time.monotonic() + seconds)

    async with anyio.create_task_group() as workers:
        for number in range(processes):
            workers.start_soon(work, number)
    return outcome


async def check(home: Path, outcome: Outcome, before: int = 0) -> list[str]:
    """What is wrong afterwards, seen by a fresh server. `before` is how many threads the home held at the start."""
    wrong = list(outcome.failures)
    async with Client(stdio_server(home), read_timeout_seconds=300) as client:
        for thread_id, said in outcome.messages.items():
            thread = (await structure(client, "thread_read", thread_id=thread_id))["thread"]
            if thread.get("archived") != (thread_id in outcome.archived):
                wrong.append(f"{thread_id}: archived is {thread.get('archived')}")
            if thread.get("name") != outcome.names.get(thread_id):
                wrong.append(f"{thread_id}: name is {thread.get('name')}")
            items = await structure(client, "thread_items", thread_id=thread_id, limit=100)
            found = [_text(entry["item"]) for entry in items["data"]]
            if found != said:
                wrong.append(f"{thread_id}: items are {found}, not {said}")
        status = await structure(client, "store_status")
        counts, archived = status["counts"], len(outcome.archived)
        expected = {"active": before + len(outcome.messages) - archived, "archived": archived}
        for state, number in expected.items():
            found = (counts[f"files_{state}"], counts[f"rows_{state}"])
            if found != (number, number):
                wrong.append(f"{found[0]} files and {found[1]} rows are {state}, not {number}")
        wrong += [f"index: {name} {status[name]}" for name in ("missing", "stale", "duplicates") if status[name]]
    return wrong


def made_home(home: Path, threads: int) -> int:
    """A home with that many threads, none of them indexed; returns how many it holds."""
    if threads:
        made = make_home(home, Shape(threads=threads))
        threads = len(made.threads)
    return threads


def _text(item: dict[str, Any]) -> str:
    return item["text"] if "text" in item else item["content"][0]["text"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=0, help="how many threads the home holds before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        before = made_home(home, options.threads)
        outcome = anyio.run(run, home, options.processes, options.seconds)
        wrong = anyio.run(check, home, outcome, before)
    print(f"{options.processes} processes, {outcome.calls.total()} calls, {len(outcome.messages)} threads")
    print(outcome.figures())
    print("\n".join(wrong[:50]) or "every call succeeded, every item is there in order, the index agrees")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
