"""What is published: the page is in it, built."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from mcp_server.threads.built_page import FILE
from tests.manifests.launching import CHECKOUT, environment, needs_uv, run

pytestmark = [needs_uv, pytest.mark.timeout(400)]  # packages come from the registry

SOURCE = PurePosixPath("mcp_server/web")


def test_the_wheel_holds_the_built_page_and_not_its_source(tmp_path: Path) -> None:
    run(["uv", "build", "--wheel", "--out-dir", str(tmp_path), str(CHECKOUT)], environment(), tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read("mcp_server/assets/threadstore.html") == FILE.read_bytes()
    assert "mcp_server/assets/THIRD_PARTY_LICENSES.txt" in names
    assert not [name for name in names if PurePosixPath(name).is_relative_to(SOURCE)]


def test_the_source_distribution_holds_what_builds_the_page_and_nothing_that_npm_installs(tmp_path: Path) -> None:
    run(["uv", "build", "--sdist", "--out-dir", str(tmp_path), str(CHECKOUT)], environment(), tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"{SOURCE}/package-lock.json", f"{SOURCE}/vite.config.ts", "mcp_server/assets/threadstore.html"} <= names
    assert not [name for name in names if "node_modules" in name]
