"""`threadstore install` with the real programs of clients: their own command registers, and they then start the server
and list its tools."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit

from mcp_server.cli.install.configs.format import Format
from mcp_server.cli.install.configs.jsonc import Json
from mcp_server.cli.install.configs.toml import Toml
from tests.by_night import nightly
from tests.cli.test_install import PLACES, sample
from tests.cli.users import SHAPES, THREADSTORE, User, values, written
from tests.clients.agents import (
    CLAUDE_CODE,
    GEMINI_CLI,
    OPENCODE,
    Agent,
    Place,
    ToolCall,
    codex,
    one_after_another,
    run,
)
from tests.clients.installed import client as program_of

pytestmark = pytest.mark.timeout(400)

REAL = {
    "claude-code": ("claude", "CLAUDE_BIN"),
    "codex": ("codex", "CODEX_BIN"),
    "gemini-cli": ("gemini", "GEMINI_BIN"),
    "opencode": ("opencode", "OPENCODE_BIN"),
}
# Nothing of theirs is fetched or sent.
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "GEMINI_CLI_TRUST_WORKSPACE": "true",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}
every_client = pytest.mark.parametrize(
    "client", [pytest.param(name, marks=pytest.mark.xdist_group(f"install {name}")) for name in REAL]
)


@pytest.fixture
def user(tmp_path: Path, request: pytest.FixtureRequest) -> User:
    client: str = request.node.callspec.params["client"]
    (tmp_path / "user").mkdir()
    user = User(tmp_path / "user", QUIET)
    name, variable = REAL[client]
    user.has(name, program_of(variable, name))
    return user


def call(user: User, client: str, *arguments: str) -> str:
    """Run the real program; what it prints."""
    words = [str(user.programs / REAL[client][0]), *arguments]
    done = subprocess.run(words, env=user.env, cwd=user.home, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


CONNECTED = {"claude-code": "Connected", "codex": "enabled", "gemini-cli": "Connected", "opencode": "connected"}
"""How each says that the server answers. Codex only says that it will start it."""


@every_client
def test_a_client_registers_by_its_own_command_and_then_reaches_the_server(client: str, user: User) -> None:
    user.write(PLACES[client], sample(client, "own"))
    before = values(user.home / PLACES[client])
    done = user.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by its own command" in done.stdout
    assert "so its file was edited" not in done.stdout
    path = user.home / PLACES[client]
    assert written(client, path) == [str(THREADSTORE), "serve", "--home", str(user.threads)]
    assert [key for key, value in before.items() if values(path)[key] != value] in ([], [SHAPES[client][0]])
    listed = call(user, client, "mcp", "list")
    assert "threadstore" in listed
    assert CONNECTED[client] in listed, listed
    assert "is registered already" in user.install().stdout
    assert user.install("--uninstall").returncode == 0
    assert "threadstore" not in call(user, client, "mcp", "list")
    assert "threadstore" not in path.read_text()


@every_client
@pytest.mark.parametrize("line_end", [nightly("\n"), "\r\n"])
def test_comments_and_line_ends_stay_though_a_clients_command_may_lose_them(
    client: str, user: User, line_end: str
) -> None:
    by_hand = sample(client, "by_hand").replace(b"\n", line_end.encode())
    path = user.write(PLACES[client], by_hand)
    for options in ((), ("--uninstall",)):
        done = user.install("--client", client, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        after = path.read_bytes()
        assert after.count(b"//") + after.count(b"# ") >= by_hand.count(b"//") + by_hand.count(b"# ")
        assert after.count(b"\r\n") == (after.count(b"\n") if line_end == "\r\n" else 0)


@every_client
def test_a_config_that_a_client_can_not_read_is_kept_from_its_command(client: str, user: User) -> None:
    path = user.write(PLACES[client], sample(client, "invalid"))
    before = user.files()
    assert user.install().returncode == 1
    assert user.files() == before
    assert path.read_bytes() == sample(client, "invalid")


@every_client
def test_a_command_that_fails_is_made_up_for_by_an_edit(client: str, user: User) -> None:
    name, _ = REAL[client]
    (user.programs / name).unlink()
    user.has(name, "/bin/false")
    done = user.install()
    assert done.returncode == 0
    assert "its command failed (no reason given), so its file was edited" in done.stdout
    assert written(client, user.home / PLACES[client])[0] == str(THREADSTORE)


# ---------------------------------------------------------------------------------------------- their models


def registered(agent: Agent, client: str, config: str, home: Path) -> Agent:
    """The agent as its tests set it up, but with the server put into its config by the installer."""

    def set_up(place: Place) -> tuple[list[str], dict[str, str]]:
        command, settings = agent.set_up(place)
        path = place.folder / config
        form: Format = Toml() if path.suffix == ".toml" else Json()
        if path.exists():
            path.write_text(form.cut(path.read_text(), SHAPES[client][0], "threadstore"))
        user = User(place.home, QUIET)
        user.has(REAL[client][0], agent.program())
        done = user.install("--client", client, "--home", str(home))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "by its own command" in done.stdout
        if client == "codex":  # else it does not wait for the server before it asks its model
            settled = tomlkit.parse(path.read_text())
            settled["mcp_servers"]["threadstore"]["required"] = True  # type: ignore[index]
            path.write_text(tomlkit.dumps(settled))
        given = command.index("--mcp-config") if "--mcp-config" in command else None
        # Claude Code would else look at that file alone.
        return command if given is None else [*command[:given], *command[given + 3 :]], settings

    return replace(agent, set_up=set_up)


AGENTS = {
    "claude-code": (CLAUDE_CODE, "home/.claude.json"),
    "codex": (codex(lambda: program_of("CODEX_BIN", "codex"), in_code=False), "home/.codex/config.toml"),
    "gemini-cli": (GEMINI_CLI, "home/.gemini/settings.json"),
    "opencode": (OPENCODE, "work/opencode.json"),
}


@every_client
def test_the_model_of_a_client_calls_tools_of_the_server_that_was_registered(client: str, tmp_path: Path) -> None:
    agent, config = AGENTS[client]
    home = tmp_path / "threads"
    seen = run(
        registered(agent, client, config, home), one_after_another([ToolCall("store_status", {})]), home, tmp_path
    )
    assert seen.got, seen.printed[-3000:]
    assert str(home) in seen.got[0].text
