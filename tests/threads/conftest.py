"""Homes with planted trees, in memory and as files with SQLite, that outlive the services (processes) on them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mcp_server.codex import writer as recording
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import ACTIVE, ARCHIVED, active_path, archived_path
from mcp_server.models.event import EventType
from mcp_server.models.params import Caller, SettingsRequest
from mcp_server.models.records import Change, SpawnEdge
from mcp_server.storage.contracts import Leases
from mcp_server.storage.files.locks import LOCK_FOLDER, CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from mcp_server.storage.query import ThreadQuery
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.storage.tags import MemoryTags, Tags
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from mcp_server.threads.settings import Defaults
from tests.faults import Faults
from tests.stores.rollout_text import START_MS, meta, text_of, user
from tests.worlds import World, clock, files_stores

CLIENT = Caller(connection="client")

Registry = dict[str, tuple[MemoryLocks, int]]


def hello(text: str = "hello") -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, "text_elements": []}]


@dataclass
class Home(World):
    """One home, in a folder or (None) in memory. Its trees are planted as another program would leave them."""

    folder: Path | None = None
    registry: Registry = field(default_factory=dict[str, tuple[MemoryLocks, int]])
    tags: Tags = field(default_factory=MemoryTags)
    in_the_way: set[str] = field(default_factory=set[str])
    now_ms: Callable[[], int] = field(default_factory=clock)
    processes: list[Leases] = field(default_factory=list[Leases])
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    # ------------------------------------------------------------------------------------------ what is there

    def plant(
        self, *parents: int | None, closed: Collection[int] = (), edges: Collection[tuple[int, int]] = ()
    ) -> list[str]:
        """Threads with a message each, the n-th spawned by the one that `parents[n]` says; their ids ascend. `closed`
        are the children whose edge is closed, `edges` further (parent, child) pairs, which go before the others."""
        ids = [f"01a20581-0000-7000-8000-{number:012x}" for number in (next(self.numbers) for _ in parents)]
        told = [SpawnEdge(ids[parent], ids[child]) for parent, child in edges]
        told += [SpawnEdge(ids[parents[child] or 0], ids[child], "closed") for child in closed]
        self.state.commit(Change(edges=tuple(told)))
        for thread_id, parent in zip(ids, parents, strict=True):
            self.write(thread_id, **({} if parent is None else spawned_by(ids[parent])))
        sync(self.rollouts, self.state, quiet=True)
        return ids

    def write(self, thread_id: str, **fields: Any) -> str:
        """A rollout with one message; returns its path. No row yet."""
        path = self.rollouts.new(thread_id, START_MS + 1000 * int(thread_id[-6:], 16)).path
        self.rollouts.create(RolloutRef(path), text_of(meta(thread_id, **fields), user(f"message of {thread_id}")))
        return path

    def path(self, thread_id: str) -> str:
        row = self.state.get(thread_id)
        assert row is not None
        return row.path

    def obstruct(self, thread_id: str) -> None:
        """Put something in the way of the thread's next move: a folder with the target's name, or (memory) a file."""
        path = self.path(thread_id)
        target = archived_path(path) if path.startswith(f"{ACTIVE}/") else active_path(path)
        self.in_the_way.add(target)
        if self.folder is None:
            self.rollouts.create(RolloutRef(target), b"in the way")
        else:
            (self.folder / target).mkdir(parents=True)

    def clear(self) -> None:
        """Take away what was in the way; it must be there still, as it was put."""
        for target in self.in_the_way:
            if self.folder is None:
                assert [raw.data for batch in self.rollouts.lines(RolloutRef(target)) for raw in batch] == [
                    b"in the way"
                ]
                self.rollouts.remove(RolloutRef(target))
            else:
                (self.folder / target).rmdir()
        self.in_the_way.clear()

    # ------------------------------------------------------------------------------------------ how it stands

    def standing(self) -> dict[str, bool]:
        """Which threads there are, and whether they are archived. Files and rows must tell the same, and no cascade may
        be open in the journal."""
        files = [file for file in self.rollouts.walk() if file.path not in self.in_the_way]
        rows = (self.state.list(ThreadQuery(archived=None, with_preview=None, limit=1_000))).rows
        assert {row.id: (row.path, row.stamp) for row in rows} == {f.thread_id: (f.path, f.stamp) for f in files}
        assert all(
            row.archived == row.path.startswith(f"{ARCHIVED}/") == (row.archived_at_ms is not None) for row in rows
        )
        assert self.state.running_operations() == []
        return {row.id: row.archived for row in rows}

    def told(self, *types: EventType, after: int = 0) -> list[str]:
        """The threads that events of these types told of, in order."""
        return [event.thread_id for event in self.state.events_after(after, limit=1_000, types=types)]

    def story(self, after: int = 0) -> list[tuple[str, str]]:
        """All events: type (a status with its new value) and thread."""
        events = self.state.events_after(after, limit=1_000)
        return [(event.payload.get("status", {}).get("type", event.type), event.thread_id) for event in events]

    def locked(self) -> list[str]:
        """The threads that some process on the home holds."""
        return sorted(thread_id for locks in self.processes for thread_id in locks.held())

    # ------------------------------------------------------------------------------------------ processes

    def locks(self) -> Leases:
        """The writer locks of one more process."""
        locks = MemoryLocks(self.registry) if self.folder is None else CodexWriterLocks(self.folder)
        self.processes.append(locks)
        return locks

    def service(self, faults: Faults | None = None) -> ThreadService:
        """A new process on the home; `faults` strike at its stores."""
        wrap: Callable[[Any], Any] = faults.wrap if faults else lambda store: store
        stores = replace(files_stores(wrap(self.rollouts), wrap(self.locks()), wrap(self.state)), tags=self.tags)
        return ThreadService(stores, defaults=Defaults(cwd="/work"), now_ms=self.now_ms)

    def kill(self) -> None:
        """End all processes: the system lets their locks go, and the files of the locks stay."""
        for locks in self.processes:
            for thread_id in locks.held():
                locks.release([thread_id])
                if self.folder is not None:
                    (self.folder / LOCK_FOLDER / f"{thread_id}.lock").touch()
        self.processes.clear()

    def start_again(self) -> ThreadService:
        """What a server does at its start: rows follow the files, then the journal is worked off."""
        service = self.service()
        sync(self.rollouts, self.state, written_here=service.loaded.written_here)
        service.cascade.finish()
        return service


class Homes:
    """Makes homes of one kind."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._numbers, self._opened = folder, count(), list[StateDb]()

    def new(self) -> Home:
        if self._folder is None:
            return Home(MemoryRollouts(), MemoryState())
        return self._open(self._next())

    def copy(self, home: Home) -> Home:
        """A home as another one is, with no process on it: quicker than to plant once more."""
        if home.folder is None:
            rollouts, state = copy.deepcopy((home.rollouts, home.state))
            return Home(rollouts, state, now_ms=home.now_ms)
        if isinstance(home.state, StateDb):
            home.state.close()  # all of it is in one file then
        folder = self._next()
        shutil.copytree(home.folder, folder)
        return self._open(folder, home.now_ms)

    def close(self) -> None:
        for state in self._opened:
            state.close()

    def _next(self) -> Path:
        assert self._folder is not None
        return self._folder / f"home{next(self._numbers)}"

    def _open(self, folder: Path, now_ms: Callable[[], int] | None = None) -> Home:
        state = StateDb.open(folder / "threadstore.sqlite")
        self._opened.append(state)
        return Home(RolloutFiles(folder), state, folder, now_ms=now_ms or clock())


@pytest.fixture(params=["memory", "files"])
def homes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Homes]:
    made = Homes(tmp_path if request.param == "files" else None)
    yield made
    made.close()


@pytest.fixture
def home(homes: Homes) -> Home:
    return homes.new()


def spawned_by(parent: str) -> dict[str, Any]:
    """Session metadata of a sub-agent."""
    return {"parent_thread_id": parent, "source": recording.spawn_source(parent, 1, None, None)}


def load(service: ThreadService, *thread_ids: str) -> None:
    """Resume stored threads."""
    for thread_id in thread_ids:
        service.lifecycle.resume(thread_id, SettingsRequest(), CLIENT, 0)
