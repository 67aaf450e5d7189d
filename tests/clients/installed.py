"""Where the clients are that other people make: by a variable, else on PATH."""

from __future__ import annotations

import os
import shutil

import pytest


def client(variable: str, name: str) -> str:
    """The program that a variable names, else the one of this name on PATH.

    Where it is absent the test is skipped, or fails if THREADSTORE_REQUIRE_CLIENTS says that it should be there. If the
    variable is `none`, it can't be had on this machine.
    """
    found = os.environ.get(variable) or shutil.which(name)
    if found == "none":
        pytest.skip(f"{name} can't be had here")
    return found or absent(f"{variable} names no {name}, and there is none on PATH")


def codex(number: int) -> str:
    """The number-th Codex of CODEX_BINS, or else the one of CODEX_BIN."""
    several = codexes()
    return several[number] if several else client("CODEX_BIN", "codex")


def codexes() -> list[str]:
    return [path for path in os.environ.get("CODEX_BINS", "").split(os.pathsep) if path]


def absent(reason: str) -> str:
    if os.environ.get("THREADSTORE_REQUIRE_CLIENTS"):
        pytest.fail(reason)
    pytest.skip(reason)
