"""The conformance suite's scenarios that need no fixtures of a test server, against `serve --http`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import serving_http

CONFORMANCE = shutil.which("conformance")
pytestmark = pytest.mark.skipif(CONFORMANCE is None, reason="conformance is not on PATH (npm can't be had)")

SCENARIOS = (
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "resources-subscribe",
    "resources-unsubscribe",
    "prompts-list",
    "dns-rebinding-protection",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving_http(home) as address:
        yield address


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_passes(url: str, scenario: str) -> None:
    assert CONFORMANCE is not None
    command = [CONFORMANCE, "server", "--url", url, "--scenario", scenario]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "0 failed" in done.stdout
