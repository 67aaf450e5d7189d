"""A soak: mixed load on one server, clients dropped at random. A command for the long run:

    python -m tests.soak.soak --minutes 10 --clients 20

Three in four clients share one HTTP server, in both protocol eras; half of the legacy ones vanish in the middle of a
call and never end their session. The others have a stdio server of their own on the same home, and half of those are
killed. Exit code 0 if afterwards nothing stays loaded, memory and open files of the HTTP server are back where they
were, no call failed that should not have, and the log of events holds without a gap all that was acknowledged.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server.handlers.errors import failure_code
from tests.answers import whole
from tests.servers import serving_http, stdio_server, structure

# A refusal that other clients' work explains is no failure.
EXPECTED = frozenset({"active_writer", "thread_not_loaded", "turn_in_progress", "thread_closing", "thread_archived"})
# Ten minutes end 12 MB above the first seconds: the caches of the state DB's five connections may fill with 2 MB each.
MAX_GROWTH_MB = 25.0
MAX_MORE_FILES = 8
# A dropped client's session ends after this; a client that is there has its stream open, so it counts as busy.
_SESSION_SECONDS = 5
# Until then, and a little for a busy machine, what a dropped client loaded may stay so.
_PATIENCE_SECONDS = 30.0


# What the log must hold once a client was answered.
_TELLS = {"thread_start": "thread/started", "turn_start": "turn/started", "turn_complete": "turn/completed"}


@dataclass
class Tally:
    calls: Counter[str] = field(default_factory=Counter[str])
    dropped: int = 0
    failures: list[str] = field(default_factory=list[str])
    threads: set[str] = field(default_factory=set[str])
    # How often a client was told that this happened: (type of event, thread id).
    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])


class Visitor:
    """One client for as long as it stays. Without a connection of its own it has to give back all that it loads."""

    def __init__(self, client: Client, rng: random.Random, tally: Tally, *, connected: bool = True) -> None:
        self._client, self._rng, self._tally, self._connected = client, rng, tally, connected

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        self._tally.calls[tool] += 1
        result = await self._client.call_tool(tool, arguments)
        answer = whole(tool, dict(result.structured_content or {})) if not result.is_error else {}
        code = failure_code(result)
        if result.is_error and code not in EXPECTED:
            self._tally.failures.append(f"{tool}: {' '.join(getattr(part, 'text', '') for part in result.content)}")
        if not result.is_error and tool in _TELLS:
            thread_id = arguments.get("thread_id") or answer["thread"]["id"]
            self._tally.acknowledged[_TELLS[tool], thread_id] += 1
        return answer

    async def stay(self, until: float, *, dropped: bool = False) -> None:
        """A few rounds, then gone without a word: what it resumed is still loaded. Who is to be `dropped` goes on until
        it is, however quick the machine is."""
        rounds = self._rng.randrange(1, 6)
        while time.monotonic() < until and (rounds or dropped):
            await self._round()
            rounds = max(0, rounds - 1)

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
        resumed = await self.call("thread_resume", thread_id=self._rng.choice(known), turns=1)
        await self.call("thread_unsubscribe", subscription_id=handle)
        if not self._connected and "subscription_id" in resumed:
            await self.call("thread_unsubscribe", subscription_id=resumed["subscription_id"])


async def visit_modern(url: str, rng: random.Random, tally: Tally, until: float) -> None:
    """Of the 2026-07-28 era: no session, so nothing but a handle's hour would tell that it was dropped."""
    async with Client(url, read_timeout_seconds=120) as client:
        await Visitor(client, rng, tally, connected=False).stay(until)


async def visit_legacy(url: str, rng: random.Random, tally: Tally, until: float) -> None:
    """A legacy session: it may leave what it resumed loaded. Every other one vanishes and does not end its session."""
    dropped = rng.random() < 0.5
    transport = streamable_http_client(url, terminate_on_close=not dropped)
    with anyio.move_on_after(rng.uniform(0.5, 5.0) if dropped else 3_600.0) as scope:
        async with Client(transport, mode="legacy", read_timeout_seconds=120) as client:
            await Visitor(client, rng, tally).stay(until, dropped=dropped)
    tally.dropped += scope.cancelled_caught


