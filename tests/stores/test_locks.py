"""Codex's lock files, beside what the contract says of leases."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_server.errors import ActiveWriter
from mcp_server.storage.contracts import Holder
from mcp_server.storage.files.locks import CodexWriterLocks, Inode, holder_sentence

A = "01a20581-47b4-7322-81ec-5e29ff6d3d2a"
B = "01a20581-4890-7983-8be5-092be3fbf749"
C = "01a20581-4890-7983-8be5-092be3fbf74c"
D = "01a20581-4890-7983-8be5-092be3fbf74d"


@pytest.fixture
def locks(tmp_path: Path) -> CodexWriterLocks:
    return CodexWriterLocks(tmp_path)


def file(home: Path, thread_id: str = A) -> Path:
    return home / "thread-writer-locks" / f"{thread_id}.lock"


# Another program that keeps to Codex's protocol: a whole-file flock(2) on the lock file.
FLOCK = """
import fcntl, os, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("refused")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(lock_file: Path) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", FLOCK, str(lock_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.communicate()


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize(
    ("holder", "sentence"),
    [
        (Holder(), "another process"),
        (Holder(pid=7), "a process (pid 7)"),
        (Holder(7, "codex", 1_795_388_690_500), "codex (pid 7) since 2026-11-22T23:04:50Z"),
        (Holder(since_ms=1_795_388_690_500), "another process since 2026-11-22T23:04:50Z"),
    ],
)
def test_a_holder_is_named_as_far_as_known(holder: Holder, sentence: str) -> None:
    assert holder_sentence(holder) == sentence


# ---------------------------------------------------------------------------------------------- files only

posix_only = pytest.mark.skipif(os.name == "nt", reason="flock(2)")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only /proc/locks names the holder")


