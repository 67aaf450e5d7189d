"""The conformance suite's scenarios that need no fixtures of a test server, against `serve --http`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.installed import client
from tests.servers import serving_http

pytestmark = pytest.mark.xdist_group("conformance")

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
def test_the_conformance_scenario_passes(url: str, scenario: str) -> None:
    command = [client("CONFORMANCE_BIN", "conformance"), "server", "--url", url, "--scenario", scenario]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "0 failed" in done.stdout
