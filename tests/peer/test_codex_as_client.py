"""A real Codex agent with our server in its config.toml: it calls our tools, and can't archive what it runs in."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from tests.peer.conftest import CodexHome, Peer

_CALL = "CALL "


@pytest.fixture
def calling_model(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock model, which in answer to `CALL tool {arguments}` calls that tool of ours once."""
    module = peer.mock_model
    usual = module.decide

    def decide(body: dict[str, Any]) -> Any:
        said = [module._text(item) for item in body["input"] if item.get("role") == "user"]
        last = said[-1] if said else ""
        answered = body["input"][-1].get("type") == "function_call_output"
        if not last.startswith(_CALL) or answered:
            return usual(body)
        name, _, arguments = last.removeprefix(_CALL).partition(" ")
        tools = module.tool_index(body["tools"])
        full = next(known for known in tools if known.endswith(name))
        return [module.call(full, json.loads(arguments), tools[full][0])], 0

    monkeypatch.setattr(module, "decide", decide)


@pytest.fixture
def configured(home: CodexHome, calling_model: None) -> CodexHome:
    """Codex's home with our server among its MCP servers, serving that same home."""
    ours = (
        "\n[mcp_servers.threadstore]\n"
        f'command = "{sys.executable}"\n'
        f'args = ["-m", "mcp_server", "serve", "--home", "{home.path}"]\n'
        "required = true\nstartup_timeout_sec = 60\n"  # a thread starts with our tools, however busy the machine is
    )
    config = home.path / "config.toml"
    config.write_text(config.read_text() + ours)
    return home


def outputs(home: CodexHome) -> list[str]:
    """What the model was told our tools answered."""
    last = home.model.inputs()[-1]
    return [str(item["output"]) for item in last if item.get("type") == "function_call_output"]


def test_an_agent_calls_our_tools_and_is_known_by_its_thread(configured: CodexHome) -> None:
    with configured.server() as codex:
        agent = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        total, until = 0, time.monotonic() + 30
        while total != 1:  # our server may have looked before the agent's thread was there; then its watcher tells it
            assert time.monotonic() < until, "our server does not see the thread of its agent"
            codex.turn(agent, f"{_CALL}thread_list {json.dumps({'limit': 5})}", timeout=60)
            told = outputs(configured)[-1]
            total = json.loads(told[told.index("{") :])["total"]
        codex.turn(agent, f"{_CALL}thread_start {json.dumps({'name': 'by the agent'})}", timeout=60)
        started = outputs(configured)[-1]
    assert "by the agent" in started
    assert f"You seem to run in thread {agent}" in started or agent in started


def test_an_agent_archives_neither_itself_nor_its_parent(configured: CodexHome) -> None:
    with configured.server() as codex:
        agent = codex.request("thread/start", {"cwd": "/work"})["thread"]["id"]
        codex.turn(agent, "hello", timeout=60)
        codex.turn(agent, f"{_CALL}thread_archive {json.dumps({'thread_id': agent})}", timeout=60)
        assert f"{agent}, may not archive itself" in outputs(configured)[-1]
    assert configured.rollout(agent).parent.name != "archived_sessions"
