"""The real Codex app-server beside ours: fixtures that skip where the binary or the shared material is absent."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.codex.lines import RolloutLine, decode_line, encode_line
from mcp_server.storage.files.locks import CodexWriterLocks
from tests.by_night import nightly

CHECKOUT = Path(__file__).parents[2]
CONFIG = """
include_permissions_instructions = false
include_environment_context = false
"""
SKILLS = """
[skills]
include_instructions = false
[skills.bundled]
enabled = false
"""


@dataclass(frozen=True)
class Peer:
    """The driver of the app-server, the mock model, and the real home to copy."""

    appserver: Any
    mock_model: Any
    golden: Path

    @property
    def ids(self) -> dict[str, str]:
        return json.loads((self.golden / "expected.json").read_text())["ids"]


@dataclass(frozen=True)
class Model:
    """A mock model on loopback; `inputs` is what Codex sent it, one list of items per request."""

    port: int
    log: Path

    def inputs(self) -> list[list[dict[str, Any]]]:
        return [json.loads(line)["body"]["input"] for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class CodexHome:
    """A folder that Codex takes for its home."""

    path: Path
    peer: Peer
    model: Model

    def server(self) -> Any:
        """The app-server on this home, as a context manager."""
        return self.peer.appserver.AppServer(str(self.path), stderr=str(self.path.parent / "stderr.log"))

    def write(self, thread_id: str, lines: Iterable[RolloutLine], at_ms: int) -> Path:
        """A rollout, named as Codex names them."""
        at = datetime.fromtimestamp(at_ms / 1000)  # noqa: DTZ006 - names are in local time
        path = self.path / f"sessions/{at:%Y/%m/%d}/rollout-{at:%Y-%m-%dT%H-%M-%S}-{thread_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(map(encode_line, lines)))
        return path

    def rollout(self, thread_id: str) -> Path:
        return next(self.path.glob(f"*sessions/**/*{thread_id}.jsonl"))

    def lines(self, thread_id: str) -> list[RolloutLine]:
        return [decode_line(line) for line in self.rollout(thread_id).read_bytes().splitlines()]

    def append(self, thread_id: str, lines: Iterable[RolloutLine]) -> None:
        with self.rollout(thread_id).open("ab") as file:
            file.write(b"".join(map(encode_line, lines)))

    def archive(self, codex: Any, thread_id: str) -> None:
        """Let Codex archive a thread. On a slow machine it may refuse one whose own writer it is still closing."""
        for _ in range(100):
            answer = codex.try_("thread/archive", {"threadId": thread_id})
            if "error" not in answer:
                return
            assert "active writer" in answer["error"]["message"], answer
            holder = CodexWriterLocks(self.path).foreign().get(thread_id)
            assert holder is None or holder.program == "codex", holder
            time.sleep(0.1)
        raise AssertionError(f"Codex does not let go of thread {thread_id}")

    def drop_databases(self) -> None:
        for file in self.path.glob("*.sqlite*"):
            file.unlink()


def binaries() -> list[str]:
    """The Codex binaries to test beside: CODEX_BINS (several, as in PATH), else CODEX_BIN."""
    several = os.environ.get("CODEX_BINS", "").split(os.pathsep)
    return [binary for binary in several if binary] or [os.environ.get("CODEX_BIN", "")]


def label(binary: str) -> str:
    """For a binary from npm the folder that it is installed in, which tells one version from another."""
    path = Path(binary)
    return path.parents[2].name if path.parts[-3:-1] == ("node_modules", ".bin") else path.stem or "no Codex"


NEWEST_BY_DAY = pytest.mark.parametrize(
    "peer", [*(nightly(older, id=label(older)) for older in binaries()[:-1]), binaries()[-1]], indirect=True, ids=label
)
"""Beside the older binaries by night alone."""


@pytest.fixture(scope="session", params=binaries(), ids=label)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    """Each test runs once beside each binary."""
    binary: str = request.param
    if not binary:
        pytest.skip("neither CODEX_BINS nor CODEX_BIN names a Codex binary")
    shared = Path(os.environ.get("THREADSTORE_SHARED", CHECKOUT / ".." / "shared")).resolve()
    if not (shared / "peer").is_dir():
        pytest.skip("THREADSTORE_SHARED holds no peer drivers")
    os.environ["PEER_DIR"] = str(tmp_path_factory.mktemp("peer"))
    appserver = _load(shared / "peer/appserver.py")
    appserver.CODEX = binary
    return Peer(appserver, _load(shared / "peer/mock_model.py"), shared / "golden")


@pytest.fixture
def model(peer: Peer, tmp_path: Path) -> Iterator[Model]:
    log = tmp_path / "model.jsonl"
    log.touch()
    peer.mock_model.LOG = str(log)
    server, port = peer.mock_model.serve()
    yield Model(port, log)
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(peer: Peer, model: Model, tmp_path: Path) -> CodexHome:
    """An empty home that talks to the mock model."""
    path = tmp_path / "home"
    peer.appserver.write_config(str(path), model.port, SKILLS)
    config = path / "config.toml"
    config.write_text(CONFIG + config.read_text())
    return CodexHome(path, peer, model)


@pytest.fixture
def golden_home(peer: Peer, model: Model, tmp_path: Path) -> CodexHome:
    """A copy of the real home, with its databases, that talks to the mock model."""
    return _copied(peer, model, "golden", tmp_path)


@pytest.fixture
def golden171_home(peer: Peer, model: Model, tmp_path: Path) -> CodexHome:
    """The same of the one that Codex 0.171 made, with more kinds of threads."""
    return _copied(peer, model, "golden171", tmp_path)


def _copied(peer: Peer, model: Model, name: str, tmp_path: Path) -> CodexHome:
    path = tmp_path / name
    shutil.copytree(peer.golden.parent / name / "home", path)
    config = path / "config.toml"
    config.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{model.port}", config.read_text()))
    # Codex keeps absolute paths.
    with closing(sqlite3.connect(path / "state_5.sqlite")) as db, db:
        db.execute("UPDATE threads SET rollout_path = replace(rollout_path, ?, ?)", (f"/{name}/home", str(path)))
    return CodexHome(path, peer, model)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"threadstore_peer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
