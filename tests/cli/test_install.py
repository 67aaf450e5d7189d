"""`threadstore install` for each client, on config files as that client writes them; what it writes really starts."""

from __future__ import annotations

import os
import pty
import re
import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import ANY

import pytest

from mcp_server.cli.install.clients import CLIENTS
from mcp_server.cli.install.configs.format import InvalidConfig
from mcp_server.cli.install.launch import launch_of, this_installation
from mcp_server.cli.install.machine import Machine
from mcp_server.cli.install.registration import carry_out, plan
from mcp_server.errors import InvalidArgument
from tests.by_night import nightly
from tests.cli.users import SHAPES, THREADSTORE, User, tools_of, values, written

NOW = datetime(2026, 1, 2, tzinfo=UTC)
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


PLACES = {
    "claude-code": ".claude.json",
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "codex": ".codex/config.toml",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "gemini-cli": ".gemini/settings.json",
    "opencode": ".config/opencode/opencode.json",
    "zed": ".config/zed/settings.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
    "goose": ".config/goose/config.yaml",
}
SAMPLES = Path(__file__).parent / "configs"


def sample(client: str, kind: str) -> bytes:
    """A config: as the client writes it (`own`), `by_hand`, or `invalid` for it."""
    (path,) = (SAMPLES / client).glob(f"{kind}.*")
    return path.read_bytes()


every_client = pytest.mark.parametrize("client", PLACES)


@pytest.fixture
def user(tmp_path: Path) -> User:
    (tmp_path / "user").mkdir()
    return User(tmp_path / "user")


# ---------------------------------------------------------------------------------------------- each client


@every_client
async def test_what_is_written_into_a_clients_own_config_starts_and_lists_the_tools(client: str, user: User) -> None:
    path = user.write(PLACES[client], sample(client, "own"))
    before = values(path)
    done = user.install()
    assert done.returncode == 0, done.stdout
    words = written(client, path)
    assert words == [str(THREADSTORE), "serve", "--home", str(user.threads)]
    assert "thread_start" in await tools_of(words, user.env)
    after, section = values(path), SHAPES[client][0]
    assert after.pop(section) == before.pop(section, {}) | {"threadstore": ANY}
    assert after == before
    assert f"added in ~/{PLACES[client]}; before: ~/{PLACES[client]}." in done.stdout


