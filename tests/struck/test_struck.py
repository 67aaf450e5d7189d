"""Killed with SIGKILL, or on a failing disk, at any point of any verb: done or undone, and service goes on.

The whole sweep is a command, `python -m tests.struck.sweep`, or THREADSTORE_SWEEP=1 here; else some points are tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_server.config import Config
from mcp_server.server import build_server
from tests.struck.sweep import ERRORS
from tests.struck.verbs import VERBS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for each strike")

WHOLE = bool(os.environ.get("THREADSTORE_SWEEP"))
# Points to skip between two that are tried: an odd number, so that before and after of a call both come up.
EVERY_KILL, EVERY_ERROR = (1, 1) if WHOLE else (59, 73)


class Warm:
    """The process that forks those to be struck."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.struck.sweep", "--serve"]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def sweep(self, verb: str, cause: str, first: int, every: int) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, cause, first, every]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "broken" not in answer, answer["broken"]
        return answer

    def end(self) -> None:
        self._process.communicate(timeout=20)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.end()


@pytest.mark.timeout(1_200 if WHOLE else 120)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_point_is_done_or_undone_and_its_repetition_does_it_once(warm: Warm, verb: str) -> None:
    first = 1 if WHOLE else 1 + list(VERBS).index(verb) % EVERY_KILL
    tally = warm.sweep(verb, "SIGKILL", first, EVERY_KILL)
    assert tally["stops"] >= 1
    assert tally["done"] >= 1  # the last run, which ends before it is struck
    assert VERBS[verb].from_the_start or tally["repeated: done"] >= 1  # by its receipt
    assert tally["statements"] >= 3  # a transaction at least
    assert tally["calls"] >= 2


@pytest.mark.timeout(1_200 if WHOLE else 120)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_on_a_disk_that_fails_at_any_point_is_refused_and_works_once_the_disk_does(
    warm: Warm, verb: str
) -> None:
    errors = ERRORS if WHOLE else [ERRORS[list(VERBS).index(verb) % len(ERRORS)]]
    for error in errors:
        assert warm.sweep(verb, error, 1, EVERY_ERROR)["failures"] >= 1


@pytest.mark.anyio
async def test_every_tool_that_takes_a_request_id_is_in_the_sweep(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path))) as client:
        tools = (await client.list_tools()).tools
    taking = {tool.name for tool in tools if "request_id" in tool.input_schema["properties"]}
    assert {tool for tool in taking if not any(tool in verb for verb in VERBS)} == set()
    assert len(taking) == 13
