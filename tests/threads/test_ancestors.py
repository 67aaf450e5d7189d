"""Who a thread runs under, by what is on record and by what lives in memory only."""

from __future__ import annotations

from mcp_server.models.params import Caller, SettingsRequest, StartParams
from mcp_server.models.records import Change, SpawnEdge
from tests.threads.conftest import Homes


def test_ancestors_of_a_loaded_thread_include_those_on_record(homes: Homes) -> None:
    home = homes.new()
    root, child = home.plant(None, 0)
    service = home.service()
    chain = [root, child]
    for _ in range(3):
        started = service.lifecycle.start(StartParams(parent_thread_id=chain[-1]), Caller(connection="c"))
        chain.append(started.thread.id)
    assert service.catalog.parents(chain[-1]) == chain[-2::-1]


def test_a_cycle_of_ancestors_ends_though_one_of_them_is_loaded(homes: Homes) -> None:
    home = homes.new()
    one, other = home.plant(None, 0)
    home.state.commit(Change(edges=(SpawnEdge(other, one),)))
    service = home.service()
    for thread_id in (one, other):
        service.lifecycle.resume(thread_id, SettingsRequest(), Caller(connection="c"), turns=0)
        assert service.catalog.parents(thread_id) == [other if thread_id == one else one]
