"""A rollout from before September 2025, which Codex does not read any more: the fork that we make of it, it does."""

from __future__ import annotations

import json

import pytest
from mcp import Client

from tests.mission.conftest import Tools
from tests.peer.conftest import CodexHome
from tests.peer.test_codex_reads_ours import messages, read, texts
from tests.servers import stdio_server

pytestmark = pytest.mark.anyio

OLD = "cf4def41-21e0-4b91-adb4-5397c1492084"
LINES = [
    {"id": OLD, "timestamp": "2025-08-13T18:58:38.331Z", "instructions": None},
    {"type": "message", "id": None, "role": "user", "content": [{"type": "input_text", "text": "mend the zebra"}]},
    {"type": "function_call", "id": "fc", "name": "shell", "arguments": "{}", "call_id": "c1"},
    {"type": "function_call_output", "call_id": "c1", "output": "okapi"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "mended"}]},
    {"record_type": "state"},
]


async def test_codex_lists_reads_and_goes_on_with_our_fork_of_an_old_rollout(home: CodexHome) -> None:
    path = home.path / f"sessions/2025/08/13/rollout-2025-08-13T20-58-38-{OLD}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in LINES), encoding="utf-8")
    async with Client(stdio_server(home.path)) as client:
        fork = (await Tools(client)("thread_fork", thread_id=OLD))["thread"]["id"]
    with home.server() as codex:
        (row,) = codex.request("thread/list", {"sourceKinds": ["appServer"], "modelProviders": []})["data"]
        assert (row["id"], row["preview"]) == (fork, "mend the zebra")
        assert [messages(turn) for turn in read(codex, fork)] == [["mend the zebra", "mended"]]
        codex.request("thread/resume", {"threadId": fork})
        codex.turn(fork, "go on")
        assert [messages(turn) for turn in read(codex, fork)][1] == ["go on", "ack: go on"]
    assert texts(home.model.inputs()[-1])[-5:] == ["mend the zebra", "shell", "okapi", "mended", "go on"]
