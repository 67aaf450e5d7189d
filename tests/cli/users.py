"""A user with a home of their own, the clients that they have, and `threadstore install` run as they would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from ruamel.yaml import YAML

from mcp_server.cli.install.clients import CLIENTS
from mcp_server.cli.install.configs.jsonc import Json

THREADSTORE = Path(sys.executable).with_name("threadstore")


@dataclass
class User:
    """`programs`: where the programs of clients lie."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def programs(self) -> Path:
        return self.home / "programs"

    @property
    def threads(self) -> Path:
        """The home of the threads that the written server serves."""
        return self.home / "threads"

    @property
    def env(self) -> dict[str, str]:
        """Nothing of whoever runs the tests."""
        return {"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin", "LANG": "C.UTF-8"} | self.extra

    def has(self, name: str, program: str) -> None:
        """A client's program, on the path."""
        self.programs.mkdir(parents=True, exist_ok=True)
        (self.programs / name).symlink_to(program)
        node = shutil.which("node")
        if node is not None and not (self.programs / "node").exists():
            (self.programs / "node").symlink_to(os.path.realpath(node))

    def install(self, *options: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """What they call, with a home of threads unless they leave the entries out."""
        home = [] if "--uninstall" in options or "--home" in options else ["--home", str(self.threads)]
        yes = [] if {"--dry-run", "--no-yes"} & {*options} else ["--yes"]
        words = [str(THREADSTORE), "install", *(option for option in options if option != "--no-yes"), *home, *yes]
        done = subprocess.run(
            words, env=self.env, cwd=self.home, input=typed, capture_output=True, text=True, timeout=200
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def files(self) -> dict[str, bytes]:
        """All files below their home, but for programs and threads."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and not path.is_relative_to(self.programs) and not path.is_relative_to(self.threads)
        }


def of_list(entry: Any) -> list[str]:
    return [*entry["command"]]


def of_pair(entry: Any) -> list[str]:
    return [entry["command"], *entry["args"]]


def of_cmd(entry: Any) -> list[str]:
    return [entry["cmd"], *entry["args"]]


SHAPES: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "claude-code": ("mcpServers", of_pair),
    "claude-desktop": ("mcpServers", of_pair),
    "codex": ("mcp_servers", of_pair),
    "cursor": ("mcpServers", of_pair),
    "vscode": ("servers", of_pair),
    "gemini-cli": ("mcpServers", of_pair),
    "opencode": ("mcp", of_list),
    "zed": ("context_servers", of_pair),
    "windsurf": ("mcpServers", of_pair),
    "goose": ("extensions", of_cmd),
}
"""Where each client looks for servers, and what it runs: as its documentation has it."""


def yaml_of(text: str) -> Any:
    yaml: Any = YAML(typ="safe")
    return yaml.load(text)


def values(path: Path) -> Any:
    """What a config file says."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix == ".yaml":
        return yaml_of(text)
    return Json(takes_comments=True, takes_last_commas=True).read(text)


def written(client: str, path: Path) -> list[str]:
    """The command line that a client finds in its config."""
    section, words = SHAPES[client]
    return words(values(path)[section]["threadstore"])


async def tools_of(words: list[str], env: dict[str, str]) -> set[str]:
    """Start a server as a client does, and list its tools."""
    command, *args = words
    async with Client(StdioServerParameters(command=command, args=args, env=env, cwd="/")) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


assert set(SHAPES) == {client.id for client in CLIENTS}