async def visit_stdio(home: Path, rng: random.Random, tally: Tally, until: float) -> None:
    """A server of its own; every other one is killed in the middle."""
    pid_file = home.parent / f"pid-{rng.getrandbits(64)}"
    dropped = rng.random() < 0.5
    killed_after = rng.uniform(0.0, 5.0) if dropped else 3_600.0
    async with Client(stdio_server(home, pid_file=pid_file), read_timeout_seconds=120) as client:
        with anyio.move_on_after(killed_after) as scope:
            await Visitor(client, rng, tally).stay(until, dropped=dropped)
        if scope.cancelled_caught:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            tally.dropped += 1


async def load(url: str, home: Path, clients: int, seconds: float, seed: int, tally: Tally) -> None:
    until = time.monotonic() + seconds

    async def come_and_go(number: int) -> None:
        rng = random.Random(f"{seed}/{number}")
        while time.monotonic() < until:
            match number % 4:
                case 0:
                    await visit_stdio(home, rng, tally, until)
                case 1:
                    await visit_modern(url, rng, tally, until)
                case _:
                    await visit_legacy(url, rng, tally, until)

    async with anyio.create_task_group() as group:
        for number in range(clients):
            group.start_soon(come_and_go, number)


def footprint(pid: int) -> tuple[float, int]:
    """Resident memory in MB, and open files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kilobytes / 1024, len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def growth(before: tuple[float, int], after: tuple[float, int]) -> list[str]:
    """What of the footprint is not back where it was."""
    wrong: list[str] = []
    if after[0] - before[0] > MAX_GROWTH_MB:
        wrong.append(f"memory grew from {before[0]:.0f} to {after[0]:.0f} MB")
    if after[1] - before[1] > MAX_MORE_FILES:
        wrong.append(f"open files grew from {before[1]} to {after[1]}")
    return wrong


async def left_behind(url: str, tally: Tally, patience: float = _PATIENCE_SECONDS) -> list[str]:
    """What is wrong with what is loaded and with the log, once all clients are gone."""
    async with Client(url, read_timeout_seconds=120) as client:
        with anyio.move_on_after(patience):
            while (await structure(client, "thread_loaded_list"))["total"]:  # noqa: ASYNC110
                await anyio.sleep(0.2)  # sessions end on their own; nothing tells when
        loaded = await structure(client, "thread_loaded_list")
        wrong = [f"still loaded without a subscriber: {thread_id}" for thread_id in loaded["data"]]
        logged: Counter[tuple[str, str]] = Counter()
        after, more = 0, True
        while more:
            page = await structure(client, "events_read", after=after, limit=100)
            seqs = [event["seq"] for event in page["data"]]
            if seqs != list(range(after + 1, after + 1 + len(seqs))):
                wrong.append(f"the log has a gap after {after}")
            logged.update((event["type"], event["thread_id"]) for event in page["data"])
            after, more = page["last_seq"], page["more"]
    lost = tally.acknowledged - logged
    return wrong + [f"the log lacks {kind} of {thread_id}" for kind, thread_id in lost]


def run(clients: int, seconds: float, seed: int) -> tuple[Tally, list[str], str]:
    """The tally, what went wrong, and the figures in a line."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        with serving_http(home, "--session-timeout", str(_SESSION_SECONDS)) as url:
            pid = _server_pid(home)
            anyio.run(load, url, home, clients, min(5.0, seconds / 3), seed + 1, tally)  # warm
            before = footprint(pid)
            anyio.run(load, url, home, clients, seconds, seed, tally)
            wrong = tally.failures + anyio.run(left_behind, url, tally)
            after = footprint(pid)
    wrong += growth(before, after)
    figures = (
        f"{clients} clients, {seconds:.0f} s, {tally.calls.total()} calls, {len(tally.threads)} threads, "
        f"{tally.dropped} clients dropped; memory {before[0]:.0f} -> {after[0]:.0f} MB, "
        f"open files {before[1]} -> {after[1]}"
    )
    return tally, wrong, figures


def _server_pid(home: Path) -> int:
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # others come and go
            words = (process / "cmdline").read_bytes().split(b"\0")
            if process.name.isdigit() and b"--http" in words and str(home).encode() in words:
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
