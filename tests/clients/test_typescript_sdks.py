"""The TypeScript SDKs, on which most hosts are built: 1.x holds structured content against the output schema even in
errors, 2.x speaks both eras of the protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import absent, client

PROGRAM = Path(__file__).with_name("sdk.mjs")
SDKS = [
    ("@modelcontextprotocol/sdk", "legacy"),
    ("@modelcontextprotocol/client", "legacy"),
    ("@modelcontextprotocol/client", "modern"),
]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("thread_start", {"name": "from the SDK", "cwd": None, "response_format": None}),
    ("thread_list", {}),
    ("thread_read", {"thread_id": "no such thread"}),
    ("thread_list", {"dryRun": True}),
]


pytestmark = pytest.mark.xdist_group("TypeScript SDKs")


@pytest.fixture(params=SDKS, ids=lambda sdk: " ".join(sdk))
def answers(request: pytest.FixtureRequest, tmp_path: Path) -> list[Any]:
    """What the SDK makes of our answers to the calls."""
    name, era = request.param
    folder = os.environ.get("TYPESCRIPT_SDKS") or absent("TYPESCRIPT_SDKS names no folder with the TypeScript SDKs")
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(tmp_path / "home")]
    command = [client("NODE_BIN", "node"), str(PROGRAM), folder, name, era, json.dumps(CALLS), *server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    if name != "@modelcontextprotocol/sdk":
        assert (seen["version"] >= "2026") is (era == "modern")
    return seen["answers"]


def test_successes_come_whole_and_errors_with_our_sentence_and_code(answers: list[Any]) -> None:
    started, listed, unknown, misspelt = answers
    assert started["structuredContent"]["thread"]["name"] == "from the SDK"
    assert listed["structuredContent"]["total"] == 0
    assert listed["content"][0]["text"].startswith("0 of 0 threads")
    assert unknown["isError"]
    assert unknown["content"][0]["text"].startswith("no rollout found for thread id")
    assert unknown["_meta"]["threadstore/error"] == {"code": "thread_not_found"}
    assert "unknown 'dryRun'" in misspelt["content"][0]["text"]
    assert misspelt["_meta"]["threadstore/error"] == {"code": "invalid_argument"}
