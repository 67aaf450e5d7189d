"""The command line: what it serves, where, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_server.config import Config
from tests.answers import takes_format, whole
from tests.servers import free_port, structure

# A client kills a server that takes longer than 2 s; the rest is room for a busy machine.
PROMPTLY = 5.0
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
        form = {"response_format": "detailed"} if takes_format(tool) else {}
        answer = self.request("tools/call", {"name": tool, "arguments": form | arguments})
        return whole(tool, answer["structuredContent"])

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PROMPTLY)
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


def test_a_config_that_is_no_file_is_said_and_the_defaults_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.toml").mkdir()
    assert Config.load(tmp_path).defaults.model_provider == "openai"
    assert "config.toml is ignored" in caplog.text


def test_choosing_a_home_creates_nothing(tmp_path: Path) -> None:
    config = Config.load(tmp_path / "new" / "home")
    assert config.home == tmp_path / "new" / "home"
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    done = run("--home", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "it is not a folder" in done.stderr
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


# ---------------------------------------------------------------------------------------------- the end


def interrupted_and_unlocked(home: Path, thread: dict[str, Any]) -> bool:
    last = json.loads(Path(thread["path"]).read_text(encoding="utf-8").splitlines()[-1])
    lock = home / "thread-writer-locks" / f"{thread['id']}.lock"
    return last["payload"]["type"] == "turn_aborted" and not lock.exists()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_with_its_threads_closed_though_the_client_stays(
    tmp_path: Path, stop: signal.Signals
) -> None:
    client = Raw("--home", str(tmp_path))
    thread = client.call("thread_start")["thread"]
    client.call("turn_start", thread_id=thread["id"], input="work")
    client.process.send_signal(stop)
    # stdin stays open: the thread that reads it never returns.
    assert client.process.wait(timeout=PROMPTLY) == 0
    assert interrupted_and_unlocked(tmp_path, thread)
    client.end()


def test_the_end_of_stdin_ends_it_promptly_with_its_threads_closed(tmp_path: Path) -> None:
    client = Raw("--home", str(tmp_path))
    thread = client.call("thread_start")["thread"]
    client.call("turn_start", thread_id=thread["id"], input="work")
    assert client.end()[:2] == (0, "")
    assert interrupted_and_unlocked(tmp_path, thread)


def test_the_end_of_stdin_ends_it_promptly_where_nothing_happens(tmp_path: Path) -> None:
    """No change in the home wakes the thread that watches it."""
    client = Raw("--home", str(tmp_path))
    client.call("thread_list")
    assert client.end()[:2] == (0, "")


@pytest.mark.anyio
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_over_http_too_though_a_client_waits_for_events(
    tmp_path: Path, stop: signal.Signals
) -> None:
    port = free_port()
    with started("--home", str(tmp_path), "--http", f"127.0.0.1:{port}") as process:
        await listening(port)
        async with Client(f"http://127.0.0.1:{port}/mcp") as client, anyio.create_task_group() as tasks:
            thread = (await structure(client, "thread_start"))["thread"]
            await structure(client, "turn_start", thread_id=thread["id"], input="work")
            tasks.start_soon(waits_until_cut_off, client)
            await anyio.wait_all_tasks_blocked()
            await structure(client, "thread_loaded_list")  # sent later, answered: the other has arrived
            process.send_signal(stop)
            assert await anyio.to_thread.run_sync(process.wait, PROMPTLY) == 0
            assert interrupted_and_unlocked(tmp_path, thread)


@contextlib.contextmanager
def started(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(words(*arguments), env=environment(), stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def listening(port: int) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            except OSError:
                await anyio.sleep(0.05)  # a port can't be awaited


async def waits_until_cut_off(client: Client) -> None:
    with contextlib.suppress(MCPError):
        await structure(client, "events_read", after=1_000, wait_seconds=40)


# ---------------------------------------------------------------------------------------------- addresses


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
    assert "1 file indexed" in rebuilt.stderr
    assert run("doctor", "--home", home).returncode == 0


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == run("version").stdout != ""


def test_what_the_start_does_not_need_is_not_loaded_before_it() -> None:
    """Each takes time from every client's start; the collector is back when the server serves."""
    script = (
        "import gc, sys, mcp_server.serving, mcp_server.cli\n"
        "mcp_server.serving.run = lambda *_: print(gc.isenabled(), [n for n in sys.argv[1:] if n in sys.modules])\n"
        "mcp_server.cli.app(['serve', '--home', 'unused'])"
    )
    heavy = ("sqlmodel", "sqlalchemy", "alembic", "platformdirs")
    done = subprocess.run([sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
