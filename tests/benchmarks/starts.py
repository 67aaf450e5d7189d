"""Cases that start processes of their own: starts, peak memory, and what is left on the disk."""

from __future__ import annotations

from typing import Any

from mcp.client.stdio import PROCESS_TERMINATION_TIMEOUT

from tests.benchmarks.homes import COMMON, RARE
from tests.benchmarks.lab import Lab
from tests.benchmarks.measure import below, faster, within
from tests.benchmarks.sides import Codex, Failed, Json, McpServer, drop_databases, peak_mb, serving_bare, size_mb
from tests.benchmarks.table import HITS, PAGE, TURNS, Sides, Stopwatch, case, check

MEMORY_MB = 150.0
PATIENCE_MS = PROCESS_TERMINATION_TIMEOUT * 1000
"""So long a client of the SDK waits for a server to end, once it has closed its stdin; then it kills."""
_MEMORY: dict[str, Any] = {"phase": "start", "unit": "MB", "rounds": 2, "pause": 0.5}


# ---------------------------------------------------------------------------------------------- starting


async def _handshake(lab: Lab) -> float:
    async with lab.start_ours() as ours:
        return ours.handshake_ms


async def _bare_handshake() -> float:
    async with serving_bare() as server:
        return server.handshake_ms


async def _bare_first_call() -> float:
    watch = Stopwatch()
    async with serving_bare() as server:
        await server.call("nothing")
        return watch.ms()


async def _ours_first_list(lab: Lab) -> float:
    """The first list has to be whole, or say that its total is not yet; and the index has to be complete before the
    process ends."""
    watch = Stopwatch()
    async with lab.start_ours() as ours:
        answer = await ours.call("thread_list", limit=PAGE)
        took = watch.ms()
        if len(answer.get("data", [])) != min(PAGE, lab.ours_home.listed):
            raise Failed(f"the first list has {len(answer.get('data', []))} rows")
        if answer.get("incomplete") is None and answer["total"] != lab.ours_home.listed:
            raise Failed(f"the first list knows {answer['total']} of {lab.ours_home.listed} threads")
        # A list of archived threads waits for the whole.
        await ours.call("thread_list", limit=1, archived=True)
        return took


async def _codex_first_list(lab: Lab) -> float:
    watch = Stopwatch()
    async with lab.start_codex() as codex:
        await check(codex.request("thread/list", limit=PAGE), min(PAGE, lab.ours_home.listed))
        return watch.ms()


@case("handshake, first start", within(1.5), phase="start", rounds=10)
def handshake_first(lab: Lab, number: int) -> Sides:
    async def ours() -> float:
        drop_databases(lab.ours_home.path)
        return await _handshake(lab)

    return {"ours": ours, "bare": _bare_handshake}


@case(
    "first start to first list",
    faster("codex", 10, at=10_000),
    faster("codex", 20, at=100_000),
    phase="start",
    rounds=3,
    pause=0.5,
)
def first_start(lab: Lab, number: int) -> Sides:
    async def ours() -> float:
        drop_databases(lab.ours_home.path)
        return await _ours_first_list(lab)

    async def codex() -> float:
        drop_databases(lab.codex_path)
        return await _codex_first_list(lab)

    return {"ours": ours, "bare": _bare_first_call, "codex": codex}


@case("handshake, second start", within(1.5), phase="start", rounds=10)
def handshake_second(lab: Lab, number: int) -> Sides:
    return {"ours": lambda: _handshake(lab), "bare": _bare_handshake}


@case("second start to first list", within(2, at=100_000), phase="start", rounds=10)
def second_start(lab: Lab, number: int) -> Sides:
    return {"ours": lambda: _ours_first_list(lab), "bare": _bare_first_call, "codex": lambda: _codex_first_list(lab)}


@case("end while a turn runs", below(PATIENCE_MS), phase="start", rounds=5)
def end(lab: Lab, number: int) -> Sides:
    async def ours() -> float:
        async with lab.start_ours() as server:
            thread = (await server.call("thread_start", ephemeral=True))["thread"]
            await server.call("turn_start", thread_id=thread["id"], input="go on")
            watch = Stopwatch()
        return watch.ms()

    async def bare() -> float:
        async with serving_bare() as server:
            await server.call("nothing")
            watch = Stopwatch()
        return watch.ms()

    return {"ours": ours, "bare": bare}


