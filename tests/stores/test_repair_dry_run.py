"""A dry run of a repair tells in advance what the repair does, whatever happened to the files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from homes import NOW_MS, HomeInMemory, archived_path, path_of, rollout, thread_id
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.doctor import repair
from mcp_server.sync.reconciler import backfill

IDS = [thread_id(number) for number in range(6)]
INDEXED = IDS[:4]
HAPPENINGS = (
    *("nothing", "written", "changed", "moved", "gone", "copied", "archived twice", "emptied"),
    *("nonsense", "another id", "begun here", "named"),
)


def happens(home: HomeInMemory, key: str, what: str) -> None:
    """What others do to one thread's file, if it is there."""
    there = path_of(key) in home.content()
    if what in ("written", "begun here"):
        home.write(path_of(key), rollout(key, "written"))
    elif what == "changed":
        home.write(path_of(key), rollout(key, "changed"))
    elif what == "emptied":
        home.write(path_of(key), b"")
    elif what == "nonsense":
        home.write(path_of(key), b"no rollout\n")
    elif what == "another id":
        home.write(path_of(key), rollout(IDS[-1], "another id"))
    elif what == "named":
        home.name(key, "a name")
    elif what == "archived twice" and there:
        home.write(archived_path(key), rollout(key))
    elif what == "copied" and there:
        home.write(path_of(key).replace(".jsonl", " 2.jsonl"), rollout(key))
    elif what == "moved" and there:
        home.rename(path_of(key), archived_path(key))
    elif what == "gone" and there:
        home.erase(path_of(key))


def check(happenings: list[str], *, deep: bool, on_disk: bool) -> None:
    home, locks = HomeInMemory(), MemoryLocks()
    folder = tempfile.TemporaryDirectory(prefix="repair-") if on_disk else None
    state = StateDb.open(Path(folder.name) / "threadstore.sqlite") if folder else MemoryState()
    try:
        for key in INDEXED:
            home.write(path_of(key), rollout(key))
        backfill(home.rollouts, state, owner="here", now_ms=lambda: NOW_MS)
        for key, what in zip(IDS, happenings, strict=True):
            if what == "begun here":
                locks.acquire([key])
            happens(home, key, what)
        foretold = (repair(home.rollouts, state, locks, dry_run=True, deep=deep)).counts()
        assert (repair(home.rollouts, state, locks, deep=deep)).counts() == foretold
        after = (repair(home.rollouts, state, locks, dry_run=True, deep=deep)).counts()
        assert not any(after.values())
    finally:
        if folder and isinstance(state, StateDb):
            state.close()
            folder.cleanup()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(HAPPENINGS), min_size=6, max_size=6), st.booleans())
def test_a_repair_in_memory_does_what_its_dry_run_reported(happenings: list[str], deep: bool) -> None:
    check(happenings, deep=deep, on_disk=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(HAPPENINGS), min_size=6, max_size=6), st.booleans())
def test_a_repair_of_the_state_db_does_what_its_dry_run_reported(happenings: list[str], deep: bool) -> None:
    check(happenings, deep=deep, on_disk=True)
