"""store_repair: what its dry run tells is what it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mission.conftest import Connect, Refused, rollouts

pytestmark = pytest.mark.anyio


async def test_a_repair_does_what_its_dry_run_reported_and_leaves_loaded_threads_alone(
    home: Path, connect: Connect
) -> None:
    async with connect() as tools:
        gone, changed, loaded = [await tools.written(f"thread {number}") for number in range(3)]
        for thread_id in (gone, changed):
            await tools("thread_unsubscribe", thread_id=thread_id)
        paths = {
            thread_id: path
            for path in rollouts(home)
            for thread_id in (gone, changed, loaded)
            if thread_id in path.name
        }
        paths[gone].unlink()
        for thread_id in (changed, loaded):
            with paths[thread_id].open("ab") as file:
                file.write(b"\n")
        foretold = (await tools("store_repair", dry_run=True))["repaired"]
        done = (await tools("store_repair"))["repaired"]
        assert (
            done == foretold == {"added": 0, "changed": 1, "moved": 0, "vanished": 1, "abandoned": 0, "codex_rows": 0}
        )


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_repair_without_a_state_db_is_refused_with_the_reason(connect: Connect, dry_run: bool) -> None:
    async with connect(state=False) as tools:
        with pytest.raises(Refused, match="no usable state DB to repair") as refused:
            await tools("store_repair", dry_run=dry_run)
        assert refused.value.code == "invalid_argument"
        assert (await tools("store_status"))["repaired"] is None