@every_client
@pytest.mark.parametrize("line_end", [nightly("\n"), "\r\n"])
def test_a_config_by_hand_keeps_all_that_is_in_it(client: str, user: User, line_end: str) -> None:
    before = sample(client, "by_hand").replace(b"\n", line_end.encode())
    path = user.write(PLACES[client], before)
    path.chmod(0o640)
    assert user.install("--client", client).returncode == 0
    after = path.read_bytes()
    rest = iter(after)
    assert all(byte in rest for byte in before if byte not in b" \t\r\n")
    assert after.count(b"\n") - after.count(b"\r\n") == (0 if line_end == "\r\n" else after.count(b"\n"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert user.install("--client", client, "--uninstall").returncode == 0
    assert values(path) == values(user.write("before" + path.suffix, before))
    assert path.read_bytes().split() == before.split()


@every_client
def test_a_second_call_changes_nothing(client: str, user: User) -> None:
    user.write(PLACES[client], sample(client, "by_hand"))
    user.install()
    before = user.files()
    done = user.install()
    assert done.returncode == 0
    assert "is registered already" in done.stdout
    assert user.files() == before


@every_client
@pytest.mark.parametrize("content", [None, nightly(b""), nightly(b"\n")])
def test_a_missing_or_empty_config_is_made(client: str, user: User, content: bytes | None) -> None:
    path = user.home / PLACES[client]
    if content is not None:
        user.write(PLACES[client], content)
    (user.threads / "sessions").mkdir(parents=True)
    assert user.install("--client", client, "--read-only").returncode == 0
    words = written(client, path)
    assert words[-1] == "--read-only"
    if content is None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not list(path.parent.glob("*.bak"))


@every_client
@pytest.mark.parametrize("invalid", ["invalid", nightly("latin-1")])
def test_a_config_that_cannot_be_read_is_left_as_it_is(client: str, user: User, invalid: str) -> None:
    data = sample(client, "invalid") if invalid == "invalid" else sample(client, "own") + b"\xe9"
    path = user.write(PLACES[client], data)
    before = user.files()
    done = user.install("--client", client)
    assert done.returncode == 1
    assert f"left as it is: ~/{PLACES[client]}: it is no " in done.stdout
    assert "correct that and call this again, or add this to it yourself:" in done.stdout
    assert str(THREADSTORE) in done.stdout
    assert user.files() == before
    assert path.read_bytes() == data


@every_client
def test_a_dry_run_shows_the_entry_and_writes_nothing(client: str, user: User) -> None:
    user.write(PLACES[client], sample(client, "own"))
    before = user.files()
    done = user.install("--dry-run")
    assert done.returncode == 0
    assert f"add, in ~/{PLACES[client]}" in done.stdout
    assert str(THREADSTORE) in done.stdout
    assert "Nothing was written" in done.stdout
    assert user.files() == before


async def test_a_read_only_server_is_registered_as_one(user: User) -> None:
    user.write(PLACES["cursor"], sample("cursor", "own"))
    (user.threads / "sessions").mkdir(parents=True)
    user.install("--read-only")
    tools = await tools_of(written("cursor", user.home / PLACES["cursor"]), user.env)
    assert "thread_list" in tools
    assert "thread_start" not in tools


# ---------------------------------------------------------------------------------------------- what is there already


def test_an_entry_of_another_installation_is_brought_up_to_date_and_keeps_what_a_person_added(user: User) -> None:
    text = (
        '# mine\n[mcp_servers.threadstore]\ncommand = "/gone/threadstore" # old\nargs = ["serve"]\n'
        'startup_timeout_sec = 30 # slow disk\nenabled = false\n\n[mcp_servers.threadstore.env]\nA = "b"\n'
    )
    path = user.write(".codex/config.toml", text)
    done = user.install()
    assert '-command = "/gone/threadstore" # old' in done.stdout
    assert f'+command = "{THREADSTORE}" # old' in done.stdout
    entry = values(path)["mcp_servers"]["threadstore"]
    assert entry == {
        "command": str(THREADSTORE),
        "args": ["serve", "--home", str(user.threads)],
        "startup_timeout_sec": 30,
        "enabled": False,
        "env": {"A": "b"},
    }
    assert path.read_text().count("#") == 3


def test_an_entry_that_names_an_address_is_replaced_whole(user: User) -> None:
    path = user.write(".cursor/mcp.json", '{"mcpServers": {"threadstore": {"url": "http://127.0.0.1:8765/mcp"}}}')
    user.install()
    assert set(values(path)["mcpServers"]["threadstore"]) == {"command", "args"}


def test_the_copy_of_each_call_is_kept_with_the_rights_of_the_file(user: User) -> None:
    path = user.write(".cursor/mcp.json", "{}")
    path.chmod(0o600)
    (user.threads / "sessions").mkdir(parents=True)
    user.install()
    user.install("--read-only")
    copies = sorted(path.parent.glob("mcp.json.*.bak"))
    assert len(copies) == 2
    assert "{}" in [copy.read_text() for copy in copies]
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in copies} == {0o600}


def test_a_link_to_a_config_stays_a_link(user: User) -> None:
    kept = user.write("dotfiles/mcp.json", "{}")
    (user.home / ".cursor").mkdir()
    (user.home / ".cursor/mcp.json").symlink_to(kept)
    user.install()
    assert (user.home / ".cursor/mcp.json").is_symlink()
    assert written("cursor", kept)


def test_a_byte_order_mark_stays(user: User) -> None:
    path = user.write(".cursor/mcp.json", b"\xef\xbb\xbf{}")
    user.install()
    assert path.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert written("cursor", path)


def test_a_file_that_changed_after_it_was_shown_is_not_written(tmp_path: Path) -> None:
    (cursor,) = (client for client in CLIENTS if client.id == "cursor")
    machine = Machine(tmp_path, "linux", {})
    path = tmp_path / ".cursor/mcp.json"
    path.parent.mkdir()
    path.write_text("{}")
    step = plan(cursor, machine, launch_of(["/t"], None, read_only=False))
    path.write_text('{"theirs": 1}')
    with pytest.raises(InvalidConfig, match="another program has changed it meanwhile"):
        carry_out(step, machine, NOW)
    assert path.read_text() == '{"theirs": 1}'


# ---------------------------------------------------------------------------------------------- which clients, and how


def test_only_clients_that_are_there_are_registered(user: User) -> None:
    user.write(".cursor/mcp.json", "{}")
    user.write(".config/zed/settings.json", "{}")
    done = user.install()
    assert "Cursor: added" in done.stdout
    assert "Zed: added" in done.stdout
    assert "Not found on this machine: Claude Code, Claude Desktop, Codex" in done.stdout
    assert not (user.home / ".codex").exists()


def test_only_clients_that_are_named_are_registered(user: User) -> None:
    for name in (".cursor/mcp.json", ".config/zed/settings.json", ".codeium/windsurf/mcp_config.json"):
        user.write(name, "{}")
    user.install("--client", "zed", "--client", "windsurf")
    assert (user.home / ".cursor/mcp.json").read_text() == "{}"
    assert "threadstore" in (user.home / ".config/zed/settings.json").read_text()
    assert "threadstore" in (user.home / ".codeium/windsurf/mcp_config.json").read_text()


def test_no_client_is_said_with_the_way_out(user: User) -> None:
    done = user.install()
    assert done.returncode == 1
    assert "No client was found; name one with --client (claude-code, " in done.stdout


def test_the_help_names_each_client() -> None:
    words = [str(THREADSTORE), "install", "--help"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert not {client.id for client in CLIENTS} - set(re.findall(r"[a-z]+(?:-[a-z]+)?", re.sub(r"-\n +", "-", told)))


# What VS Code does with `--add-mcp`: it can't be had here.
VS_CODE = """#!/usr/bin/python3
import json, os, pathlib, sys
assert sys.argv[1] == "--add-mcp"
told = json.loads(sys.argv[2])
path = pathlib.Path(os.environ["HOME"], ".config/Code/User/mcp.json")
config = json.loads(path.read_text()) if path.exists() else {}
config.setdefault("servers", {})[told.pop("name")] = told
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(config))
"""


@pytest.mark.skipif(shutil.which("python3", path="/usr/bin") is None, reason="there is no /usr/bin/python3")
def test_vs_code_is_told_by_its_own_command_and_its_file_is_edited_where_that_fails(user: User) -> None:
    user.write("programs/code", VS_CODE).chmod(0o755)
    path = user.home / PLACES["vscode"]
    assert "so its file was edited" not in user.install().stdout
    assert written("vscode", path) == [str(THREADSTORE), "serve", "--home", str(user.threads)]
    user.install("--uninstall")
    path.write_text('{\n  // mine\n  "servers": {}\n}\n')
    assert "its command failed" in user.install().stdout
    assert "// mine" in path.read_text()
    assert written("vscode", path)[0] == str(THREADSTORE)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ((), "opencode.json"),
        (("opencode.jsonc",), "opencode.jsonc"),
        (("opencode.json", "opencode.jsonc"), "opencode.json"),
    ],
)
def test_opencode_is_written_where_its_own_command_writes(user: User, there: tuple[str, ...], taken: str) -> None:
    for name in there:
        user.write(f".config/opencode/{name}", "{}")
    user.install("--client", "opencode")
    assert "threadstore" in (user.home / ".config/opencode" / taken).read_text()


