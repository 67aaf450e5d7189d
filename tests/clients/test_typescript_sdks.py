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
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """What the SDK makes of our answers."""
    name, era = request.param
    folder = os.environ.get("TYPESCRIPT_SDKS") or absent("TYPESCRIPT_SDKS names no folder with the TypeScript SDKs")
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(tmp_path / "home")]
    command = [client("NODE_BIN", "node"), str(PROGRAM), folder, name, era, json.dumps(CALLS), *server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    if name != "@modelcontextprotocol/sdk":
        assert (seen["version"] >= "2026") is (era == "modern")
    return seen


def test_successes_come_whole_and_errors_with_our_sentence_and_code(seen: dict[str, Any]) -> None:
    started, listed, unknown, misspelt = seen["answers"]
    assert started["structuredContent"]["thread"]["name"] == "from the SDK"
    assert listed["structuredContent"]["total"] == 0
    assert "total: 0" in listed["content"][0]["text"]
    assert unknown["isError"]
    assert unknown["content"][0]["text"].startswith("no thread found for")
    assert unknown["_meta"]["threadstore/error"] == {"code": "thread_not_found"}
    assert "unknown 'dryRun'" in misspelt["content"][0]["text"]
    assert misspelt["_meta"]["threadstore/error"] == {"code": "invalid_argument"}


def test_an_argument_of_a_prompt_completes_and_the_prompt_brings_the_thread(seen: dict[str, Any]) -> None:
    thread = seen["answers"][0]["structuredContent"]["thread"]
    assert seen["completion"] == {"values": ["from the SDK"], "total": 1, "hasMore": False}
    (message,) = seen["prompt"]["messages"]
    assert message["role"] == "user"
    assert f"id {thread['id']}" in message["content"]["text"]
    assert "threads://recent" in {resource["uri"] for resource in seen["resources"]}
