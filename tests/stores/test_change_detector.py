"""What a look at a home tells: the folders that changed, and no other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from homes import A, B, path_of, rollout

from mcp_server.models.thread import FileStamp
from mcp_server.sync.change_detector import ChangeDetector

DAY = "sessions/2026/01/02"
LONG_AGO = time.time_ns() - 3_600_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / DAY).mkdir(parents=True)
    (tmp_path / "archived_sessions").mkdir()
    return tmp_path


@pytest.fixture
def detector(home: Path) -> ChangeDetector:
    return ChangeDetector(home, home)


def put(home: Path, key: str) -> Path:
    path = home / path_of(key)
    path.write_bytes(rollout(key))
    return path


def let_rest(home: Path) -> None:
    """As if everything had been as it is for an hour."""
    for path in (*home.rglob("*"), home):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


def folders(detector: ChangeDetector) -> list[str]:
    seen = detector.detect({})
    detector.acknowledge()
    return sorted(listing.folder for listing in seen.listings)


def test_the_first_look_sees_every_folder_and_the_next_none(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    assert folders(detector) == ["archived_sessions", "sessions", "sessions/2026", "sessions/2026/01", DAY]
    assert folders(detector) == []


def test_the_first_look_knows_files_by_their_paths_alone(home: Path, detector: ChangeDetector) -> None:
    put(home, A)
    (listing,) = (one for one in detector.detect({}).listings if one.folder == DAY)
    assert listing.rollouts == {path_of(A): None}


def test_a_folder_that_changed_is_listed_with_the_stamps_of_its_files(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    folders(detector)
    file = put(home, A)
    (listing,) = detector.detect({}).listings
    assert (listing.folder, listing.rollouts) == (
        DAY,
        {path_of(A): FileStamp(file.stat().st_size, file.stat().st_mtime_ns)},
    )


def test_a_change_that_was_not_confirmed_is_reported_again(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    folders(detector)
    put(home, A)
    assert [[listing.folder for listing in detector.detect({}).listings] for _ in range(2)] == [[DAY], [DAY]]


def test_a_folder_that_changed_within_the_tick_of_the_clock_is_listed_again(
    home: Path, detector: ChangeDetector
) -> None:
    let_rest(home)
    folders(detector)
    put(home, A)
    now = (home / DAY).stat().st_mtime_ns
    assert folders(detector) == [DAY]
    put(home, B)
    os.utime(home / DAY, ns=(now, now))  # as a file system does that ticks slowly
    assert folders(detector) == [DAY]
    let_rest(home)
    folders(detector)
    assert folders(detector) == []


def test_a_folder_time_without_fractions_counts_as_one_of_a_two_second_clock(
    home: Path, detector: ChangeDetector
) -> None:
    let_rest(home)
    folders(detector)
    whole = time.time_ns() // 1_000_000_000 * 1_000_000_000 - 1_000_000_000
    os.utime(home / DAY, ns=(whole, whole))
    assert [folders(detector) for _ in range(2)] == [[DAY], [DAY]]


def test_a_new_date_folder_is_listed_with_what_is_in_it(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    folders(detector)
    (home / "sessions/2027/05/06").mkdir(parents=True)
    assert folders(detector) == ["sessions", "sessions/2027", "sessions/2027/05", "sessions/2027/05/06"]


def test_a_folder_that_is_gone_is_listed_as_empty(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    folders(detector)
    (home / DAY).rmdir()
    seen = detector.detect({})
    assert {listing.folder: dict(listing.rollouts) for listing in seen.listings} == {DAY: {}, "sessions/2026/01": {}}


def test_rollouts_that_changed_or_are_gone_are_reported_and_others_are_not(
    home: Path, detector: ChangeDetector
) -> None:
    stamps: dict[str, FileStamp] = {}
    for key in (A, B):
        stat = put(home, key).stat()
        stamps[path_of(key)] = FileStamp(stat.st_size, stat.st_mtime_ns)
    assert detector.detect(stamps).written == {}
    with (home / path_of(A)).open("ab") as file:
        file.write(b"\n")
    (home / path_of(B)).unlink()
    after = (home / path_of(A)).stat()
    assert detector.detect(stamps).written == {
        path_of(A): FileStamp(after.st_size, after.st_mtime_ns),
        path_of(B): None,
    }


def test_threads_with_a_writer_lock_are_reported_as_being_written(home: Path, detector: ChangeDetector) -> None:
    assert detector.detect({}).writers == frozenset()
    (home / "thread-writer-locks").mkdir()
    for name in (f"{A}.lock", ".coordination.lock", "other.lock", B):
        (home / "thread-writer-locks" / name).touch()
    assert detector.detect({}).writers == {A}


def test_changes_of_the_names_and_of_codexs_database_are_reported(home: Path, detector: ChangeDetector) -> None:
    let_rest(home)
    folders(detector)
    assert (detector.detect({}).names, detector.detect({}).codex) == (False, False)
    (home / "session_index.jsonl").touch()
    (home / "state_5.sqlite").touch()
    assert (detector.detect({}).names, detector.detect({}).codex) == (True, True)
    let_rest(home)
    folders(detector)
    (home / "state_5.sqlite-wal").write_bytes(b"a page")
    assert (detector.detect({}).names, detector.detect({}).codex) == (False, True)


def test_a_home_without_folders_has_no_changes(tmp_path: Path) -> None:
    detector = ChangeDetector(tmp_path / "not there", tmp_path / "nor this")
    assert folders(detector) == ["archived_sessions", "sessions"]
    assert folders(detector) == []
    (tmp_path / "not there" / DAY).mkdir(parents=True)
    assert DAY in folders(detector)
