"""The bundle: made by one command, and all that is needed to run the server is in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.by_night import nightly
from tests.manifests.launching import CHECKOUT, PROJECT, README, Launch, environment, load, needs_uv, run, starts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]  # packages come from the registry

MCPB = shutil.which("mcpb")
NAME = f"threadstore-{PROJECT['version']}.mcpb"


def make(out: Path | str) -> subprocess.CompletedProcess[str]:
    """What the README says, in a checkout."""
    command = [sys.executable, "-m", "manifests.mcpb", str(out)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    done = make(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder / NAME} (")
    return folder / NAME


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """The bundle as a host unpacks it, far from the checkout."""
    with ZipFile(packed) as archive:
        archive.extractall(tmp_path / "extensions" / "threadstore")
    return tmp_path / "extensions" / "threadstore"


def test_the_readme_names_the_command() -> None:
    assert "`python -m manifests.mcpb .`" in README


def test_the_bundle_holds_the_package_with_the_built_page_and_nothing_else(packed: Path) -> None:
    with ZipFile(packed) as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read("manifest.json"))["version"] == PROJECT["version"]
    package = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "mcp_server").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.is_relative_to(CHECKOUT / "mcp_server" / "web")
    }
    assert "mcp_server/assets/threadstore.html" in names
    assert names == package | {"manifest.json", "icon.png", "pyproject.toml", "README.md", "LICENSE"}


def test_the_bundle_has_the_same_bytes_each_time_under_any_name(packed: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "new" / "mine.mcpb").returncode == 0
    assert (tmp_path / "new" / "mine.mcpb").read_bytes() == packed.read_bytes()


def test_a_bundle_that_can_not_be_written_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "x.mcpb", "--help"):
        done = make(out)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith(("could not write", "usage: "))


def test_the_bundle_asks_for_the_home_as_a_directory() -> None:
    manifest = load("mcpb/manifest.json")
    assert (manifest["manifest_version"], manifest["server"]["type"]) == ("0.4", "uv")
    assert manifest["user_config"]["home"]["type"] == "directory"
    assert (CHECKOUT / manifest["server"]["entry_point"]).is_file()


@pytest.mark.skipif(MCPB is None, reason="mcpb is not on PATH (npm can't be had)")
def test_the_tool_of_the_bundle_format_accepts_it(packed: Path, tmp_path: Path) -> None:
    for command in (["info", str(packed)], ["unpack", str(packed), str(tmp_path / "unpacked")]):
        done = subprocess.run([str(MCPB), *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    manifest = tmp_path / "unpacked" / "manifest.json"
    done = subprocess.run([str(MCPB), "validate", str(manifest)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_uv
@pytest.mark.parametrize("chosen", [True, nightly(False)])
async def test_the_packed_file_alone_starts_the_server(bundle: Path, tmp_path: Path, chosen: bool) -> None:
    config = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["server"]["mcp_config"]
    home = tmp_path / ("chosen" if chosen else "data/threadstore")
    if chosen:
        home.mkdir()
    values = {"__dirname": str(bundle), "user_config.home": str(home) if chosen else ""}

    def filled(text: str) -> str:
        return re.sub(r"\$\{([^}]+)\}", lambda match: values[match[1]], text)

    given = {name: filled(value) for name, value in config["env"].items()}
    launch = Launch(config["command"], [filled(argument) for argument in config["args"]], given)
    env = environment(HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"), CODEX_HOME="")
    (tmp_path / "elsewhere").mkdir()
    await starts(launch, home, env, tmp_path / "elsewhere")
    ask = "import mcp_server; print(mcp_server.__file__)"
    where = ["uv", "run", "--directory", str(bundle), "--no-dev", "python", "-c", ask]
    assert run(where, env, tmp_path / "elsewhere").strip() == str(bundle / "mcp_server" / "__init__.py")
