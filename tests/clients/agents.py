"""Real agents, each run once, without a login and without a network, on a script that a model on loopback plays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.apis.anthropic import Messages
from tests.clients.apis.chat import ChatCompletions
from tests.clients.apis.google import GenerateContent
from tests.clients.apis.responses import Responses
from tests.clients.installed import client
from tests.clients.scripted_model import Api, Got, Json, ScriptedModel, Step, served

PROMPT = "Please look at the stored threads."
_SECONDS = 240
# What no agent may reach, nor needs: its own makers.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Place:
    """Where one run has its files, where its model answers, and the command line of the server."""

    folder: Path
    url: str
    server: list[str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def write(self, name: str, content: str | Json) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path


@dataclass(frozen=True)
class Agent:
    """One agent: its model's API, the steps that call a tool of ours, and how it is set up (its command line and
    environment)."""

    api: Callable[[], Api]
    steps: Callable[[str, Json], list[Step]]
    program: Callable[[], str]
    set_up: Callable[[Place], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True)
class Seen:
    """What the model got for each call of a tool of ours, and what the agent printed."""

    got: list[Got]
    printed: str


def run(agent: Agent, calls: Sequence[tuple[str, Json]], home: Path, folder: Path) -> Seen:
    program = agent.program()
    steps = [agent.steps(tool, arguments) for tool, arguments in calls]
    model = ScriptedModel(agent.api(), [step for some in steps for step in some])
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(home)]
    with served(model) as url:
        place = Place(folder, url, server)
        for made in (place.home, place.work):
            made.mkdir(parents=True)
        command, settings = agent.set_up(place)
        printed = _finished([program, *command], place.work, _environment(place) | settings)
    ends = [sum(len(some) for some in steps[: number + 1]) - 1 for number in range(len(steps))]
    return Seen([model.got[end] for end in ends if end < len(model.got)], printed)


def _environment(place: Place) -> dict[str, str]:
    """No key and no setting of who runs the tests reaches the agent, and the agent reaches loopback alone."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    loopback = "127.0.0.1,localhost"
    proxies = {name: _NOWHERE for one in ("http_proxy", "https_proxy") for name in (one, one.upper())}
    return kept | proxies | {"HOME": str(place.home), "NO_PROXY": loopback, "no_proxy": loopback, "CI": "1"}


def _finished(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the agent, and the server below it
        return f"no end after {_SECONDS} s: {process.communicate()[0]}"


def _named(prefix: str) -> Callable[[str, Json], list[Step]]:
    return lambda tool, arguments: [Step(f"{prefix}{tool}", arguments)]


# ---------------------------------------------------------------------------------------------- Claude Code


def _claude_steps(tool: str, arguments: Json) -> list[Step]:
    """A server may still be starting, and a tool's schema is not shown until it is looked up."""
    name = f"mcp__threadstore__{tool}"
    look_up = Step("ToolSearch", {"query": f"select:{name}", "max_results": 1})
    return [Step("WaitForMcpServers"), look_up, Step(name, arguments)]


def _claude(place: Place) -> tuple[list[str], dict[str, str]]:
    command, *arguments = place.server
    servers = {"threadstore": {"type": "stdio", "command": command, "args": arguments}}
    config = place.write("mcp.json", {"mcpServers": servers})
    options = ["-p", PROMPT, "--mcp-config", str(config), "--strict-mcp-config", "--output-format", "json"]
    return [*options, "--allowedTools", "mcp__threadstore", "ToolSearch", "WaitForMcpServers"], {
        "ANTHROPIC_BASE_URL": place.url,
        "ANTHROPIC_API_KEY": "none",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


# ---------------------------------------------------------------------------------------------- Gemini CLI


def _gemini(place: Place) -> tuple[list[str], dict[str, str]]:
    command, *arguments = place.server
    place.write(
        "home/.gemini/settings.json",
        {
            "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
            "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
            "privacy": {"usageStatisticsEnabled": False},
            "mcpServers": {"threadstore": {"command": command, "args": arguments, "trust": True}},
        },
    )
    # Without a model it asks one first which to take.
    options = ["-p", PROMPT, "--approval-mode", "yolo", "--skip-trust", "-m", "gemini-2.5-flash", "-o", "json"]
    return options, {"GOOGLE_GEMINI_BASE_URL": place.url, "GEMINI_API_KEY": "none"}


# ---------------------------------------------------------------------------------------------- opencode


def _opencode(place: Place) -> tuple[list[str], dict[str, str]]:
    model = {"tool_call": True, "limit": {"context": 200_000, "output": 32_000}}
    provider = {"npm": "@ai-sdk/openai-compatible", "models": {"scripted": model}}
    place.write(
        "work/opencode.json",
        {
            "provider": {"own": provider | {"options": {"baseURL": f"{place.url}/v1", "apiKey": "none"}}},
            "model": "own/scripted",
            "small_model": "own/scripted",
            "permission": "allow",
            "autoupdate": False,
            "share": "disabled",
            "mcp": {"threadstore": {"type": "local", "command": place.server, "enabled": True, "timeout": 60_000}},
        },
    )
    switches = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    return ["run", "--format", "json", PROMPT], {f"OPENCODE_DISABLE_{switch}": "1" for switch in switches}


# ---------------------------------------------------------------------------------------------- Codex


def _codex_steps(tool: str, arguments: Json) -> list[Step]:
    return [Step(tool, arguments, namespace="mcp__threadstore")]


def _codex_code_steps(tool: str, arguments: Json) -> list[Step]:
    """In code mode the model writes a program that calls tools, and sees what that prints."""
    code = f"const r = await tools.mcp__threadstore__{tool}({json.dumps(arguments)}); text(r);"
    return [Step("exec", code=code)]


def _codex(model: str) -> Callable[[Place], tuple[list[str], dict[str, str]]]:
    def set_up(place: Place) -> tuple[list[str], dict[str, str]]:
        command, *arguments = place.server
        place.write(
            "home/.codex/config.toml",
            f"""
            model = "{model}"
            model_provider = "own"
            check_for_update_on_startup = false
            [analytics]
            enabled = false
            [model_providers.own]
            name = "own"
            base_url = "{place.url}/v1"
            wire_api = "responses"
            request_max_retries = 0
            stream_max_retries = 0
            [mcp_servers.threadstore]
            command = {json.dumps(command)}
            args = {json.dumps(arguments)}
            startup_timeout_sec = 60
            required = true
            """,
        )
        options = ["exec", "--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox", PROMPT]
        return options, {"CODEX_HOME": str(place.home / ".codex")}

    return set_up


def codex(program: Callable[[], str], *, in_code: bool) -> Agent:
    """Codex takes from its catalog of models how one gets its tools."""
    model = "gpt-6.1-sol" if in_code else "gpt-5.5"
    return Agent(Responses, _codex_code_steps if in_code else _codex_steps, program, _codex(model))


CLAUDE_CODE = Agent(Messages, _claude_steps, lambda: client("CLAUDE_BIN", "claude"), _claude)
GEMINI_CLI = Agent(GenerateContent, _named("mcp_threadstore_"), lambda: client("GEMINI_BIN", "gemini"), _gemini)
OPENCODE = Agent(ChatCompletions, _named("threadstore_"), lambda: client("OPENCODE_BIN", "opencode"), _opencode)
