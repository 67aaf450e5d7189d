"""Of several files that carry one thread's id, the one with Codex's own name and place is the thread."""

from __future__ import annotations

from typing import Any

import homes
import pytest
from homes import HOUR_MS, NOW_MS, A, B, C, Home, HomeInMemory, build, path_of, rollout, row
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.file_rank import classify_files, is_canonical, ranked
from mcp_server.codex.paths import active_path, archived_path
from mcp_server.models.records import Change
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryLocks
from mcp_server.storage.query import ThreadQuery
from mcp_server.sync.doctor import examine
from mcp_server.sync.reconciler import sync, sync_paths
from mcp_server.sync.upsert import SyncReport

home = homes.home

OWN = path_of(A)
STEM = OWN.removesuffix(".jsonl")
MADE_BY = {
    "Syncthing": f"{STEM}.sync-conflict-20260103-101010-ABCDEF7.jsonl",
    "Dropbox": f"{STEM} (desktop's conflicted copy 2026-01-03).jsonl",
    "Nextcloud": f"{STEM} (conflicted copy 2026-01-03 101010).jsonl",
    "OneDrive": f"{STEM}-DESKTOP-1A2B3C.jsonl",
    "Google Drive": f"{STEM} (1).jsonl",
    "iCloud": f"{STEM} 2.jsonl",
    "a browser": f"{STEM}(1).jsonl",
    "Finder": f"{STEM} copy.jsonl",
    "Explorer": f"{STEM} - Copy.jsonl",
    "Unison": f"{STEM} (conflict on 2026-01-03).jsonl",
    "somebody who backs up": OWN.replace("sessions/2026/01/02/", "sessions/backup/"),
    "somebody who mistook the day": OWN.replace("/01/02/", "/01/03/"),
    "somebody who sorts the archive": OWN.replace("sessions/2026/01/02/", "archived_sessions/2026/"),
}
SAME_IN_ARCHIVE = archived_path(OWN)
COMPRESSED = f"{OWN}.zst"
ANOTHER_TIME = OWN.replace("T03-04-05", "T04-04-05")
REVERTED, REVERTED_AGAIN = path_of(f"{A}_{B}"), path_of(f"{A}_{C}")
FILES = [*MADE_BY.values(), OWN, SAME_IN_ARCHIVE, COMPRESSED, ANOTHER_TIME, REVERTED, REVERTED_AGAIN]


@pytest.mark.parametrize("copy", MADE_BY.values(), ids=MADE_BY)
def test_a_copy_under_another_name_or_in_another_place_is_no_thread_beside_codexs_own_file(copy: str) -> None:
    assert ranked([copy, OWN], A)[0] == OWN
    assert ranked([copy, SAME_IN_ARCHIVE], A)[0] == SAME_IN_ARCHIVE
    assert classify_files([copy, OWN], A) == (OWN, [], [copy])
    assert not is_canonical(copy, A)


@pytest.mark.parametrize("own", [OWN, SAME_IN_ARCHIVE, COMPRESSED, ANOTHER_TIME, REVERTED, archived_path(REVERTED)])
def test_names_and_places_that_codex_gives_are_its_own(own: str) -> None:
    assert is_canonical(own, A)


def test_a_file_called_after_another_thread_is_a_copy_of_the_one_that_it_carries() -> None:
    assert classify_files([path_of(B), OWN], A) == (OWN, [], [path_of(B)])


def test_of_one_name_the_active_file_goes_before_the_archived_and_the_plain_before_the_compressed() -> None:
    assert ranked([SAME_IN_ARCHIVE, OWN], A)[0] == OWN
    assert ranked([COMPRESSED, OWN], A)[0] == OWN
    assert ranked([COMPRESSED, SAME_IN_ARCHIVE], A)[0] == SAME_IN_ARCHIVE


def test_of_two_names_that_codex_may_have_given_the_earlier_goes_first_wherever_they_lie() -> None:
    assert ranked([ANOTHER_TIME, OWN], A)[0] == OWN
    assert ranked([ANOTHER_TIME, SAME_IN_ARCHIVE], A)[0] == SAME_IN_ARCHIVE


