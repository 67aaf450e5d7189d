"""A copy of the real Codex home, and what the real binary answered on it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("THREADSTORE_SHARED", Path(__file__).parents[3] / "shared"))
GOLDEN = SHARED / "golden"


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    if not GOLDEN.is_dir():
        pytest.skip("the golden Codex home is not here; THREADSTORE_SHARED says where it is")
    return json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def golden_home(tmp_path: Path, expected: dict[str, Any]) -> Path:
    """The home as it was: copies lose mtimes and may be read-only."""
    home = tmp_path / "home"
    shutil.copytree(GOLDEN / "home", home)
    for path in (home, *home.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    for name, mtime in expected["mtimes"].items():
        os.utime(home / name, (mtime, mtime))
    return home
