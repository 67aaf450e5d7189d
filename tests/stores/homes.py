"""Homes that a test changes behind the store's back, on disk and in memory, and the rollouts to put there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from mcp_server.codex.files import BadLine, Description, RolloutRef
from mcp_server.codex.name_index import name_line
from mcp_server.errors import DamagedRollout
from mcp_server.models.event import ThreadEvent
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.sync.reconciler import BackfillResult, backfill

NOW_MS = 1_767_323_045_000
HOUR_MS = 3_600_000

_TIME = "2026-01-02T03:04:05.000Z"


def thread_id(number: int) -> str:
    """Ids in the order of their numbers, made on 2026-01-02."""
    at = f"{NOW_MS:012x}"
    return f"{at[:8]}-{at[8:]}-7000-8000-{number:012x}"


A, B, C, D, E = (thread_id(n) for n in range(5))


def path_of(key: str) -> str:
    return f"sessions/2026/01/02/rollout-2026-01-02T03-04-05-{key}.jsonl"


def archived_path(key: str) -> str:
    return f"archived_sessions/rollout-2026-01-02T03-04-05-{key}.jsonl"


def spawned(parent: str) -> dict[str, Any]:
    return {"subagent": {"thread_spawn": {"parent_thread_id": parent, "depth": 1, "agent_nickname": "Zeno"}}}


def rollout(key: str, message: str = "hi", source: Any = "cli") -> bytes:
    """The smallest rollout that is listed: metadata and one user message."""
    meta = {"id": key, "timestamp": _TIME, "cwd": "/work", "originator": "x", "cli_version": "0", "source": source}
    user = {"type": "user_message", "message": message}
    lines = (("session_meta", meta), ("event_msg", user))
    return b"".join(
        msgspec.json.encode({"timestamp": _TIME, "type": kind, "payload": payload}) + b"\n" for kind, payload in lines
    )


class Home(Protocol):
    """A home and its store. `described` lists the paths that were read; what others do meanwhile runs as
    `before_describe` or `after_describe`; `overlooked` paths are missing from the next listing."""

    described: list[str]
    before_describe: Callable[[], None] | None
    after_describe: Callable[[], None] | None
    overlooked: set[str]

    @property
    def rollouts(self) -> RolloutStore: ...

    def write(self, path: str, data: bytes, mtime_ms: int | None = None) -> None: ...

    def rename(self, path: str, target: str) -> None: ...

    def erase(self, path: str) -> None: ...

    def name(self, key: str, name: str) -> None: ...

    def content(self) -> dict[str, tuple[bytes, int]]: ...


def one_by_one(home: RolloutStore, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
    """What `describe_many` does, with what others do between two files."""
    told: list[Description | BadLine | None] = []
    for file in files:
        try:
            told.append(home.describe(file))
        except DamagedRollout as damage:
            there = home.stat(file.path) is not None
            told.append(BadLine(file.path, damage.offset, damage.reason) if there else None)
    return told


class HomeInMemory(MemoryRollouts):
    def __init__(self) -> None:
        super().__init__()
        self.described: list[str] = []
        self.before_describe: Callable[[], None] | None = None
        self.after_describe: Callable[[], None] | None = None
        self.overlooked: set[str] = set()
        self._clock_ms = NOW_MS

    @property
    def rollouts(self) -> RolloutStore:
        return self

    def describe(self, rollout: RolloutRef) -> Description:
        if self.before_describe is not None:
            self.before_describe()
        self.described.append(rollout.path)
        described = super().describe(rollout)
        if self.after_describe is not None:
            self.after_describe()
        return described

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        return one_by_one(self, files)

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        overlooked, self.overlooked = self.overlooked, set()
        yield from (file for file in super().walk(odd) if file.path not in overlooked)

    def write(self, path: str, data: bytes, mtime_ms: int | None = None) -> None:
        self._clock_ms += 1000
        self._files[path] = (data, (mtime_ms or self._clock_ms) * 1_000_000)

    def rename(self, path: str, target: str) -> None:
        self._files[target] = self._files.pop(path)

    def erase(self, path: str) -> None:
        del self._files[path]

    def name(self, key: str, name: str) -> None:
        self._clock_ms += 1000
        before = self._index[0] if self._index else b""
        self._index = (before + name_line(key, name, NOW_MS), self._clock_ms * 1_000_000)

    def content(self) -> dict[str, tuple[bytes, int]]:
        return dict(self._files) | ({"index": self._index} if self._index else {})


class HomeOnDisk(RolloutFiles):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.described: list[str] = []
        self.before_describe: Callable[[], None] | None = None
        self.after_describe: Callable[[], None] | None = None
        self.overlooked: set[str] = set()
        self._clock_ms = NOW_MS

    @property
    def rollouts(self) -> RolloutStore:
        return self

    def describe(self, rollout: RolloutRef) -> Description:
        if self.before_describe is not None:
            self.before_describe()
        self.described.append(rollout.path)
        described = super().describe(rollout)
        if self.after_describe is not None:
            self.after_describe()
        return described

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        return one_by_one(self, files)

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        overlooked, self.overlooked = self.overlooked, set()
        yield from (file for file in super().walk(odd) if file.path not in overlooked)

    def write(self, path: str, data: bytes, mtime_ms: int | None = None) -> None:
        full = self._home / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        self._clock_ms += 1000
        mtime_ns = (mtime_ms or self._clock_ms) * 1_000_000
        os.utime(full, ns=(mtime_ns, mtime_ns))

    def rename(self, path: str, target: str) -> None:
        (self._home / target).parent.mkdir(parents=True, exist_ok=True)
        (self._home / path).rename(self._home / target)

    def erase(self, path: str) -> None:
        (self._home / path).unlink()

    def name(self, key: str, name: str) -> None:
        index = "session_index.jsonl"
        before = (self._home / index).read_bytes() if (self._home / index).exists() else b""
        self.write(index, before + name_line(key, name, NOW_MS))

    def content(self) -> dict[str, tuple[bytes, int]]:
        files = (path for path in self._home.rglob("*") if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(params=["memory", "disk"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "memory":
        return HomeInMemory()
    (tmp_path / "home").mkdir()
    return HomeOnDisk(tmp_path / "home")


@pytest.fixture
def built(home: Home, state: StateStore) -> Home:
    """A home with A (named) and B active and C archived, its index complete."""
    home.write(path_of(A), rollout(A))
    home.write(path_of(B), rollout(B))
    home.write(archived_path(C), rollout(C))
    home.name(A, "Named")
    build(home, state)
    home.described.clear()
    return home


def build(home: Home, state: StateStore, **options: Any) -> BackfillResult:
    return backfill(home.rollouts, state, owner="here", now_ms=lambda: NOW_MS, **options)


def row(state: StateStore, key: str) -> StoredThread:
    found = state.get(key)
    assert found is not None
    return found


def ids(state: StateStore) -> set[str]:
    return set(state.known_rollouts())


def told(events: Iterable[ThreadEvent]) -> list[tuple[str, str]]:
    return [(event.type, event.thread_id) for event in events]


class BadLog:
    """Keeps what the stores reported."""

    def __init__(self) -> None:
        self.lines: list[BadLine] = []

    def report(self, bad: Sequence[BadLine]) -> None:
        self.lines += bad


@pytest.fixture
def golden_home(tmp_path: Path) -> Path:
    """A copy of the home that a real Codex made, with the times that its files had."""
    shared = Path(os.environ.get("THREADSTORE_SHARED", Path(__file__).parents[3] / "shared"))
    if not (shared / "golden" / "home").is_dir():
        pytest.skip("THREADSTORE_SHARED names no folder with the golden home")
    copy = tmp_path / "golden"
    shutil.copytree(shared / "golden" / "home", copy)
    mtimes = msgspec.json.decode((shared / "golden" / "expected.json").read_bytes())["mtimes"]
    for path, seconds in mtimes.items():
        if (copy / path).is_file():
            (copy / path).chmod(0o600)
            os.utime(copy / path, (seconds, seconds))
    return copy
