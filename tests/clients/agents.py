"""Real agents, each run once, without a login and without a network, on a script that a model on loopback plays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.apis.anthropic import Messages
from tests.clients.apis.chat import ChatCompletions
from tests.clients.apis.google import GenerateContent
from tests.clients.apis.responses import TOOL_SEARCH, Responses
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
class ToolCall:
    """A call of a tool of ours. `words` are what a model searches for where the agent does not show it the tool at
    first; without them it knows the name."""

    tool: str
    arguments: Json
    words: str = ""
    task: str = ""


Conversation = Callable[[], Generator[ToolCall, Got]]
"""A model's part: it calls tools and is sent the answers. It is played anew from what a request carries, so it has no
effect of its own."""


@dataclass(frozen=True)
class Agent:
    """One agent: its model's API, the steps that look up a tool that is not `found` yet and call it, and how it is set
    up (its command line and environment)."""

    api: Callable[[], Api]
    steps: Callable[[ToolCall, str], list[Step]]
    program: Callable[[], str]
    set_up: Callable[[Place], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True)
class Exchange:
    """A call, what the model was sent for it, and before that for the steps that looked the tool up."""

    call: ToolCall
    got: Got
    look_ups: list[Got]


@dataclass(frozen=True)
class Seen:
    """What the model was sent, and what the agent printed."""

    exchanges: list[Exchange]
    printed: str

    @property
    def got(self) -> list[Got]:
        return [exchange.got for exchange in self.exchanges]


def one_after_another(calls: Sequence[ToolCall]) -> Conversation:
    def conversation() -> Generator[ToolCall, Got]:
        for call in calls:  # noqa: UP028 -- `yield from` would send the answers on to the list
            yield call

    return conversation


def run(agent: Agent, conversation: Conversation, home: Path, folder: Path) -> Seen:
    program = agent.program()
    model = ScriptedModel(agent.api(), lambda got: _played(agent, conversation, got)[1])
    server = [sys.executable, "-m", "mcp_server", "serve", "--home", str(home)]
    with served(model) as url:
        place = Place(folder, url, server)
        for made in (place.home, place.work):
            made.mkdir(parents=True)
        command, settings = agent.set_up(place)
        printed = _finished([program, *command], place.work, _environment(place) | settings)
    return Seen(_played(agent, conversation, model.got)[0], printed)


def _played(agent: Agent, conversation: Conversation, got: Sequence[Got]) -> tuple[list[Exchange], Step | None]:
    """The exchanges so far, and the next step."""
    answers, playing = iter(got), conversation()
    exchanges: list[Exchange] = []
    found: list[Got] = []
    call = next(playing, None)
    while call is not None:
        sent: list[Got] = []
        for step in agent.steps(call, " ".join(one.text for one in found)):
            if (answer := next(answers, None)) is None:
                return exchanges, step
            sent.append(answer)
        *look_ups, last = sent
        found += look_ups
        exchanges.append(Exchange(call, last, look_ups))
        try:
            call = playing.send(last)
        except StopIteration:
            call = None
    return exchanges, None


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


def _named(prefix: str) -> Callable[[ToolCall, str], list[Step]]:
    return lambda call, found: [Step(f"{prefix}{call.tool}", call.arguments)]


# ---------------------------------------------------------------------------------------------- Claude Code


_SHOWN_AT_ONCE = ("thread_list", "thread_read", "thread_search")


def _claude_steps(call: ToolCall, found: str) -> list[Step]:
    """But for a few tools none is shown until it is looked up."""
    name = f"mcp__threadstore__{call.tool}"
    if call.tool in _SHOWN_AT_ONCE or name in found:
        return [Step(name, call.arguments)]
    return [Step("ToolSearch", {"query": call.words or f"select:{name}"}), Step(name, call.arguments)]


def _claude(place: Place) -> tuple[list[str], dict[str, str]]:
    command, *arguments = place.server
    servers = {"threadstore": {"type": "stdio", "command": command, "args": arguments}}
    config = place.write("mcp.json", {"mcpServers": servers})
    options = ["-p", PROMPT, "--mcp-config", str(config), "--strict-mcp-config", "--output-format", "json"]
    return [*options, "--allowedTools", "mcp__threadstore", "ToolSearch"], {
        "ANTHROPIC_BASE_URL": place.url,
        "ANTHROPIC_API_KEY": "none",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "ENABLE_TOOL_SEARCH": "true",  # as by default at its maker's own address
        "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_TIMEOUT": "60000",
        "MCP_CONNECT_TIMEOUT_MS": "60000",
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


def _codex_steps(call: ToolCall, found: str) -> list[Step]:
    """Codex shows no tool of a server until it is looked up; one look-up brings several."""
    step = Step(call.tool, call.arguments, namespace="mcp__threadstore")
    if f'"{call.tool}"' in found:
        return [step]
    return [Step(TOOL_SEARCH, {"query": call.words or call.tool.replace("_", " ")}), step]


def _codex_code_steps(call: ToolCall, found: str) -> list[Step]:
    """In code mode the model writes a program that calls tools, and sees what that prints."""
    code = f"const r = await tools.mcp__threadstore__{call.tool}({json.dumps(call.arguments)}); text(r);"
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
