"""A soak: mixed load on one server, clients dropped at random. A command for the long run:

    python -m tests.soak.soak --minutes 10 --clients 20

Three in four clients share one HTTP server; the others have a stdio server of their own on the same home, and half of
those are killed instead of closed. Exit code 0 if afterwards nothing stays loaded, memory and open files of the HTTP
server are back where they were, no call failed that should not have, and the log of events has no gap.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from tests.servers import serving_http, stdio_server, structure

# A refusal that other clients' work explains is no failure.
EXPECTED = frozenset({"active_writer", "thread_not_loaded", "turn_in_progress", "thread_closing", "thread_archived"})
MAX_GROWTH_MB = 40.0
MAX_MORE_FILES = 8


@dataclass
class Tally:
    calls: Counter[str] = field(default_factory=Counter[str])
    dropped: int = 0
    failures: list[str] = field(default_factory=list[str])
    threads: set[str] = field(default_factory=set[str])


class Visitor:
    """One client for as long as it stays."""

    def __init__(self, client: Client, rng: random.Random, tally: Tally) -> None:
        self._client, self._rng, self._tally = client, rng, tally

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        self._tally.calls[tool] += 1
        answer = await structure(self._client, tool, **arguments)
        code = answer.get("error", {}).get("code")
        if code is not None and code not in EXPECTED:
            self._tally.failures.append(f"{tool}: {answer['error']['message']}")
        return answer

    async def stay(self, until: float) -> None:
        """A few rounds, then gone without a word: what it resumed is still loaded."""
        for _ in range(self._rng.randrange(1, 6)):
            if time.monotonic() >= until:
                break
            await self._round()

    async def _round(self) -> None:
        started = await self.call("thread_start", cwd="/work", name=f"soak {self._rng.random()}")
        thread_id = started["thread"]["id"]
        handle = started["subscription_id"]
        await self.call("turn_start", thread_id=thread_id, input="question " * 20)
        self._tally.threads.add(thread_id)
        items = [{"type": "agentMessage", "text": "answer " * 50} for _ in range(5)]
        await self.call("turn_append", thread_id=thread_id, items=items)
        if self._rng.random() < 0.8:
            await self.call("turn_complete", thread_id=thread_id, message="done")
        await self.call("thread_list", limit=20)
        await self.call("thread_read", thread_id=thread_id, include_turns=True)
        await self.call("events_read", after=0, limit=10)
        known = sorted(self._tally.threads)
        await self.call("thread_resume", thread_id=self._rng.choice(known), turns=1)
        await self.call("thread_unsubscribe", subscription_id=handle)


async def visit_http(url: str, rng: random.Random, tally: Tally, until: float) -> None:
    """A legacy session: its end is seen, so it may leave without a word."""
    async with Client(url, mode="legacy", read_timeout_seconds=120) as client:
        await Visitor(client, rng, tally).stay(until)


async def visit_stdio(home: Path, rng: random.Random, tally: Tally, until: float) -> None:
    """A server of its own; every other one is dropped in the middle."""
    drop_after = rng.uniform(1.0, 6.0) if rng.random() < 0.5 else 3_600.0
    with anyio.move_on_after(drop_after) as scope:
        async with Client(stdio_server(home), read_timeout_seconds=120) as client:
            await Visitor(client, rng, tally).stay(until)
    if scope.cancelled_caught:
        tally.dropped += 1


async def load(url: str, home: Path, clients: int, seconds: float, seed: int, tally: Tally) -> None:
    until = time.monotonic() + seconds

    async def come_and_go(number: int) -> None:
        rng = random.Random(f"{seed}/{number}")
        while time.monotonic() < until:
            if number % 4:
                await visit_http(url, rng, tally, until)
            else:
                await visit_stdio(home, rng, tally, until)

    async with anyio.create_task_group() as group:
        for number in range(clients):
            group.start_soon(come_and_go, number)


def footprint(pid: int) -> tuple[float, int]:
    """Resident memory in MB, and open files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kilobytes / 1024, len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


async def gaps(url: str) -> list[str]:
    """What is wrong with the log and with what is loaded, once all clients are gone."""
    wrong: list[str] = []
    async with Client(url, read_timeout_seconds=120) as client:
        with anyio.move_on_after(20):
            while (await structure(client, "thread_loaded_list"))["total"]:  # noqa: ASYNC110
                await anyio.sleep(0.2)  # sessions end on their own; nothing tells when
        loaded = await structure(client, "thread_loaded_list")
        wrong += [f"still loaded without a subscriber: {thread_id}" for thread_id in loaded["data"]]
        after = 0
        while True:
            page = await structure(client, "events_read", after=after, limit=100)
            seqs = [event["seq"] for event in page["data"]]
            if seqs != list(range(after + 1, after + 1 + len(seqs))):
                wrong.append(f"the log has a gap after {after}")
            if not page["more"]:
                return wrong
            after = page["last_seq"]


def run(clients: int, seconds: float, seed: int) -> tuple[Tally, list[str], str]:
    """The tally, what went wrong, and the figures in a line."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        with serving_http(home) as url:
            pid = _server_pid(home)
            anyio.run(load, url, home, clients, min(5.0, seconds / 3), seed + 1, tally)  # warm
            before = footprint(pid)
            anyio.run(load, url, home, clients, seconds, seed, tally)
            wrong = tally.failures + anyio.run(gaps, url)
            after = footprint(pid)
    if after[0] - before[0] > MAX_GROWTH_MB:
        wrong.append(f"memory grew from {before[0]:.0f} to {after[0]:.0f} MB")
    if after[1] - before[1] > MAX_MORE_FILES:
        wrong.append(f"open files grew from {before[1]} to {after[1]}")
    figures = (
        f"{clients} clients, {seconds:.0f} s, {tally.calls.total()} calls, {len(tally.threads)} threads, "
        f"{tally.dropped} clients dropped; memory {before[0]:.0f} -> {after[0]:.0f} MB, "
        f"open files {before[1]} -> {after[1]}"
    )
    return tally, wrong, figures


def _server_pid(home: Path) -> int:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"--http" in words and str(home).encode() in words:
                return int(process.name)
    raise RuntimeError("the server is gone")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _, wrong, figures = run(options.clients, options.minutes * 60, options.seed)
    print(figures)
    print("\n".join(wrong[:50]) or "nothing stays loaded, the log has no gap, no call failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