def test_what_reverts_have_replaced_are_parts_of_the_thread_and_no_copies() -> None:
    files = [OWN, REVERTED, REVERTED_AGAIN, archived_path(REVERTED), MADE_BY["iCloud"]]
    assert classify_files(files, A) == (REVERTED_AGAIN, [REVERTED, OWN], [archived_path(REVERTED), MADE_BY["iCloud"]])


@given(st.sets(st.sampled_from(FILES), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_the_files_decides_nothing(files: set[str], random: Any) -> None:
    shuffled = sorted(files)
    random.shuffle(shuffled)
    assert ranked(shuffled, A) == ranked(files, A)


@given(st.sets(st.sampled_from(FILES), min_size=1))
def test_the_file_that_is_the_thread_still_is_once_it_is_archived_or_brought_back(files: set[str]) -> None:
    current = ranked(files, A)[0]
    moved = active_path(current) if current.startswith("archived_sessions/") else archived_path(current)
    if moved not in files:
        assert ranked({moved, *files} - {current}, A)[0] == moved


# ---------------------------------------------------------------------------------------------- the index


def chosen(home: Home, state: StateStore) -> tuple[str, str]:
    found = row(state, A)
    return found.path, found.preview


def put(home: Home, path: str, mtime_ms: int) -> None:
    home.write(path, rollout(A, f"said in {path}"), mtime_ms=mtime_ms)


@pytest.mark.parametrize("newest", ["own", "copy"])
@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("copy", MADE_BY.values(), ids=MADE_BY)
def test_an_index_built_anew_takes_codexs_own_file_whatever_was_written_last(
    home: Home, state: StateStore, copy: str, batch: int, newest: str
) -> None:
    put(home, OWN, NOW_MS)
    put(home, copy, NOW_MS + (HOUR_MS if newest == "copy" else -HOUR_MS))
    build(home, state, batch_rows=batch)
    assert chosen(home, state) == (OWN, f"said in {OWN}")


@pytest.mark.parametrize("first", ["own", "copy"])
@pytest.mark.parametrize("copy", MADE_BY.values(), ids=MADE_BY)
def test_an_index_that_knew_one_of_them_before_says_the_same(
    home: Home, state: StateStore, copy: str, first: str
) -> None:
    one, other = (OWN, copy) if first == "own" else (copy, OWN)
    put(home, one, NOW_MS)
    build(home, state)
    put(home, other, NOW_MS + HOUR_MS)
    sync_paths(home.rollouts, state, [other])
    assert chosen(home, state) == (OWN, f"said in {OWN}")
    sync(home.rollouts, state)
    assert chosen(home, state) == (OWN, f"said in {OWN}")


@given(
    st.lists(
        st.tuples(st.sampled_from(FILES), st.integers(-9, 9), st.sampled_from(["build", "watch", "sync", "nothing"])),
        min_size=1,
        unique_by=lambda step: step[0],
    )
)
def test_the_same_files_give_the_same_answer_in_whatever_order_and_way_they_are_met(
    steps: list[tuple[str, int, str]],
) -> None:
    home, state = HomeInMemory(), MemoryState()
    for path, hours, way in steps:
        put(home, path, NOW_MS + hours * HOUR_MS)
        if way == "build":
            state.reopen_backfill()
            build(home, state)
        elif way == "watch":
            sync_paths(home.rollouts, state, [path])
        elif way == "sync":
            sync(home.rollouts, state)
    sync(home.rollouts, state)
    best = ranked([path for path, _, _ in steps], A)[0]
    assert chosen(home, state) == (best, f"said in {best}")
    anew = MemoryState()
    build(home, anew)
    assert chosen(home, anew) == chosen(home, state)


# ---------------------------------------------------------------------------------------------- copies are counted


def copies(state: StateStore) -> set[str]:
    """The paths that are counted as copies, both ways that they are told."""
    told = {copy.path for copy in state.copies()}
    assert (state.list(ThreadQuery())).copies.n == len(told)
    return told


def test_copies_are_counted_and_not_read_again_until_they_change(home: Home, state: StateStore) -> None:
    put(home, OWN, NOW_MS)
    put(home, MADE_BY["iCloud"], NOW_MS)
    build(home, state)
    assert copies(state) == {MADE_BY["iCloud"]}
    home.described.clear()
    assert sync(home.rollouts, state) == SyncReport()
    assert home.described == []
    put(home, MADE_BY["iCloud"], NOW_MS + HOUR_MS)
    put(home, MADE_BY["Syncthing"], NOW_MS)
    sync(home.rollouts, state)
    assert set(home.described) == {MADE_BY["iCloud"], MADE_BY["Syncthing"]}
    assert copies(state) == {MADE_BY["iCloud"], MADE_BY["Syncthing"]}


def test_doctor_names_the_file_that_is_the_thread_and_then_its_copies(home: Home, state: StateStore) -> None:
    put(home, OWN, NOW_MS)
    put(home, MADE_BY["iCloud"], NOW_MS)
    put(home, MADE_BY["Syncthing"], NOW_MS)
    for _ in ("before the index knows them", "after"):
        for deep in (False, True):
            report = examine(home.rollouts, state, MemoryLocks(), deep=deep)
            assert report.duplicates == {A: (OWN, MADE_BY["iCloud"], MADE_BY["Syncthing"])}
            assert report.counts()["duplicate"] == 1
        build(home, state)
    assert report.in_step


@pytest.mark.parametrize("seen", ["by the watch", "by a sync"])
def test_a_copy_that_goes_is_not_counted_any_more(home: Home, state: StateStore, seen: str) -> None:
    put(home, OWN, NOW_MS)
    put(home, MADE_BY["iCloud"], NOW_MS)
    build(home, state)
    home.erase(MADE_BY["iCloud"])
    (sync(home.rollouts, state) if seen == "by a sync" else sync_paths(home.rollouts, state, [MADE_BY["iCloud"]]))
    assert copies(state) == set()


def test_a_copy_of_a_thread_that_this_process_writes_is_counted_too(home: Home, state: StateStore) -> None:
    put(home, OWN, NOW_MS)
    build(home, state)
    put(home, MADE_BY["iCloud"], NOW_MS)
    sync_paths(home.rollouts, state, [MADE_BY["iCloud"]], written_here=lambda: {A})
    assert copies(state) == {MADE_BY["iCloud"]}


def test_the_copies_of_a_deleted_thread_are_not_counted(home: Home, state: StateStore) -> None:
    put(home, OWN, NOW_MS)
    put(home, MADE_BY["iCloud"], NOW_MS)
    build(home, state)
    state.commit(Change(forgotten=(A,), tombstones=(A,)))
    assert copies(state) == set()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "erase", "spoil"]),
            st.sampled_from(FILES[-9:]),
            st.sampled_from(["watch", "watch", "sync", "nothing"]),
        ),
        max_size=12,
    )
)
def test_an_index_that_followed_any_changes_equals_one_built_anew(steps: list[tuple[str, str, str]]) -> None:
    """One copy can be read all the time: a thread of which nothing can be read is kept by an old index alone."""
    home, state = HomeInMemory(), MemoryState()
    put(home, MADE_BY["Finder"], NOW_MS)
    build(home, state)
    for what, path, way in steps:
        if what == "put":
            put(home, path, NOW_MS)
        elif what == "spoil":
            home.write(path, b"no rollout\n")
        elif path in home.content():
            home.erase(path)
        if way == "watch":
            sync_paths(home.rollouts, state, [path])
        elif way == "sync":
            sync(home.rollouts, state)
    if any(way == "nothing" for _, _, way in steps):
        sync(home.rollouts, state)
    anew = MemoryState()
    build(home, anew)
    assert state.known_rollouts() == anew.known_rollouts()
    assert copies(state) == copies(anew)
