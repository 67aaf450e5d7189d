"""What a search reads."""

from __future__ import annotations

import pytest
from rollout_lines import agent, ended, line, started, user

from mcp_server.models.params import SearchParams
from mcp_server.models.rollout import encode_line
from mcp_server.stores.memory_rollouts import MemoryRollouts
from mcp_server.stores.memory_state import MemoryState
from mcp_server.stores.reconcile import sync
from tests.worlds import World

pytestmark = pytest.mark.anyio

ID = "01a20581-0000-7000-8000-000000000001"


async def test_a_turn_is_read_once_however_many_texts_of_it_answer() -> None:
    rollouts, state = MemoryRollouts(), MemoryState()
    meta = line("session_meta", id=ID, timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
    said = (agent(f"words {n} {'x' * 20_000}") for n in range(30))  # a piece of the index each
    data = b"".join(map(encode_line, (meta, started("a"), user("go"), *said, ended("a"))))
    await rollouts.create(rollouts.path_of(ID, 0), data)
    await sync(rollouts, state, quiet=True)
    searcher = World(rollouts, state).service().searcher
    await searcher.search(SearchParams("words"))  # which indexes it
    read: list[int] = []
    original = rollouts.read

    async def seen(path: str, ranges: list[tuple[int, int]]) -> list[bytes]:
        found = await original(path, ranges)
        read.extend(map(len, found))
        return found

    rollouts.read = seen  # type: ignore[method-assign, assignment]
    assert len((await searcher.search(SearchParams("words", limit=100))).data) == 30
    assert 0 < sum(read) < 1.5 * len(data)
