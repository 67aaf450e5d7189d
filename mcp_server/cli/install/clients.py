"""The clients that the installer knows: how each is found, where its config lies, and how it writes down a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.cli.install.configs.format import Format
from mcp_server.cli.install.configs.jsonc import Json
from mcp_server.cli.install.configs.toml import Toml
from mcp_server.cli.install.configs.yaml import Yaml
from mcp_server.cli.install.launch import Launch
from mcp_server.cli.install.machine import Machine

NAME = "threadstore"

_STRICT = Json()
_COMMENTED = Json(takes_comments=True)
_JSONC = Json(takes_comments=True, takes_last_commas=True)


@dataclass(frozen=True)
class Client:
    """One client. `title` is what people call it, `id` what `--client` takes."""

    id: str
    title: str
    config: Callable[[Machine], Path]
    format: Format
    section: str
    """The table of its config that holds servers by name."""
    entry: Callable[[Launch], dict[str, Any]]
    """What tells it how to start a server: in step with the installation at all times."""
    beside: dict[str, Any] = field(default_factory=dict[str, Any])
    """What else a new entry has. Of one that is there already, it is the person's to change."""
    programs: tuple[str, ...] = ()
    places: Callable[[Machine], list[Path]] = lambda _: []
    """Where it leaves traces besides its config."""
    add: Callable[[Launch], list[str]] | None = None
    """The arguments of its program that register a server for the user, if it has such a command."""
    remove: list[str] | None = None

    def is_on(self, machine: Machine) -> bool:
        traces = [self.config(machine), *self.places(machine)]
        return self.program(machine) is not None or any(trace.exists() for trace in traces)

    def program(self, machine: Machine) -> str | None:
        return next(filter(None, map(machine.program, self.programs)), None)


def _words(launch: Launch) -> dict[str, Any]:
    return {"command": launch.command, "args": list(launch.args)}


def _one_list(launch: Launch) -> dict[str, Any]:
    return {"command": launch.words}


def _cmd(launch: Launch) -> dict[str, Any]:
    return {"cmd": launch.command, "args": list(launch.args)}


def _opencode(machine: Machine) -> Path:
    """Of the files that it merges the one that its own command writes to."""
    folder = machine.config / "opencode"
    names = ("opencode.json", "opencode.jsonc")
    return next((folder / name for name in names if (folder / name).exists()), folder / "opencode.json")


def _code_user(machine: Machine) -> Path:
    return machine.application_support / "Code/User"


CLIENTS = (
    Client(
        *("claude-code", "Claude Code"),
        lambda machine: machine.folder("CLAUDE_CONFIG_DIR", "") / ".claude.json",
        *(_STRICT, "mcpServers", _words),
        beside={"type": "stdio", "env": {}},
        programs=("claude",),
        places=lambda machine: [machine.folder("CLAUDE_CONFIG_DIR", ".claude")],
        add=lambda launch: ["mcp", "add", "--scope", "user", NAME, "--", *launch.words],
        remove=["mcp", "remove", "--scope", "user", NAME],
    ),
    Client(
        *("claude-desktop", "Claude Desktop"),
        lambda machine: machine.application_support / "Claude/claude_desktop_config.json",
        *(_STRICT, "mcpServers", _words),
        programs=("claude-desktop",),
        places=lambda machine: [machine.application_support / "Claude"],
    ),
    Client(
        *("codex", "Codex"),
        lambda machine: machine.folder("CODEX_HOME", ".codex") / "config.toml",
        *(Toml(), "mcp_servers", _words),
        programs=("codex",),
        places=lambda machine: [machine.folder("CODEX_HOME", ".codex")],
        add=lambda launch: ["mcp", "add", NAME, "--", *launch.words],
        remove=["mcp", "remove", NAME],
    ),
    Client(
        *("cursor", "Cursor"),
        lambda machine: machine.user / ".cursor/mcp.json",
        *(_JSONC, "mcpServers", _words),
        programs=("cursor",),
        places=lambda machine: [machine.user / ".cursor"],
    ),
    Client(
        *("vscode", "VS Code"),
        lambda machine: _code_user(machine) / "mcp.json",
        *(_JSONC, "servers", _words),
        beside={"type": "stdio"},
        programs=("code",),
        places=lambda machine: [_code_user(machine)],
        add=lambda launch: ["--add-mcp", json.dumps({"name": NAME, "type": "stdio", **_words(launch)})],
    ),
    Client(
        *("gemini-cli", "Gemini CLI"),
        lambda machine: machine.folder("GEMINI_CLI_HOME", "") / ".gemini/settings.json",
        *(_COMMENTED, "mcpServers", _words),
        programs=("gemini",),
        places=lambda machine: [machine.folder("GEMINI_CLI_HOME", "") / ".gemini"],
        add=lambda launch: ["mcp", "add", "--scope", "user", NAME, launch.command, "--", *launch.args],
        remove=["mcp", "remove", "--scope", "user", NAME],
    ),
    Client(
        *("opencode", "opencode", _opencode),
        *(_JSONC, "mcp", _one_list),
        beside={"type": "local"},
        programs=("opencode",),
        places=lambda machine: [machine.config / "opencode"],
        add=lambda launch: ["mcp", "add", NAME, "--", *launch.words],
    ),
    Client(
        *("zed", "Zed"),
        lambda machine: machine.config / "zed/settings.json",
        *(_JSONC, "context_servers", _words),
        programs=("zed", "zeditor"),
        places=lambda machine: [machine.config / "zed"],
    ),
    Client(
        *("windsurf", "Windsurf"),
        lambda machine: machine.user / ".codeium/windsurf/mcp_config.json",
        *(_JSONC, "mcpServers", _words),
        programs=("windsurf",),
        places=lambda machine: [machine.user / ".codeium/windsurf"],
    ),
    Client(
        *("goose", "goose"),
        # Not by its program: others have that name too.
        lambda machine: machine.config / "goose/config.yaml",
        *(Yaml(), "extensions", _cmd),
        beside={"type": "stdio", "name": NAME, "enabled": True, "envs": {}, "timeout": 300},
        places=lambda machine: [machine.config / "goose"],
    ),
)
