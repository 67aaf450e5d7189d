"""A short run of the load command: servers started together on one empty home."""

from pathlib import Path

import pytest

from tests.many.load import check, run

pytestmark = pytest.mark.anyio


async def test_servers_started_together_lose_no_call_and_no_item(tmp_path: Path) -> None:
    outcome = await run(tmp_path / "home", processes=6, seconds=3)
    assert len(outcome.messages) >= 6
    assert await check(tmp_path / "home", outcome) == []