def test_a_client_that_is_unknown_is_refused_with_those_that_are_known(user: User) -> None:
    done = user.install("--client", "emacs")
    assert done.returncode == 2
    assert "emacs: no client has this name; use one of claude-code, claude-desktop, codex" in done.stderr


def test_a_home_that_can_not_be_one_is_refused_before_anything_is_written(user: User) -> None:
    user.write(".cursor/mcp.json", "{}")
    done = user.install("--home", str(user.home / ".cursor/mcp.json"))
    assert done.returncode == 2
    assert "it is not a folder" in done.stderr
    assert (user.home / ".cursor/mcp.json").read_text() == "{}"


def test_without_a_home_the_server_chooses_it_and_one_that_the_shell_names_is_written_down(user: User) -> None:
    path = user.write(".cursor/mcp.json", "{}")
    words = [str(THREADSTORE), "install", "--yes"]
    subprocess.run(words, env=user.env, check=True, capture_output=True)
    assert written("cursor", path) == [str(THREADSTORE), "serve"]
    named = user.home / "named"
    subprocess.run(words, env=user.env | {"THREADSTORE_HOME": str(named)}, check=True, capture_output=True)
    assert written("cursor", path) == [str(THREADSTORE), "serve", "--home", str(named)]


def test_the_home_that_is_served_is_named_with_a_warning_if_it_is_not_there(user: User) -> None:
    user.write(".cursor/mcp.json", "{}")
    assert "Warning: there is no ~/threads." in user.install("--dry-run").stdout
    (user.threads / "sessions").mkdir(parents=True)
    assert "It serves the threads in ~/threads." in user.install().stdout
    words = [str(THREADSTORE), "install", "--dry-run"]
    done = subprocess.run(words, env=user.env, check=True, capture_output=True, text=True)
    assert "It serves the threads in ~/.local/share/threadstore, which it begins." in done.stdout


