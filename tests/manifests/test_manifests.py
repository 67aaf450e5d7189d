"""Every manifest and snippet: well-formed, in step with the package, and its command really starts the server."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import pytest
from mcp import Client, StdioServerParameters

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]  # packages come from the registry

CHECKOUT = Path(__file__).parents[2]
MANIFESTS = CHECKOUT / "manifests"
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
MCPB = shutil.which("mcpb")

# How uv says that the registry could not be reached.
UNREACHABLE = re.compile(r"error sending request|[Ff]ailed to fetch|dns error|timed out|network was disabled")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed (it is in the dev group)")


@dataclass(frozen=True)
class Launch:
    """What a client runs."""

    command: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict[str, str])


def load(name: str) -> Any:
    text = (MANIFESTS / name).read_text(encoding="utf-8")
    return tomllib.loads(text) if name.endswith(".toml") else json.loads(text)


def from_registry() -> Launch:
    package = load("server.json")["packages"][0]
    arguments = [argument["value"] for argument in package["packageArguments"]]
    return Launch(package["runtimeHint"], [package["identifier"], *arguments])


def from_shell() -> Launch:
    words = shlex.split((MANIFESTS / "clients/claude-code.sh").read_text(encoding="utf-8"))
    command, *args = words[words.index("--") + 1 :]
    return Launch(command, args)


def from_client(name: str, key: str) -> Launch:
    entry = load(f"clients/{name}")[key]["threadstore"]
    return Launch(entry["command"], entry["args"], entry.get("env", {}))


LAUNCHES = {
    "MCP Registry": from_registry,
    "Claude Desktop": lambda: from_client("claude-desktop.json", "mcpServers"),
    "Claude Code": lambda: from_client("claude-code.json", "mcpServers"),
    "Claude Code's command": from_shell,
    "Cursor": lambda: from_client("cursor.json", "mcpServers"),
    "VS Code": lambda: from_client("vscode.json", "servers"),
    "Codex": lambda: from_client("codex.toml", "mcp_servers"),
    "Gemini CLI": lambda: from_client("gemini-cli.json", "mcpServers"),
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as a wheel: the package that a registry would hand out."""
    folder = tmp_path_factory.mktemp("wheels")
    source = folder / "source"
    copy_package(source)
    command = [str(UV), "build", "--wheel", "--out-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def copy_package(target: Path) -> None:
    target.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, target / name)
    shutil.copytree(CHECKOUT / "mcp_server", target / "mcp_server", ignore=shutil.ignore_patterns("__pycache__"))


async def starts(launch: Launch, home: Path, **env: str) -> None:
    """Run exactly the command, and speak to it."""
    search = os.pathsep.join((str(Path(str(UV)).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": search, "THREADSTORE_HOME": str(home), **launch.env, **env}
    # Fetched before anyone waits for an answer; and what the network doesn't give is no fault of the command's.
    fetched = await anyio.run_process(
        [shutil.which(launch.command, path=search) or launch.command, *launch.args, "--help"],
        env=environment,
        check=False,
    )
    if fetched.returncode and UNREACHABLE.search(said := fetched.stderr.decode(errors="replace")):
        pytest.skip(f"the registry can't be reached: {said[-300:]}")
    server = StdioServerParameters(command=launch.command, args=launch.args, env=environment)
    async with Client(server) as client:
        assert "thread_start" in {tool.name for tool in (await client.list_tools()).tools}
        status = await client.call_tool("store_status", {})
        assert status.structured_content is not None
        assert status.structured_content["home"] == str(home)
        assert status.structured_content["versions"]["threadstore"] == PROJECT["version"]


@needs_uv
@pytest.mark.parametrize("name", LAUNCHES)
async def test_the_command_that_it_names_starts_the_server(name: str, wheels: Path, tmp_path: Path) -> None:
    launch = LAUNCHES[name]()
    await starts(launch, tmp_path / "home", UV_FIND_LINKS=str(wheels), UV_REFRESH_PACKAGE="threadstore")


def test_the_registry_entry_keeps_the_rules_of_its_schema() -> None:
    entry = load("server.json")
    assert entry["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 3 <= len(entry["name"]) <= 200
    assert 1 <= len(entry["description"]) <= 100
    assert 1 <= len(entry["title"]) <= 100
    assert set(entry) <= {"$schema", "name", "title", "description", "version", "packages", "repository", "websiteUrl"}
    (package,) = entry["packages"]
    assert {"registryType", "identifier", "transport"} <= set(package)
    assert package["registryType"] == "pypi"
    assert package["identifier"] == PROJECT["name"]
    assert package["transport"] == {"type": "stdio"}
    for argument in package["packageArguments"]:
        assert argument["type"] == "positional"
        assert "value" in argument
    for variable in package["environmentVariables"]:
        assert variable["format"] == "filepath"


def test_the_readme_proves_who_owns_the_registry_name() -> None:
    assert f"mcp-name: {load('server.json')['name']}" in README


def test_versions_are_in_step() -> None:
    entry = load("server.json")
    versions = {entry["version"], entry["packages"][0]["version"], load("mcpb/manifest.json")["version"]}
    assert versions == {PROJECT["version"]}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    copy_package(folder)
    shutil.copy(MANIFESTS / "mcpb" / "manifest.json", folder / "manifest.json")
    return folder


def test_the_bundle_asks_for_the_home_as_a_directory() -> None:
    manifest = load("mcpb/manifest.json")
    assert (manifest["manifest_version"], manifest["server"]["type"]) == ("0.4", "uv")
    assert manifest["user_config"]["home"]["type"] == "directory"
    assert (CHECKOUT / manifest["server"]["entry_point"]).is_file()


@pytest.mark.skipif(MCPB is None, reason="mcpb is not on PATH (npm can't be had)")
def test_the_bundle_validates_and_packs(bundle: Path, tmp_path: Path) -> None:
    validate = [str(MCPB), "validate", str(bundle / "manifest.json")]
    pack = [str(MCPB), "pack", str(bundle), str(tmp_path / "threadstore.mcpb")]
    for command in (validate, pack):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "threadstore.mcpb").stat().st_size > 10_000


@needs_uv
@pytest.mark.parametrize("chosen", [True, False])
async def test_the_bundles_command_starts_the_server(bundle: Path, tmp_path: Path, chosen: bool) -> None:
    config = load("mcpb/manifest.json")["server"]["mcp_config"]
    home = tmp_path / ("chosen" if chosen else "data/threadstore")
    values = {"__dirname": str(bundle), "user_config.home": str(home) if chosen else ""}

    def filled(text: str) -> str:
        return re.sub(r"\$\{([^}]+)\}", lambda match: values[match[1]], text)

    env = {name: filled(value) for name, value in config["env"].items()}
    launch = Launch(config["command"], [filled(argument) for argument in config["args"]], env)
    await starts(launch, home, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"), CODEX_HOME="")


def test_the_one_click_installs_carry_the_same_command() -> None:
    expected = {"command": "uvx", "args": ["threadstore", "serve"]}
    links: list[str] = re.findall(r"\((https?://[^)\s]+|vscode:[^)\s]+|cursor:[^)\s]+)\)", README)
    cursor = next(link for link in links if "cursor" in link and "config=" in link)
    config = parse_qs(urlsplit(cursor).query)["config"][0]
    assert json.loads(base64.b64decode(config)) == expected
    vscode = next(link for link in links if "insiders.vscode.dev/redirect" in link or "vscode.dev/redirect" in link)
    assert json.loads(unquote(parse_qs(urlsplit(vscode).query)["config"][0])) == expected
