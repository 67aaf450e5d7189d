"""Killed anywhere: whatever store call stopped a cascade, the next start finds it done, undone, or finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client

from mcp_server.models.params import Caller, StartParams
from mcp_server.stores.base import ThreadQuery
from mcp_server.threads.service import ThreadService
from tests.faults import Faults, Killed
from tests.servers import stdio_server, structure
from tests.worlds import World
from tests.worlds import new_world as new_world

pytestmark = pytest.mark.anyio

Kind = Literal["archive", "unarchive", "delete"]


async def grow(world: World) -> list[str]:
    """A root, two children, a grandchild: each with a turn, none loaded."""
    service = world.service()
    ids: list[str] = []
    for parent in (None, 0, 0, 1):
        params = StartParams(parent_thread_id=None if parent is None else ids[parent])
        ids.append((await service.lifecycle.start(params, Caller(connection="c"))).thread.id)
        await service.turns.start(ids[-1], [{"type": "text", "text": f"thread {len(ids)}", "text_elements": []}])
        await service.turns.complete(ids[-1], "completed", "done", None)
    await service.lifecycle.close_all()
    return ids


async def do(service: ThreadService, kind: Kind, root: str) -> None:
    if kind == "archive":
        await service.cascade.archive(root, dry_run=False, interrupt_running=False)
    elif kind == "unarchive":
        await service.cascade.unarchive(root, include="same_operation")
    else:
        await service.cascade.delete(root, dry_run=False)


async def picture(world: World) -> dict[str, object]:
    """Files, rows and journal as they stand."""
    files = {file.thread_id: file.archived for file in await world.rollouts.files()}
    rows = await world.state.list(ThreadQuery(archived=None, limit=100))
    events = await world.state.events_after(0, limit=1000)
    return {
        "files": files,
        "rows": {row.id: row.archived for row in rows.rows},
        "paths": {row.path for row in rows.rows} == {file.path for file in await world.rollouts.files()},
        "running": await world.state.running_operations(),
        "events": [e.thread_id for e in events if e.type in ("thread/archived", "thread/unarchived", "thread/deleted")],
    }


@pytest.mark.parametrize("kind", ["archive", "unarchive", "delete"])
async def test_a_cascade_killed_at_any_store_call_is_done_undone_or_finished(
    new_world: Callable[[], World], kind: Kind
) -> None:
    stops = 0
    while True:
        stops += 1
        world = new_world()
        ids = await grow(world)
        if kind == "unarchive":
            await do(world.service(), "archive", ids[0])
        before = await picture(world)
        faults = Faults(at=stops)
        try:
            await do(world.service(faults), kind, ids[0])
        except Killed:
            survivor = world.service()
            await survivor.cascade.finish()
            after = await picture(world)
            assert after["running"] == [], faults.calls
            assert after["files"] == after["rows"], faults.calls
            assert after["paths"], faults.calls
            if after["files"] != before["files"]:
                check_done(kind, ids, before, after)
            await do(survivor, kind, ids[0]) if after["files"] == before["files"] else None
            continue
        break
    assert stops - 1 == len(faults.calls)
    assert stops > 12


def check_done(kind: Kind, ids: list[str], before: dict[str, Any], after: dict[str, Any]) -> None:
    """All of it, with one event a thread and none twice."""
    expected = {} if kind == "delete" else dict.fromkeys(ids, kind == "archive")
    assert after["files"] == expected
    told = after["events"][len(before["events"]) :]
    assert sorted(told) == sorted(ids)


KILLED_CHILD = """
import os, signal, sys
import mcp_server.stores.rollouts as rollouts
real, moved = rollouts.RolloutFiles.archive, []
async def archive(self, path):
    if len(moved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(path)
    return await real(self, path)
rollouts.RolloutFiles.archive = archive
from mcp_server.cli import main
sys.argv = ["threadstore", "serve", "--home", sys.argv[1]]
main()
"""


async def test_a_server_killed_in_the_middle_of_an_archive_is_finished_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ids: list[str] = []
    async with Client(stdio_server(home)) as client:
        for number in range(8):
            arguments = {"parent_thread_id": ids[number // 3]} if ids else {}
            ids.append((await structure(client, "thread_start", **arguments))["thread"]["id"])
            await client.call_tool("turn_start", {"thread_id": ids[-1], "input": f"thread {number}"})
            await client.call_tool("turn_complete", {"thread_id": ids[-1]})
    assert await _archive_in_a_child_that_dies(home, ids[0]) == -signal.SIGKILL
    assert len(list((home / "archived_sessions").iterdir())) == 3
    async with Client(stdio_server(home)) as client:
        kinds = ["appServer", "subAgent"]
        active = await structure(client, "thread_list", source_kinds=kinds)
        archived = await structure(client, "thread_list", source_kinds=kinds, archived=True)
        events = await structure(client, "events_read", types=["thread/archived"], limit=100)
    assert (active["total"], archived["total"]) == (0, 8)
    assert sorted(event["thread_id"] for event in events["data"]) == sorted(ids)


async def _archive_in_a_child_that_dies(home: Path, root: str) -> int:
    hello = (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
        '"clientInfo":{"name":"raw","version":"1"}}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"thread_archive","arguments":{"thread_id":"%s"}}}\n'
    )
    child = await anyio.open_process(
        [sys.executable, "-c", KILLED_CHILD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    assert child.stdin is not None
    await child.stdin.send((hello % root).encode())
    with anyio.fail_after(30):
        return await child.wait()
