"""The Inspector's command line against the real server, in both protocol eras."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INSPECTOR = shutil.which("mcp-inspector")
pytestmark = pytest.mark.skipif(INSPECTOR is None, reason="mcp-inspector is not on PATH (npm can't be had)")


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> list[str]:
    return ["--protocol-era", "modern"] if request.param == "modern" else []


def inspect(home: Path, *arguments: str) -> Any:
    assert INSPECTOR is not None
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(home)]
    done = subprocess.run([INSPECTOR, "--cli", *server, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_lists_every_tool(tmp_path: Path, era: list[str]) -> None:
    names = {tool["name"] for tool in inspect(tmp_path, *era, "--method", "tools/list")["tools"]}
    assert {"thread_start", "thread_resume", "thread_list", "thread_archive", "store_status"} <= names


def test_it_calls_a_tool(tmp_path: Path, era: list[str]) -> None:
    call = ("--method", "tools/call", "--tool-name", "thread_start", "--tool-arg", "name=from the inspector")
    answer = inspect(tmp_path, *era, *call)
    assert answer["structuredContent"]["thread"]["name"] == "from the inspector"
    assert answer["structuredContent"]["thread"]["originator"].startswith("inspector")


def test_it_reads_a_resource(tmp_path: Path, era: list[str]) -> None:
    answer = inspect(tmp_path, *era, "--method", "resources/read", "--uri", "threads://recent")
    assert json.loads(answer["contents"][0]["text"])["data"] == []