def test_each_client_that_was_registered_is_to_be_restarted_and_asked(user: User) -> None:
    user.write(".cursor/mcp.json", "{}")
    sentence = 'Restart Cursor, then ask it: "list my last threads".'
    assert "Restart" not in user.install("--dry-run").stdout
    assert sentence in user.install().stdout
    assert "Restart" not in user.install().stdout
    assert "Restart" not in user.install("--uninstall").stdout


def test_uninstalling_takes_out_the_entry_and_nothing_else(user: User) -> None:
    path = user.write(
        ".cursor/mcp.json", '{"mcpServers": {"threadstore": {"command": "/gone"}, "x": {"command": "y"}}}'
    )
    done = user.install("--uninstall")
    assert done.returncode == 0
    assert values(path) == {"mcpServers": {"x": {"command": "y"}}}
    assert "is not registered" in user.install("--uninstall").stdout


@pytest.mark.parametrize(("answer", "is_written"), [("y\n", True), ("\n", True), ("n\n", False)])
def test_a_person_at_a_terminal_is_asked(user: User, answer: str, is_written: bool) -> None:
    path = user.write(".cursor/mcp.json", "{}")
    ours, theirs = pty.openpty()
    words = [str(THREADSTORE), "install"]
    with subprocess.Popen(words, env=user.env, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.write(ours, answer.encode())
        printed = process.communicate(timeout=60)[0]
    os.close(ours)
    os.close(theirs)
    assert "Write this? [Y/n]" in printed
    assert ("threadstore" in path.read_text()) is is_written
    assert process.returncode == (0 if is_written else 1)


def test_without_a_terminal_nothing_is_written_unless_told_so(user: User) -> None:
    path = user.write(".cursor/mcp.json", "{}")
    done = user.install("--no-yes")
    assert done.returncode == 1
    assert "pass --yes to write this" in done.stdout
    assert path.read_text() == "{}"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_a_folder_that_can_not_be_written_is_said_and_the_file_is_whole(user: User) -> None:
    path = user.write(".cursor/mcp.json", "{}")
    (user.home / ".cursor").chmod(0o500)
    try:
        done = subprocess.run(
            [
                "setpriv",
                "--bounding-set=-dac_override",
                "--inh-caps=-dac_override",
                str(THREADSTORE),
                "install",
                "--yes",
            ],
            env=user.env,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (user.home / ".cursor").chmod(0o700)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no copy of it can be made (Permission denied)" in done.stdout
    assert path.read_text() == "{}"


# ---------------------------------------------------------------------------------------------- this installation


def test_an_environment_for_one_run_is_refused(tmp_path: Path) -> None:
    for python in ("cache/uv/archive-v0/x/bin/python", ".local/pipx/.cache/x/bin/python"):
        with pytest.raises(InvalidArgument, match="made for one run"):
            this_installation(tmp_path / python, tmp_path / "threadstore")


def test_an_installation_without_its_script_is_run_by_its_interpreter(tmp_path: Path) -> None:
    assert this_installation(tmp_path / "bin/python", tmp_path / "__main__.py") == [
        str(tmp_path / "bin/python"),
        "-m",
        "mcp_server",
    ]


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("claude-desktop", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("vscode", "Library/Application Support/Code/User/mcp.json"),
        ("zed", ".config/zed/settings.json"),
        ("goose", ".config/goose/config.yaml"),
    ],
)
def test_on_macos_configs_lie_where_its_programs_have_them(client: str, path: str, tmp_path: Path) -> None:
    (found,) = (one for one in CLIENTS if one.id == client)
    assert found.config(Machine(tmp_path, "darwin", {})) == tmp_path / path


@pytest.mark.parametrize(
    ("client", "variable", "path"),
    [
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("gemini-cli", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.json"),
    ],
)
def test_a_variable_that_moves_a_config_is_followed(client: str, variable: str, path: str, tmp_path: Path) -> None:
    (found,) = (one for one in CLIENTS if one.id == client)
    assert found.config(Machine(tmp_path, "linux", {variable: str(tmp_path / "moved")})) == tmp_path / "moved" / path
