"""Who a thread runs under, by what is on record and by what lives in memory only."""

from __future__ import annotations

import pytest

from mcp_server.models.params import Caller, SettingsRequest, StartParams
from mcp_server.models.records import Change, SpawnEdge
from tests.threads.conftest import Homes

pytestmark = pytest.mark.anyio


async def test_threads_in_memory_only_lead_on_to_those_on_record(homes: Homes) -> None:
    home = homes.new()
    root, child = await home.plant(None, 0)
    service = home.service()
    chain = [root, child]
    for _ in range(3):
        started = await service.lifecycle.start(StartParams(parent_thread_id=chain[-1]), Caller(connection="c"))
        chain.append(started.thread.id)
    assert await service.catalog.parents(chain[-1]) == chain[-2::-1]


async def test_a_cycle_on_record_ends_even_where_its_top_is_loaded(homes: Homes) -> None:
    home = homes.new()
    one, other = await home.plant(None, 0)
    await home.state.commit(Change(edges=(SpawnEdge(other, one),)))
    service = home.service()
    for thread_id in (one, other):
        await service.lifecycle.resume(thread_id, SettingsRequest(), Caller(connection="c"), turns=0)
        assert await service.catalog.parents(thread_id) == [other if thread_id == one else one]
