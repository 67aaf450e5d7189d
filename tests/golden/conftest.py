"""Copies of real Codex homes, served beside what the real binary answered on them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.golden.beside import Beside, Databases, GoldenHome
from tests.golden.differences import Differences

HOMES = ("golden", "golden171")
"""Made by Codex 0.169.0 and 0.171.0."""


@cache
def _golden(name: str) -> GoldenHome | None:
    folder = GoldenHome.folder_of(name)
    if not folder.is_dir():
        return None
    return GoldenHome(name, json.loads((folder / "expected.json").read_text(encoding="utf-8")))


@pytest.fixture(params=HOMES)
def golden(request: pytest.FixtureRequest) -> GoldenHome:
    home = _golden(request.param)
    if home is None:
        pytest.skip("the golden Codex home is not here; THREADSTORE_SHARED names the folder that holds it")
    return home


@pytest.fixture(params=["kept", "removed", "no-state"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """With Codex's databases beside the files; with the files alone and our state DB; with the files alone."""
    return request.param


@pytest.fixture
def era(request: pytest.FixtureRequest) -> Literal["auto", "legacy"]:
    return request.param


@pytest.fixture
async def beside(
    golden: GoldenHome, databases: Databases, era: Literal["auto", "legacy"], tmp_path: Path
) -> AsyncIterator[Beside]:
    home = golden.copy_to(tmp_path / "home", databases=databases)
    config = replace(Config.load(home, state=databases != "no-state"), watch=False)
    async with Client(build_server(config), mode=era) as client:
        yield Beside(client, golden, home, databases, Differences(golden, databases))
