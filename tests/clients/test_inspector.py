"""The Inspector's command line against the real server, in both protocol eras."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import client

_SUCCESS, _TOOL_ERROR = 0, 5
pytestmark = pytest.mark.xdist_group("Inspector")


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> list[str]:
    return ["--protocol-era", "modern"] if request.param == "modern" else []


def inspect(home: Path, *arguments: str, ends: int = _SUCCESS) -> Any:
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(home)]
    command = [client("INSPECTOR_BIN", "mcp-inspector"), "--cli", *server, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == ends, done.stderr
    return json.loads(done.stdout)


def test_the_inspector_lists_every_tool(tmp_path: Path, era: list[str]) -> None:
    names = {tool["name"] for tool in inspect(tmp_path, *era, "--method", "tools/list")["tools"]}
    assert {"thread_start", "thread_resume", "thread_list", "thread_archive", "store_status"} <= names


def test_the_inspector_calls_a_tool(tmp_path: Path, era: list[str]) -> None:
    call = (
        *("--method", "tools/call", "--tool-name", "thread_start"),
        *("--tool-arg", "name=from the inspector", "response_format=detailed"),
    )
    answer = inspect(tmp_path, *era, *call)
    assert answer["structuredContent"]["thread"]["name"] == "from the inspector"
    assert answer["structuredContent"]["thread"]["originator"].startswith("inspector")


def test_the_inspector_shows_an_error_with_our_sentence_and_its_code(tmp_path: Path, era: list[str]) -> None:
    call = ("--method", "tools/call", "--tool-name", "thread_read", "--tool-arg", "thread_id=no such thread")
    answer = inspect(tmp_path, *era, *call, ends=_TOOL_ERROR)
    assert answer["content"][0]["text"].startswith("no thread found for")
    assert answer["_meta"]["threadstore/error"] == {"code": "thread_not_found"}


def test_the_inspector_reads_a_resource(tmp_path: Path, era: list[str]) -> None:
    answer = inspect(tmp_path, *era, "--method", "resources/read", "--uri", "threads://recent")
    assert json.loads(answer["contents"][0]["text"])["total"] == 0