# ---------------------------------------------------------------------------------------------- memory and disk


async def _tour(server: McpServer, thread_id: str) -> None:
    """List, search and read."""
    cursor: Json = {}
    for _ in range(3):
        page = await server.call("thread_list", limit=100, **cursor)
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
    for term in (COMMON, RARE):
        await server.call("thread_search", search_term=term, limit=HITS)
    await server.call("thread_read", thread_id=thread_id, include_turns=True, limit=TURNS)


async def _codex_tour(codex: Codex, thread_id: str) -> None:
    cursor: Json = {}
    for _ in range(3):
        page = await codex.request("thread/list", limit=100, **cursor)
        cursor = {"cursor": page["nextCursor"]} if page["nextCursor"] else {}
    for term in (COMMON, RARE):
        await codex.request("thread/search", searchTerm=term, limit=HITS)
    await codex.request("thread/turns/list", threadId=thread_id, limit=TURNS)


async def _bare_peak() -> float:
    async with serving_bare() as server:
        await server.call("nothing")
        return peak_mb(server.process)


async def _ours_peak(lab: Lab, thread_id: str, *, resume: bool = False) -> float:
    async with lab.start_ours() as ours:
        await _tour(ours, thread_id)
        if resume:
            await ours.call("thread_resume", thread_id=thread_id)
        return peak_mb(ours.process)


async def _codex_peak(lab: Lab, thread_id: str, *, resume: bool = False) -> float:
    async with lab.start_codex() as codex:
        await _codex_tour(codex, thread_id)
        if resume:
            await codex.request("thread/resume", threadId=thread_id)
        return peak_mb(codex.process.pid)


@case("peak memory: first start, list, search, read", below(MEMORY_MB), **_MEMORY)
def memory_first(lab: Lab, number: int) -> Sides:
    long = lab.ours_home.long[-1]

    async def ours() -> float:
        drop_databases(lab.ours_home.path)
        return await _ours_peak(lab, long)

    async def codex() -> float:
        drop_databases(lab.codex_path)
        return await _codex_peak(lab, long)

    # At 100,000 threads Codex needs two minutes for one first start.
    sides: Sides = {"ours": ours, "bare": _bare_peak}
    if number == 0:
        sides["codex"] = codex
    return sides


@case("peak memory: second start, list, search, read", below(MEMORY_MB), **_MEMORY)
def memory_second(lab: Lab, number: int) -> Sides:
    long = lab.ours_home.long[-1]
    return {"ours": lambda: _ours_peak(lab, long), "bare": _bare_peak, "codex": lambda: _codex_peak(lab, long)}


@case("peak memory: list, search, read and resume a huge thread", below(MEMORY_MB), home="large", **_MEMORY)
def memory_huge(lab: Lab, number: int) -> Sides:
    huge = lab.huge
    return {
        "ours": lambda: _ours_peak(lab, huge, resume=True),
        "bare": _bare_peak,
        "codex": lambda: _codex_peak(lab, huge, resume=True),
    }


@case("peak memory: fork a huge thread", below(MEMORY_MB), home="large", **(_MEMORY | {"rounds": 1}))
def memory_fork(lab: Lab, number: int) -> Sides:
    huge = lab.huge

    async def ours() -> float:
        async with lab.start_ours() as ours:
            forked = await ours.call("thread_fork", thread_id=huge)
            peak, fork = peak_mb(ours.process), forked["thread"]["id"]
            await ours.call("thread_unsubscribe", subscription_id=forked["subscription_id"])
            await ours.call("thread_delete", thread_id=fork, confirm_thread_id=fork)
            return peak

    async def codex() -> float:
        async with lab.start_codex() as codex:
            forked = await codex.request("thread/fork", threadId=huge, excludeTurns=True)
            peak = peak_mb(codex.process.pid)
            await codex.request("thread/delete", threadId=forked["thread"]["id"])
            return peak

    return {"ours": ours, "bare": _bare_peak, "codex": codex}


@case("databases on disk, all indexed", unit="MB", rounds=1)
def disk(lab: Lab, number: int) -> Sides:
    async def ours() -> float:
        return size_mb(lab.ours_home.path, "threadstore.sqlite*")

    async def codex() -> float:
        return size_mb(lab.codex_path, "*.sqlite*")

    return {"ours": ours, "codex": codex}
