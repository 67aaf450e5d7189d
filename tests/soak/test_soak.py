"""A short soak, and proof that each of its claims can fail; the long one is a command."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from mcp import Client

from tests.servers import serving_http, structure
from tests.soak.soak import MAX_GROWTH_MB, MAX_MORE_FILES, Tally, growth, left_behind, run

pytestmark = pytest.mark.nightly


@pytest.mark.skipif(sys.platform != "linux", reason="memory and open files are read from /proc")
def test_after_a_short_soak_everything_is_back_where_it_was() -> None:
    tally, wrong, _ = run(clients=8, seconds=8, seed=1)
    assert wrong == []
    assert tally.calls.total() > 50
    assert tally.dropped


@pytest.mark.anyio
async def test_a_thread_that_stays_loaded_and_an_event_that_is_lost_are_found(tmp_path: Path) -> None:
    with serving_http(tmp_path) as url:
        async with Client(url) as client:
            thread_id = str((await structure(client, "thread_start"))["thread"]["id"])
            await structure(client, "turn_start", thread_id=thread_id, input="hello")
        tally = Tally(acknowledged=Counter({("turn/started", thread_id): 1}))
        loaded = f"still loaded without a subscriber: {thread_id}"
        assert await left_behind(url, tally, patience=0.1) == [loaded]
        with closing(sqlite3.connect(tmp_path / "threadstore.sqlite")) as state, state:
            state.execute("DELETE FROM events WHERE type = 'turn/started'")
        assert await left_behind(url, tally, patience=0.1) == [
            loaded,
            "the log has a gap after 0",
            f"the log lacks turn/started of {thread_id}",
        ]


def test_a_footprint_that_grew_is_found() -> None:
    assert growth((100.0, 20), (100.0 + MAX_GROWTH_MB, 20 + MAX_MORE_FILES)) == []
    assert growth((100.0, 20), (101.0 + MAX_GROWTH_MB, 21 + MAX_MORE_FILES)) == [
        f"memory grew from 100 to {101 + MAX_GROWTH_MB:.0f} MB",
        f"open files grew from 20 to {21 + MAX_MORE_FILES}",
    ]
