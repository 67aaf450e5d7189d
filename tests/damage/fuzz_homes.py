"""The fuzzer through the real index: homes of damaged files, and of times that no file should have, behind a server.

    python -m tests.damage.fuzz_homes --homes 1000 [--seed 1]

Whatever is in a home, the server answers every call; its healthy thread is listed, read and found; each damaged file is
a thread or told as unreadable; what is told of a thread can be told to any client; and the index agrees with the files.
The home is opened three times: without an index, with the one that was made, and with one that is made again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
from mcp import Client

from mcp_server.codex import writer as recording
from mcp_server.codex.lines import encode_line
from mcp_server.config import Config
from mcp_server.server import build_server
from tests.damage.fuzz import GOOD, NOW, STRANGE, THREAD_ID, borrow, damaged, retype
from tests.mission.conftest import Refused, Tools

FILES = 24
HEALTHY = "01a20564-0000-7000-8000-ffffffffffff"
# What clients take: Codex, as one, 128 levels of a whole message.
MOST_LEVELS = 120
MTIMES_NS = (
    *(0, 1, -1, -(10**9), 10**18, 2**62, 2**63 - 1),
    *(10**10 * 10**9, 253_402_300_800 * 10**9, -62_135_596_801 * 10**9),
)


def plant(home: Path, rng: random.Random) -> list[Path]:
    """A home of damaged files, with a healthy thread and damaged names; returns the damaged files."""
    day, archived = home / "sessions" / "2026" / "11" / "22", home / "archived_sessions"
    for folder in (day, archived):
        folder.mkdir(parents=True)
    made: list[Path] = []
    for number in range(FILES):
        thread_id = f"{THREAD_ID[:-4]}{number + 2:04x}"
        data = (damaged(rng) if number % 3 == 0 else odd(rng)).replace(THREAD_ID.encode(), thread_id.encode())
        path = rng.choice([day, day, archived]) / f"rollout-2026-11-22T10-00-00-{thread_id}.jsonl"
        path.write_bytes(data)
        at = rng.choice([rng.choice(MTIMES_NS), NOW * 1_000_000 - number])
        with suppress(OSError, OverflowError):  # the file system may have no room for it
            os.utime(path, ns=(at, at))
        made.append(path)
    healthy = [line.replace(THREAD_ID.encode(), HEALTHY.encode()) for line in GOOD]
    healthy.append(encode_line(recording.agent_message("turn-2", "the healthy needle", NOW)[0]))
    (day / f"rollout-2026-11-22T10-00-00-{HEALTHY}.jsonl").write_bytes(b"".join(healthy))
    names = [json.dumps({"id": HEALTHY, "thread_name": "the healthy one"}).encode(), named(rng), damaged(rng)]
    rng.shuffle(names)
    (home / "session_index.jsonl").write_bytes(b"\n".join([*names, b""]))
    return made


def odd(rng: random.Random) -> bytes:
    """Good lines with values at every edge, of any type, and a few more of them where they are shown."""
    lines = [json.loads(line) for line in GOOD]
    at = lines[0]["timestamp"]
    if rng.random() < 0.5:
        lines[0]["payload"]["source"] = {rng.choice(["custom", "subagent"]): rng.choice(STRANGE)}
    item = {"type": "Newest", "id": "newest", "told": rng.choice(STRANGE), "duration": {"secs": rng.choice(STRANGE)}}
    completed = {"type": "item_completed", "turn_id": "turn-0", "item": item, "started_at_ms": rng.choice(STRANGE)}
    call = {"type": "function_call", "call_id": "c", "name": "n", "arguments": json.dumps(rng.choice(STRANGE))}
    for kind, payload in (("event_msg", completed), ("response_item", call)):
        when = rng.choice([at, rng.choice(STRANGE)])
        lines.insert(5, {"timestamp": when, "type": kind, "payload": payload})
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    for _ in range(rng.randrange(5)):
        data = (borrow if rng.random() < 0.1 else retype)(rng, data)
    return data


def named(rng: random.Random) -> bytes:
    """A line of the name index with values at every edge."""
    line = {"id": THREAD_ID, "thread_name": "a name", "updated_at": "2026-11-22T10:00:00Z", "more": None}
    line[rng.choice(list(line))] = rng.choice(STRANGE)
    return json.dumps(line).encode()


# ---------------------------------------------------------------------------------------------- what must hold


async def ask(tools: Tools, tool: str, **arguments: Any) -> dict[str, Any] | None:
    """An answer that any client can read; None for a refusal of the domain."""
    try:
        answer = await tools(tool, **arguments)
    except Refused as refused:
        if refused.code in ("none", "internal_error"):
            raise
        return None
    json.dumps(answer)
    assert levels(answer) <= MOST_LEVELS, f"{tool} answers with {levels(answer)} levels"
    return answer


async def sure(tools: Tools, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await ask(tools, tool, **arguments)
    assert answer is not None, f"{tool} is refused"
    return answer


def levels(value: Any) -> int:
    parts: Iterable[Any] = ()
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        parts = cast("list[Any]", value)
    return 1 + max(map(levels, parts), default=0)


async def check(home: Path, made: list[Path], index_again: bool) -> None:
    """Raises if the server breaks a promise on this home."""
    async with Client(build_server(replace(Config.load(home), watch=False))) as client:
        tools = Tools(client)
        if index_again:
            await sure(tools, "store_repair")
        threads: dict[str, str] = {}
        for archived in (False, True):
            for key in ("created_at", "updated_at", "recency_at"):
                page = await sure(tools, "thread_list", archived=archived, sort_key=key, limit=100)
                threads |= {thread["id"]: thread["path"] for thread in page["data"]}
        assert HEALTHY in threads
        status = await sure(tools, "store_status", deep=True)
        assert (status["counts"]["missing"], status["counts"]["stale"]) == (0, 0)
        for thread_id in sorted(threads):
            await _look_at(tools, thread_id)
        found = await sure(tools, "thread_search", search_term="needle", limit=100)
        assert HEALTHY in {hit["thread"]["id"] for hit in found["data"]}
        healthy = await sure(tools, "thread_read", thread_id="the healthy one", include_turns=True)
        assert (healthy["thread"]["id"], healthy["total"]) == (HEALTHY, 4)
        told = {bad["path"].rsplit("/", 1)[-1] for bad in status["malformed"]}
        duplicates = json.dumps(status["duplicates"])
        for path in made:
            if str(path) not in threads.values() and path.name not in told and path.name not in duplicates:
                await sure(tools, "thread_read", thread_id=path.name[-42:-6])  # of a kind that is not listed


async def _look_at(tools: Tools, thread_id: str) -> None:
    for view in ("summary", "full"):
        await ask(tools, "thread_read", thread_id=thread_id, include_turns=True, items_view=view, limit=100)
    await ask(tools, "thread_items", thread_id=thread_id, limit=100)
    await ask(tools, "thread_tree", thread_id=thread_id)
    await ask(tools, "thread_search", thread_id=thread_id, search_term="question", include_tool_calls=True)


def run(homes: int, seed: int) -> int:
    """Fuzz so many homes; returns their number."""
    rng = random.Random(seed)
    for number in range(homes):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            made = plant(home, rng)
            try:
                for index_again in (False, False, True):
                    anyio.run(check, home, made, index_again)
            except BaseException as error:
                error.add_note(f"home {number} of seed {seed}")
                raise
    return homes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--homes", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    run(options.homes, options.seed)
    seconds = time.monotonic() - begun
    print(f"{options.homes} homes of {FILES} files, seed {options.seed}, in {seconds:.0f} s, no promise broken")


if __name__ == "__main__":
    main()