@posix_only
def test_the_lock_file_is_private_and_goes_on_release(locks: CodexWriterLocks, tmp_path: Path) -> None:
    locks.acquire([A])
    assert stat.S_IMODE(file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(file(tmp_path).parent.stat().st_mode) == 0o700
    locks.release([A])
    assert [path.name for path in file(tmp_path).parent.iterdir()] == [".coordination.lock"]


@posix_only
def test_a_lock_that_another_process_holds_refuses_us(locks: CodexWriterLocks, tmp_path: Path) -> None:
    with another_process(file(tmp_path)):
        with pytest.raises(ActiveWriter):
            locks.acquire([A])
        assert locks.held() == frozenset()
    locks.acquire([A])
    locks.release([A])


@posix_only
def test_a_lock_that_we_hold_refuses_another_process(locks: CodexWriterLocks, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FLOCK, str(file(tmp_path))]
    locks.acquire([A])
    refused = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert refused.stderr == b"refused\n"
    locks.release([A])
    with another_process(file(tmp_path)):
        assert set(locks.foreign()) == {A}


@linux_only
def test_holder_names_process_program_and_time(locks: CodexWriterLocks, tmp_path: Path) -> None:
    with another_process(file(tmp_path)) as process:
        program = program_of(process.pid)
        since_ms = file(tmp_path).stat().st_mtime_ns // 1_000_000
        assert locks.foreign().get(A) == Holder(process.pid, program, since_ms)
        assert locks.foreign() == {A: Holder(process.pid, program, since_ms)}
        with pytest.raises(ActiveWriter) as refused:
            locks.acquire([A])
        assert f"{program} (pid {process.pid}) since " in refused.value.holder
    assert locks.foreign().get(A) is None


@posix_only
def test_holders_are_found_where_the_system_does_not_list_locks(tmp_path: Path) -> None:
    locks = CodexWriterLocks(tmp_path, flock_pids=dict[Inode, int])
    with another_process(file(tmp_path)):
        holder = locks.foreign().get(A)
        assert holder is not None
        assert (holder.pid, holder.program) == (None, None)
        with pytest.raises(ActiveWriter, match="another process since"):
            locks.acquire([A])
    assert locks.foreign().get(A) is None


def test_a_stale_lock_file_has_no_holder_and_can_be_taken(locks: CodexWriterLocks, tmp_path: Path) -> None:
    file(tmp_path).parent.mkdir()
    file(tmp_path).touch()
    assert locks.foreign() == {}
    assert locks.foreign().get(A) is None
    locks.acquire([A])
    locks.release([A])
    assert not file(tmp_path).exists()


def test_a_file_that_is_no_thread_lock_is_left_out(locks: CodexWriterLocks, tmp_path: Path) -> None:
    folder = file(tmp_path).parent
    with another_process(folder / ".coordination.lock"), another_process(folder / "other.lock"):
        assert locks.foreign() == {}


@posix_only
def test_a_lock_folder_that_stays_busy_is_not_waited_for_without_end(tmp_path: Path) -> None:
    locks = CodexWriterLocks(tmp_path, wait_seconds=0.05)
    locks.acquire([B])
    with another_process(file(tmp_path).parent / ".coordination.lock"):
        with pytest.raises(ActiveWriter, match="another process"):
            locks.acquire([A])
        locks.release([B])
        assert locks.held() == frozenset()
    assert locks.foreign() == {}


@posix_only
def test_a_lock_that_can_not_be_looked_at_in_a_moment_counts_as_held(tmp_path: Path) -> None:
    locks = CodexWriterLocks(tmp_path, wait_seconds=0.05)
    file(tmp_path).parent.mkdir()
    file(tmp_path).touch()
    since_ms = file(tmp_path).stat().st_mtime_ns // 1_000_000
    with another_process(file(tmp_path).parent / ".coordination.lock"):
        assert locks.foreign([A]) == locks.foreign() == {A: Holder(since_ms=since_ms)}
    assert locks.foreign([A]) == {}


@posix_only
def test_the_lock_of_a_killed_process_is_free(locks: CodexWriterLocks, tmp_path: Path) -> None:
    with another_process(file(tmp_path)) as process:
        process.kill()
        process.wait()
        assert file(tmp_path).exists()
        assert locks.foreign().get(A) is None
        locks.acquire([A])
        locks.release([A])


# ---------------------------------------------------------------------------------------------- many, as files


@posix_only
def test_many_locks_that_are_taken_and_given_back_leave_no_files(locks: CodexWriterLocks, tmp_path: Path) -> None:
    """More than are taken under one hold of the coordination lock."""
    threads = [f"{A[:-3]}{number:03x}" for number in range(250)]
    locks.acquire(threads)
    assert (locks.held(), {path.stem for path in file(tmp_path).parent.glob("0*.lock")}) == ({*threads}, {*threads})
    locks.release(threads)
    assert [path.name for path in file(tmp_path).parent.iterdir()] == [".coordination.lock"]


@posix_only
def test_a_thread_that_another_process_has_is_refused_among_many(locks: CodexWriterLocks, tmp_path: Path) -> None:
    with another_process(file(tmp_path, B)):
        with pytest.raises(ActiveWriter, match=B):
            locks.acquire([A, B])
        CodexWriterLocks(tmp_path).acquire([A])
    locks.acquire([B, C])
    assert locks.held() == {B, C}


def lock_files(home: Path) -> set[str]:
    return {path.stem for path in file(home).parent.glob("0*.lock")}


@posix_only
def test_threads_taken_for_moments_are_held_by_the_lock_on_the_folder_and_have_no_files(tmp_path: Path) -> None:
    locks = CodexWriterLocks(tmp_path, guard_seconds=600)
    locks.acquire([A, B], for_moments=True)
    assert (locks.held(), lock_files(tmp_path)) == ({A, B}, set())
    for thread_id in (A, B):
        with pytest.raises(ActiveWriter, match=thread_id):
            CodexWriterLocks(tmp_path, wait_seconds=0.05).acquire([thread_id])
        with pytest.raises(RuntimeError, match="held already"):
            locks.acquire([thread_id])
        locks.release([thread_id])
    CodexWriterLocks(tmp_path).acquire([B])


@posix_only
def test_threads_that_are_held_for_longer_get_files_and_let_others_go_on(tmp_path: Path) -> None:
    locks = CodexWriterLocks(tmp_path, guard_seconds=0)
    locks.acquire([A, B], for_moments=True)
    other = CodexWriterLocks(tmp_path)
    other.acquire([C])
    assert (locks.held(), lock_files(tmp_path)) == ({A, B}, {A, B, C})
    with pytest.raises(ActiveWriter, match=A):
        other.acquire([A])
    locks.release([A, B])
    assert (locks.held(), lock_files(tmp_path)) == (frozenset(), {C})
