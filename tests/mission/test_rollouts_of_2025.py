"""What Codex wrote in 2025, in the forms that it has left since: read, gone on with where that is safe, never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.mission.conftest import Connect, rollouts
from tests.mission.searches import ONE, put
from tests.threads.rollout_lines import agent, line, user

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------------------------------------- sandbox policies


@pytest.mark.parametrize(
    ("recorded", "in_force"),
    [
        (
            {"mode": "workspace-write", "network_access": True, "exclude_slash_tmp": False},
            {"type": "workspaceWrite", "networkAccess": True, "excludeSlashTmp": False},
        ),
        ({"mode": "danger-full-access"}, {"type": "dangerFullAccess"}),
        ({"mode": "read-only"}, {"type": "readOnly"}),
        ({"type": "danger-full-access"}, {"type": "dangerFullAccess"}),
        ("danger-full-access", {"type": "dangerFullAccess"}),
        ({"mode": "unheard-of"}, {"type": "readOnly", "networkAccess": False}),
    ],
)
async def test_the_sandbox_that_was_recorded_is_in_force_on_resume_and_recorded_again(
    home: Path, connect: Connect, recorded: Any, in_force: dict[str, Any]
) -> None:
    context = line("turn_context", cwd="/work", approval_policy="never", sandbox_policy=recorded, model="gpt-5-codex")
    put(home, ONE, context, user("x"), agent("y"))
    async with connect() as tools:
        assert (await tools("thread_resume", thread_id=ONE))["sandbox"] == in_force
        await tools("turn_start", thread_id=ONE, input="more")
    (path,) = rollouts(home)
    written = [json.loads(text) for text in path.read_bytes().splitlines()]
    (again,) = [entry["payload"] for entry in written if entry["type"] == "turn_context"][1:]
    put(home, ONE, line("turn_context", **again), user("x"), agent("y"))
    async with connect() as tools:
        assert (await tools("thread_resume", thread_id=ONE))["sandbox"] == in_force
