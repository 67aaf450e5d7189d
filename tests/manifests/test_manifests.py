"""Every snippet, link and line of the README that says what to run: in step with each other, and it really starts."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.manifests.launching import (
    CHECKOUT,
    MANIFESTS,
    PROJECT,
    README,
    Launch,
    environment,
    load,
    needs_uv,
    run,
    starts,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]  # packages come from the registry

_TEXTS = (".json", ".toml", ".sh", ".py")
INSTALLED = Launch("threadstore", ["serve"])
INSTALLS = re.findall(r"`(uv tool install [^`]+)`", README)
URL = "URL"
"""What the README leaves to be filled in."""


def from_registry(repository: str) -> Launch:
    """As the schema of the registry has it, once its one variable is filled in."""
    (package,) = load("server.json")["packages"]
    words: list[str] = []
    for argument in package["runtimeArguments"]:
        (variable,) = argument["variables"]
        words += [argument["name"], argument["value"].replace(f"{{{variable}}}", repository)]
    arguments = [argument["value"] for argument in package["packageArguments"]]
    return Launch(package["runtimeHint"], [*words, package["identifier"], *arguments])


def from_shell(text: str) -> Launch:
    words = shlex.split(text)
    command, *args = words[words.index("--") + 1 :]
    return Launch(command, args)


def from_client(name: str, key: str) -> Launch:
    entry = load(f"clients/{name}")[key]["threadstore"]
    return Launch(entry["command"], entry["args"], entry.get("env", {}))


def links() -> dict[str, Launch]:
    """The one-click installs."""
    found: list[str] = re.findall(r"\((https?://[^)\s]+|vscode:[^)\s]+|cursor:[^)\s]+)\)", README)
    configs = {url: parse_qs(urlsplit(url).query)["config"][0] for url in found if "config=" in url}
    told = {
        url: json.loads(base64.b64decode(config) if "cursor" in url else unquote(config))
        for url, config in configs.items()
    }
    return {url: Launch(config["command"], config["args"]) for url, config in told.items()}


LAUNCHES = {
    "Claude Desktop": lambda: from_client("claude-desktop.json", "mcpServers"),
    "Claude Code": lambda: from_client("claude-code.json", "mcpServers"),
    "Claude Code's command": lambda: from_shell((MANIFESTS / "clients/claude-code.sh").read_text(encoding="utf-8")),
    "Cursor": lambda: from_client("cursor.json", "mcpServers"),
    "VS Code": lambda: from_client("vscode.json", "servers"),
    "Codex": lambda: from_client("codex.toml", "mcp_servers"),
    "Gemini CLI": lambda: from_client("gemini-cli.json", "mcpServers"),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_each_snippet_names_the_command_that_the_readme_installs(name: str) -> None:
    assert LAUNCHES[name]() == INSTALLED


def test_every_snippet_is_one_of_them() -> None:
    names = {path.name for path in (MANIFESTS / "clients").iterdir()}
    tested = {"claude-desktop.json", "claude-code.json", "claude-code.sh", "cursor.json", "vscode.json"}
    assert names == tested | {"codex.toml", "gemini-cli.json"}


def test_the_one_click_installs_carry_the_same_command() -> None:
    found = links()
    assert {"cursor.com", "insiders.vscode.dev"} == {urlsplit(url).hostname for url in found}
    assert all(launch == INSTALLED for launch in found.values())


def test_no_command_takes_the_package_from_an_index_that_does_not_have_it() -> None:
    texts = [README, *(path.read_text(encoding="utf-8") for path in MANIFESTS.rglob("*.*") if path.suffix in _TEXTS)]
    assert not [text for text in texts if re.search(r"(uvx|pipx run|pip install|uv tool install) threadstore\b", text)]


# ---------------------------------------------------------------------------------------------- they really start


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has cloned: this checkout as it is now, in git."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder / name)
    for name in ("mcp_server", "manifests"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "as it is"]):
        run(["git", *command], environment(), folder)
    return folder


@pytest.fixture(scope="module", params=INSTALLS)
def search(request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder on the path where a line of the README has put the command."""
    tools = tmp_path_factory.mktemp("tools")
    folders = {"UV_TOOL_DIR": str(tools / "tools"), "UV_TOOL_BIN_DIR": str(tools / "bin")}
    line: str = request.param.replace(URL, repository.as_uri())
    run(shlex.split(line), environment(**folders), repository)
    return tools / "bin"


@needs_uv
async def test_what_the_readme_installs_starts_the_server_from_anywhere(search: Path, tmp_path: Path) -> None:
    await starts(INSTALLED, tmp_path / "home", environment(search), tmp_path)


@needs_uv
async def test_the_registry_entry_starts_the_server_from_git(repository: Path, tmp_path: Path) -> None:
    await starts(from_registry(repository.as_uri()), tmp_path / "home", environment(), tmp_path)


def test_the_readme_installs_from_a_checkout_and_from_git_with_one_thing_to_fill_in() -> None:
    assert ["uv tool install .", f"uv tool install git+{URL}"] == INSTALLS
    assert "URL, the one thing to fill in" in " ".join(README.split())


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
    arguments: list[dict[str, Any]] = [*package["runtimeArguments"], *package["packageArguments"]]
    for argument in arguments:
        assert argument["type"] in ("positional", "named")
        assert "value" in argument
        assert (argument["type"] == "named") == ("name" in argument)
        for name in argument.get("variables", {}):
            assert f"{{{name}}}" in argument["value"]
    for variable in package["environmentVariables"]:
        assert variable["format"] == "filepath"


def test_the_readme_proves_who_owns_the_registry_name() -> None:
    assert f"mcp-name: {load('server.json')['name']}" in README


def test_versions_are_in_step() -> None:
    assert {load("server.json")["version"], load("mcpb/manifest.json")["version"]} == {PROJECT["version"]}
