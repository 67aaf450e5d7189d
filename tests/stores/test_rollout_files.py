"""What only rollouts on a file system have: modes, links, compression, crashes, other processes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from rollout_text import ARCHIVED_A, FOLDER, META, PATH_A, A, B, all_lines, content

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.errors import (
    DamagedRollout,
    PathOutsideHome,
    RolloutNameTaken,
    StoreFailure,
)
from mcp_server.models.thread import FileStamp
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.files.session_index import NameIndex

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
from tests.rollouts import move_one


@pytest.fixture
def files(tmp_path: Path) -> RolloutFiles:
    return RolloutFiles(tmp_path)


def modes(home: Path, which: Callable[[Path], bool]) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*") if which(path)]


posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX modes and links")


@posix_only
def test_files_are_0600_and_folders_0700(files: RolloutFiles, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        files.create(RolloutRef(PATH_A), META)
        move_one(files, PATH_A, archived=True)
        files.set_name(A, "name", 1)
        files.set_name(B, "name", 1)
        files.set_name(A, None, 0)
    finally:
        os.umask(old)
    assert modes(tmp_path, Path.is_file) == [0o600] * 3  # a rollout, the name index, its lock
    assert set(modes(tmp_path, Path.is_dir)) == {0o700}


def test_create_leaves_no_draft_behind(files: RolloutFiles, tmp_path: Path) -> None:
    files.create(RolloutRef(PATH_A), META)
    with pytest.raises(RolloutNameTaken):
        files.create(RolloutRef(PATH_A), META)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [Path(PATH_A).name]


def test_a_draft_has_a_hidden_name_and_keeps_none(files: RolloutFiles, tmp_path: Path) -> None:
    def parts() -> Generator[bytes]:
        yield b"x" * (1 << 20)
        (draft,) = (tmp_path / FOLDER).iterdir()
        assert draft.name.startswith(".")
        assert list(files.walk()) == []
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), files.drafted(RolloutRef(PATH_A), parts()):
        pytest.fail("it is whole")
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_short_draft_whose_parts_fail_has_touched_nothing(files: RolloutFiles, tmp_path: Path) -> None:
    def parts() -> Generator[bytes]:
        yield META
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), files.drafted(RolloutRef(PATH_A), parts()):
        pytest.fail("it is whole")
    assert list(tmp_path.iterdir()) == []


def test_create_on_a_blocked_folder_fails_and_works_after_it_is_freed(files: RolloutFiles, tmp_path: Path) -> None:
    """persist_reports_filesystem_error_and_retries_buffered_items"""
    (tmp_path / "sessions").write_text("in the way")
    with pytest.raises(StoreFailure, match="could not write"):
        files.create(RolloutRef(PATH_A), META)
    (tmp_path / "sessions").unlink()
    files.create(RolloutRef(PATH_A), META)


@posix_only
@pytest.mark.parametrize("link", [PATH_A, FOLDER])
def test_a_link_that_leads_out_of_the_home_is_refused(
    files: RolloutFiles, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, link: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / Path(PATH_A).name).write_bytes(META)
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(outside / Path(PATH_A).name if link == PATH_A else outside)
    assert list(files.walk()) == []
    assert files.stat(PATH_A) is None
    attempts: list[Callable[[], object]] = [
        lambda: files.append(RolloutRef(PATH_A, FileStamp(0, 0)), b"x\n"),
        lambda: move_one(files, PATH_A, archived=True),
        lambda: files.remove(RolloutRef(PATH_A)),
        lambda: content(files, PATH_A),
        lambda: files.create(RolloutRef(f"{PATH_A}2"), b""),
    ]
    for attempt in attempts[: 4 if link == PATH_A else 5]:
        with pytest.raises(PathOutsideHome):
            attempt()  # type: ignore[misc]
    assert [path.read_bytes() for path in outside.iterdir()] == [META]


@posix_only
def test_a_sessions_folder_that_is_itself_a_link_works(
    files: RolloutFiles, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "sessions").symlink_to(tmp_path_factory.mktemp("disk"))
    files.create(RolloutRef(PATH_A), META)
    assert [file.path for file in files.walk()] == [PATH_A]


def test_a_compressed_rollout_is_read_by_offsets_of_its_text(files: RolloutFiles, tmp_path: Path) -> None:
    path = f"{PATH_A}.zst"
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / path).write_bytes(zstd.compress(META + b"two\nthree\n"))
    [file] = list(files.walk())
    assert (file.path, file.thread_id) == (path, A)
    assert (files.describe(file)).thread.id == A
    assert all_lines(files, path, len(META)) == [RawLine(len(META), b"two"), RawLine(len(META) + 4, b"three")]
    assert [found.path for found in files.locate(A)] == [path]


def test_a_compressed_rollout_that_is_cut_or_garbage_is_an_error(files: RolloutFiles, tmp_path: Path) -> None:
    path = f"{PATH_A}.zst"
    (tmp_path / FOLDER).mkdir(parents=True)
    for bad in (zstd.compress(META)[:-5], b"no zstd at all"):
        (tmp_path / path).write_bytes(bad)
        with pytest.raises(DamagedRollout, match="can't be read"):
            content(files, path)


def test_a_rollout_that_cannot_be_opened_is_an_error(files: RolloutFiles, tmp_path: Path) -> None:
    (tmp_path / PATH_A).mkdir(parents=True)  # a folder of that name: root may read any file
    with pytest.raises(DamagedRollout, match="can't be read"):
        content(files, PATH_A)
    assert list(files.walk()) == []


@posix_only
def test_a_move_killed_between_its_two_steps_is_finished_by_the_next(files: RolloutFiles, tmp_path: Path) -> None:
    stamp = files.create(RolloutRef(PATH_A), META).stamp
    (tmp_path / "archived_sessions").mkdir()
    (tmp_path / ARCHIVED_A).hardlink_to(tmp_path / PATH_A)
    moved = move_one(files, PATH_A, archived=True)
    assert (moved.path, moved.stamp) == (ARCHIVED_A, stamp)
    assert [file.path for file in files.walk()] == [ARCHIVED_A]


def test_without_hard_links_files_are_still_created_and_moved(
    files: RolloutFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    files.create(RolloutRef(PATH_A), META)
    with pytest.raises(RolloutNameTaken):
        files.create(RolloutRef(PATH_A), META)
    move_one(files, PATH_A, archived=True)
    files.create(RolloutRef(PATH_A), b"second\n")
    with pytest.raises(RolloutNameTaken):
        move_one(files, PATH_A, archived=True)
    assert content(files, ARCHIVED_A) == [META.rstrip(b"\n")]


def test_a_failed_append_cuts_the_file_back(
    files: RolloutFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.create(RolloutRef(PATH_A), b"one\ntorn")

    real, room = os.write, [3]

    def full(fd: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(fd, data[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreFailure, match="No space left"):
        files.append(RolloutRef(PATH_A, FileStamp(8, 0)), b"two\n")
    assert (tmp_path / PATH_A).read_bytes() == b"one\ntorn"


def test_a_reference_that_counts_what_a_failed_append_left_is_good_for_the_next(
    files: RolloutFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = files.create(RolloutRef(PATH_A), META)

    def fail(fd: int, size: int = 0) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", fail)
        disk.setattr(os, "ftruncate", fail)
        with pytest.raises(StoreFailure, match="Input/output error"):
            files.append(created, b"lost\n")
    assert (tmp_path / PATH_A).read_bytes() == META + b"lost\n"
    (left,) = files.locate(A)
    files.append(left, b"kept\n")
    assert (tmp_path / PATH_A).read_bytes() == META + b"kept\n"


def test_a_torn_tail_of_the_name_index_is_closed_before_a_name_is_appended(files: RolloutFiles, tmp_path: Path) -> None:
    (tmp_path / "session_index.jsonl").write_bytes(b'{"id":"%s","thread_na' % B.encode())
    files.set_name(A, "name", 1_795_388_689_608)
    assert files.names() == {A: "name"}
    assert (tmp_path / "session_index.jsonl").read_bytes().splitlines()[-1] == (
        b'{"id":"%s","thread_name":"name","updated_at":"2026-11-22T23:04:49.608Z"}' % A.encode()
    )


def started(program: str, *args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


WRITER = """
import sys
from pathlib import Path
from mcp_server.storage.files.rollouts import RolloutFiles

