"""The command line: what it serves, where, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mcp_server", *arguments]


def environment(**env: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("THREADSTORE_", "CODEX_"))}, **env}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(*arguments), env=environment(**env), capture_output=True, text=True, timeout=60)


class Raw:
    """A client that writes and reads lines."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.process = subprocess.Popen(
            words(*arguments),
            env=environment(**env),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._number = 0
        self.request("initialize", HELLO)

    def request(self, method: str, params: Any) -> Any:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == self._number:
                return answer["result"]

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.request("tools/call", {"name": tool, "arguments": arguments})["structuredContent"]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.mark.parametrize("arguments", [(), ("serve",), ("--verbose",), ("serve", "-v")])
def test_every_spelling_serves_stdio_with_nothing_but_the_protocol_on_stdout(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    client = Raw(*arguments, THREADSTORE_HOME=str(tmp_path / "home"))
    assert client.call("thread_list")["total"] == 0
    code, out, err = client.end()
    assert (code, out) == (0, "")
    assert f"home {tmp_path / 'home'} holds 0 active and 0 archived threads" in err


def test_the_home_is_the_option_then_the_variables_then_codex_then_the_data_folder(tmp_path: Path) -> None:
    user = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}

    def served(*arguments: str, **env: str) -> str:
        client = Raw(*arguments, **user, **env)
        home = client.call("store_status")["home"]
        client.end()
        return str(Path(home).relative_to(tmp_path))

    assert served() == "data/threadstore"
    (tmp_path / ".codex").mkdir()
    assert served() == ".codex"
    assert served(CODEX_HOME=str(tmp_path / "codex")) == "codex"
    assert served(CODEX_HOME=str(tmp_path / "codex"), THREADSTORE_HOME=str(tmp_path / "ours")) == "ours"
    assert served("--home", str(tmp_path / "named"), THREADSTORE_HOME=str(tmp_path / "ours")) == "named"
    assert (tmp_path / "data" / "threadstore").stat().st_mode & 0o777 == 0o700


def test_the_state_db_can_lie_elsewhere(tmp_path: Path) -> None:
    client = Raw("--home", str(tmp_path / "home"), THREADSTORE_SQLITE_HOME=str(tmp_path / "db"))
    assert client.call("store_status")["state_db"] == str(tmp_path / "db" / "threadstore.sqlite")
    client.end()
    assert not (tmp_path / "home" / "threadstore.sqlite").exists()


def test_a_config_that_cannot_be_read_is_said_and_the_defaults_hold(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("model = ", encoding="utf-8")
    client = Raw("--home", str(tmp_path))
    assert client.call("thread_start")["model_provider"] == "openai"
    code, _, err = client.end()
    assert code == 0
    assert "config.toml is ignored" in err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, None])
def test_however_it_ends_what_is_loaded_is_closed(tmp_path: Path, stop: signal.Signals | None) -> None:
    client = Raw("--home", str(tmp_path))
    thread = client.call("thread_start")["thread"]
    client.call("turn_start", thread_id=thread["id"], input="work")
    if stop is not None:
        client.process.send_signal(stop)
    code, _, _ = client.end()
    assert code in (0, 130, 143)
    last = json.loads(Path(thread["path"]).read_text(encoding="utf-8").splitlines()[-1])
    assert last["payload"]["type"] == "turn_aborted"
    assert not (tmp_path / "thread-writer-locks" / f"{thread['id']}.lock").exists()


@pytest.mark.parametrize("address", ["8765", "host", "127.0.0.1:", "127.0.0.1:99999999", "127.0.0.1:abc"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    done = run("serve", "--home", str(tmp_path), "--http", address)
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


def test_http_beyond_this_machine_needs_a_token(tmp_path: Path) -> None:
    done = run("serve", "--home", str(tmp_path), "--http", "0.0.0.0:8765")
    assert done.returncode == 2
    assert "THREADSTORE_TOKEN" in done.stderr


def test_doctor_and_reindex_tell_and_mend(tmp_path: Path) -> None:
    home = str(tmp_path)
    client = Raw("--home", home)
    thread_id = client.call("thread_start", name="kept")["thread"]["id"]
    client.call("turn_start", thread_id=thread_id, input="hello")
    client.end()
    assert run("doctor", "--home", home).returncode == 0
    (rollout,) = tmp_path.rglob("rollout-*.jsonl")
    with rollout.open("a", encoding="utf-8") as file:
        file.write("\n")
    told = run("doctor", "--home", home)
    assert told.returncode == 1
    assert "changed" in told.stdout
    assert run("doctor", "--home", home, "--repair").returncode == 1  # a dry run without a terminal to ask on
    assert run("doctor", "--home", home, "--repair", "--yes").returncode == 0
    (tmp_path / "threadstore.sqlite").unlink()
    rebuilt = run("reindex", "--home", home)
    assert rebuilt.returncode == 0
    assert "1 rollouts indexed" in rebuilt.stderr
    assert run("doctor", "--home", home).returncode == 0


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == run("version").stdout != ""
