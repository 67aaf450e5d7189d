"""Every snippet, link and line of the README that says what to run: in step with each other, and it really starts."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mcp_server.cli.install.clients import CLIENTS
from tests.by_night import nightly
from tests.cli.users import yaml_of
from tests.manifests.launching import (
    CHECKOUT,
    MANIFESTS,
    PROJECT,
    README,
    Launch,
    environment,
    load,
    needs_uv,
    refused,
    run,
    starts,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]  # packages come from the registry

_TEXTS = (".json", ".toml", ".sh", ".py", ".md", ".txt")
INSTALLED = Launch("threadstore", ["serve"])
PUBLISHED = Launch("uvx", ["threadstore", "serve"])
"""What runs on the day after the package is published."""
URL = "URL"
"""What the README leaves to be filled in."""
INSTALL_SECTION = README.partition("\n## Install\n")[2].partition("\n## ")[0]
INSTALLS = re.findall(r"(?:(?:uv tool|pipx|pip) install [^\s`·]+(?: git\+URL threadstore)?)", INSTALL_SECTION)


def from_registry() -> Launch:
    """As the schema of the registry has it."""
    (package,) = load("server.json")["packages"]
    arguments = [argument["value"] for argument in package["packageArguments"]]
    return Launch(package["runtimeHint"], [package["identifier"], *arguments])


def from_shell(text: str) -> Launch:
    words = shlex.split(text)
    command, *args = words[words.index("--") + 1 :]
    return Launch(command, args)


def from_client(name: str, key: str) -> Launch:
    entry = load(f"clients/{name}")[key]["threadstore"]
    return Launch(entry["command"], entry["args"], entry.get("env", {}))


def links() -> dict[str, Launch]:
    """The one-click installs."""
    text = (MANIFESTS / "links.md").read_text(encoding="utf-8")
    found: list[str] = re.findall(r"\(((?:https?|vscode|cursor|goose):[^)\s]+)\)", text)
    return {url: from_link(url) for url in found}


def from_link(url: str) -> Launch:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.scheme == "goose":
        return Launch(query["cmd"][0], query["arg"])
    if parts.scheme == "vscode":
        config = json.loads(unquote(parts.query))
    else:
        told = query["config"][0]
        config = json.loads(base64.b64decode(told) if "cursor" in url else unquote(told))
    return Launch(config["command"], config["args"])


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


def test_every_snippet_is_one_that_a_test_covers() -> None:
    names = {path.name for path in (MANIFESTS / "clients").iterdir()}
    tested = {"claude-desktop.json", "claude-code.json", "claude-code.sh", "cursor.json", "vscode.json"}
    assert names == tested | {"codex.toml", "gemini-cli.json"}


def test_what_is_for_the_day_after_runs_the_published_package() -> None:
    found = links()
    assert {urlsplit(url).scheme for url in found} == {"https", "vscode", "goose"}
    assert {urlsplit(url).hostname for url in found} >= {"cursor.com", "insiders.vscode.dev"}
    assert all(launch == PUBLISHED for launch in found.values())
    assert from_registry() == PUBLISHED
    commands = re.findall(r"^(?:claude|codex|gemini) .*$", (MANIFESTS / "links.md").read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 3
    assert all(command.endswith("uvx threadstore serve") for command in commands)


def test_no_command_of_today_takes_the_package_from_an_index_that_does_not_have_it() -> None:
    day_after = {"server.json", "links.md"}
    paths = [path for path in MANIFESTS.rglob("*.*") if path.suffix in _TEXTS and path.name not in day_after]
    texts = [README, *(path.read_text(encoding="utf-8") for path in paths)]
    assert not [text for text in texts if re.search(r"(uvx|pipx run|pip install|uv tool install) threadstore\b", text)]


@pytest.mark.parametrize("name", ["llms.txt", "links.md", "skills/threadstore/SKILL.md"])
def test_what_a_text_for_agents_names_is_there(name: str) -> None:
    text = (MANIFESTS / name).read_text(encoding="utf-8")
    tools = {tool["name"] for tool in json.loads((CHECKOUT / "tests/house/tools.json").read_text(encoding="utf-8"))}
    named = set(re.findall(r"`((?:thread|turn|store|events)_\w+)`", text))
    assert named <= tools
    for target in re.findall(r"\]\(((?!https?:|vscode:|goose:)[^)]+)\)", text):
        assert ((MANIFESTS / name).parent / target).exists(), target


def test_the_readme_names_each_client_of_the_installer() -> None:
    assert set(re.findall(r"^\| [^|]+ \(`([a-z][a-z-]+)`\) \|", README, re.MULTILINE)) == {one.id for one in CLIENTS}


def test_the_skill_has_the_head_that_hosts_read() -> None:
    text = (MANIFESTS / "skills/threadstore/SKILL.md").read_text(encoding="utf-8")
    head: dict[str, str] = yaml_of(text.split("---\n")[1])
    assert head["name"] == "threadstore"
    assert set(head) == {"name", "description"}
    assert len(head["description"]) <= 1_024


# ---------------------------------------------------------------------------------------------- they really start


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has cloned: this checkout as it is now, in git."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder / name)
    for name in ("mcp_server", "manifests"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "as it is"]):
        run(["git", *command], environment(), folder)
    return folder


def installed(line: str, repository: Path, folder: Path) -> Path:
    """Do what a line of the README says, in a checkout; returns the folder where the command is then."""
    words = shlex.split(line.replace(URL, repository.as_uri()))
    places = {"UV_TOOL_DIR": folder / "tools", "UV_TOOL_BIN_DIR": folder / "bin"}
    places |= {"PIPX_HOME": folder / "pipx", "PIPX_BIN_DIR": folder / "bin", "PIPX_DEFAULT_PYTHON": sys.executable}
    env = environment(**{name: str(place) for name, place in places.items()})
    if words[0] == "pip":
        run([sys.executable, "-m", "venv", str(folder)], env, repository)
        words = [str(folder / "bin" / "python"), "-m", *words]
    elif words[0] == "pipx":
        words = ["uv", "tool", "run", *words]
    run(words, env, repository)
    return folder / "bin"


@needs_uv
@pytest.mark.parametrize(
    "line", [nightly(line) if line.startswith("pip") or line.endswith(" .") else line for line in INSTALLS]
)
async def test_what_the_readme_installs_registers_itself_and_starts(
    line: str, repository: Path, tmp_path: Path
) -> None:
    search = installed(line, repository, tmp_path / "put")
    env = environment(search, HOME=str(tmp_path))
    await starts(INSTALLED, tmp_path / "home", env, tmp_path)
    run(["threadstore", "install", "--client", "cursor", "--yes"], env, tmp_path)
    entry = json.loads((tmp_path / ".cursor/mcp.json").read_text(encoding="utf-8"))["mcpServers"]["threadstore"]
    assert Path(entry["command"]).is_absolute()
    assert Path(entry["command"]).is_relative_to(tmp_path / "put")
    await starts(Launch(entry["command"], entry["args"]), tmp_path / "home", environment(), tmp_path)


@needs_uv
async def test_the_day_after_the_published_package_starts_and_does_not_register_its_passing_place(
    repository: Path, tmp_path: Path
) -> None:
    """The day after: an index has what this checkout builds."""
    run(["uv", "build", "--wheel", "--out-dir", str(tmp_path / "index")], environment(), repository)
    env = environment(HOME=str(tmp_path), UV_FIND_LINKS=str(tmp_path / "index"))
    await starts(PUBLISHED, tmp_path / "home", env, tmp_path)
    told = refused(["uvx", "threadstore", "install", "--client", "cursor", "--yes"], env, tmp_path)
    assert "it was made for one run" in told
    assert not (tmp_path / ".cursor").exists()


@pytest.mark.nightly
async def test_the_steps_of_the_container_build_a_server_that_starts(repository: Path, tmp_path: Path) -> None:
    """Its COPY, RUN and ENTRYPOINT, done in a fresh environment in the place of the image."""
    text = (MANIFESTS / "docker/Dockerfile").read_text(encoding="utf-8")
    steps = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    root = tmp_path / "image"
    run([sys.executable, "-m", "venv", str(root)], environment(), tmp_path)
    env = environment(root / "bin")
    for verb, rest in steps:
        words = rest.split()
        target = root / words[-1].lstrip("/")
        if verb == "COPY" and len(words) > 2:
            target.mkdir(parents=True)
            for source in words[:-1]:
                shutil.copy(repository / source, target / source)
        elif verb == "COPY":
            shutil.copytree(repository / words[0], target)
        elif verb == "RUN":
            run(["sh", "-c", re.sub(r" (/\w+)", rf" {root}\1", rest)], env, tmp_path)
    values = dict(steps)
    command, *args = [*json.loads(values["ENTRYPOINT"]), *json.loads(values["CMD"])]
    assert values["FROM"].startswith("python:3.")
    name, home = values["ENV"].split("=")
    assert name == "THREADSTORE_HOME"
    await starts(Launch(command, args), root / home.lstrip("/"), env, tmp_path)


def test_the_readme_installs_from_git_and_from_a_checkout_with_one_thing_to_fill_in() -> None:
    assert [
        f"uv tool install --from git+{URL} threadstore",
        f"pipx install git+{URL}",
        f"pip install git+{URL}",
        "uv tool install .",
        "pipx install .",
        "pip install .",
    ] == INSTALLS
    assert "on no package index yet. Replace URL by the address of this repository" in " ".join(README.split())


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
    assert package["version"] == entry["version"]
    arguments: list[dict[str, Any]] = package["packageArguments"]
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