def main(home, thread_id):
    store = RolloutFiles(Path(home))
    for n in range(30):
        store.set_name(thread_id, f"name {n}", n)
        store.set_name("01a20581-ffff-7fff-8fff-ffffffffffff", None, n)

main(*sys.argv[1:])
"""


def test_two_processes_can_write_names_at_once(files: RolloutFiles, tmp_path: Path) -> None:
    files.set_name("01a20581-ffff-7fff-8fff-ffffffffffff", "to be forgotten", 1)
    writers = [started(WRITER, str(tmp_path), thread_id) for thread_id in (A, B)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert files.names() == {A: "name 29", B: "name 29"}
    assert len((tmp_path / "session_index.jsonl").read_bytes().splitlines()) == 60


LOCKER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@posix_only
def test_names_wait_for_codex_to_release_the_index_but_not_for_ever(tmp_path: Path) -> None:
    index = NameIndex(tmp_path, lock_seconds=0.05)
    with started(LOCKER, str(tmp_path / "session_index.jsonl.lock")) as codex:
        assert codex.stdout is not None
        assert codex.stdout.readline() == b"locked\n"
        with pytest.raises(StoreFailure, match="locked by another process"):
            index.append(A, "name", 1)
        assert index.names() == {}
        codex.communicate()
    index.append(A, "name", 1)
    assert index.names() == {A: "name"}
