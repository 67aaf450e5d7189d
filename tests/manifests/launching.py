"""What a client runs, run as it would; packages may come from the registry, and what the network doesn't give is no
fault of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

CHECKOUT = Path(__file__).parents[2]
MANIFESTS = CHECKOUT / "manifests"
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))

needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed (it is in the dev group)")
# How uv says that the registry could not be reached.
_UNREACHABLE = re.compile(r"error sending request|[Ff]ailed to fetch|dns error|timed out|network was disabled")


@dataclass(frozen=True)
class Launch:
    """What a client runs."""

    command: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict[str, str])


def load(name: str) -> Any:
    text = (MANIFESTS / name).read_text(encoding="utf-8")
    return tomllib.loads(text) if name.endswith(".toml") else json.loads(text)


def environment(*search: Path, **env: str) -> dict[str, str]:
    """A user's, who has uv and these folders on the path and nothing of this checkout."""
    path = os.pathsep.join((*map(str, search), str(Path(str(UV)).parent), "/usr/local/bin", "/usr/bin", "/bin"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "THREADSTORE_"))}
    return {**kept, "PATH": path, **env}


def run(command: Sequence[str], env: dict[str, str], cwd: Path) -> str:
    """A command that works; what it prints."""
    program = shutil.which(command[0], path=env["PATH"])
    assert program is not None, f"{command[0]} is not on the path"
    done = subprocess.run([program, *command[1:]], env=env, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode and _UNREACHABLE.search(done.stderr):
        pytest.skip(f"the registry can't be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(command: Sequence[str], env: dict[str, str], cwd: Path) -> str:
    """A command that is called in a way that it refuses; what it says."""
    program = str(shutil.which(command[0], path=env["PATH"]))
    done = subprocess.run([program, *command[1:]], env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


async def starts(launch: Launch, home: Path, env: dict[str, str], cwd: Path) -> None:
    """Run exactly the command, and speak to it."""
    environment = {"THREADSTORE_HOME": str(home), **env, **launch.env}
    # Fetched before anyone waits for an answer.
    run([launch.command, *launch.args, "--help"], environment, cwd)
    program = shutil.which(launch.command, path=env["PATH"]) or launch.command
    server = StdioServerParameters(command=program, args=launch.args, env=environment, cwd=cwd)
    async with Client(server) as client:
        assert "thread_start" in {tool.name for tool in (await client.list_tools()).tools}
        status = await client.call_tool("store_status", {})
        assert status.structured_content is not None
        assert status.structured_content["home"] == str(home)
        assert status.structured_content["versions"]["threadstore"] == PROJECT["version"]
