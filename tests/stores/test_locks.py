"""One writer per thread: the same bodies on Codex's lock files and in memory, then what only files have."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_server.errors import ActiveWriter, InvalidThreadId
from mcp_server.storage.contracts import Holder, Leases
from mcp_server.storage.files import locks as locks_module
from mcp_server.storage.files.locks import CodexWriterLocks, holder_sentence
from mcp_server.storage.memory.rollouts import MemoryLocks

A = "01a20581-47b4-7322-81ec-5e29ff6d3d2a"
B = "01a20581-4890-7983-8be5-092be3fbf749"
C = "01a20581-4890-7983-8be5-092be3fbf74c"
D = "01a20581-4890-7983-8be5-092be3fbf74d"

Owner = Callable[[], Leases]


@pytest.fixture(params=["files", "memory"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Owner:
    """Makes one more owner of the locks of the same home."""
    registry: dict[str, tuple[MemoryLocks, int]] = {}
    return lambda: CodexWriterLocks(tmp_path) if request.param == "files" else MemoryLocks(registry)


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


# ---------------------------------------------------------------------------------------------- every owner


def test_acquire_takes_the_lock_and_release_gives_it_back(owner: Owner) -> None:
    one = owner()
    assert one.held() == frozenset()
    one.acquire([A])
    assert one.held() == {A}
    one.release([A])
    assert one.held() == frozenset()
    one.acquire([A])
    one.release([A])


def test_a_second_owner_is_refused_and_told_who_holds_the_lock(owner: Owner) -> None:
    """create_thread_rejects_duplicate_live_writer, resume_thread_rejects_duplicate_live_writer"""
    one, two = owner(), owner()
    one.acquire([A])
    with pytest.raises(ActiveWriter, match=f"thread {A} already has an active writer: ") as refused:
        two.acquire([A])
    if sys.platform == "linux":
        assert f"(pid {os.getpid()}) since 20" in refused.value.holder
    assert (one.held(), two.held()) == ({A}, frozenset())
    one.release([A])
    two.acquire([A])
    two.release([A])


def test_locks_of_other_threads_are_untouched(owner: Owner) -> None:
    one, two = owner(), owner()
    one.acquire([A])
    two.acquire([B])
    one.release([A])
    assert two.held() == {B}
    with pytest.raises(ActiveWriter):
        one.acquire([B])
    two.release([B])


def test_release_of_what_is_not_held_is_fine_and_takes_nothing_from_others(owner: Owner) -> None:
    one, two = owner(), owner()
    one.release([A])
    two.acquire([A])
    one.release([A])
    with pytest.raises(ActiveWriter):
        one.acquire([A])
    two.release([A])


def test_taking_a_lock_twice_is_an_error_of_the_program(owner: Owner) -> None:
    one = owner()
    one.acquire([A])
    with pytest.raises(RuntimeError, match="held already"):
        one.acquire([A])
    assert one.held() == {A}
    one.release([A])


def test_holder_is_none_for_a_free_lock_and_for_our_own(owner: Owner) -> None:
    one, two = owner(), owner()
    assert one.foreign().get(A) is None
    one.acquire([A])
    assert one.foreign().get(A) is None
    assert two.foreign().get(A) is not None
    one.release([A])
    assert two.foreign().get(A) is None


def test_foreign_lists_the_locks_of_others_alone(owner: Owner) -> None:
    one, two = owner(), owner()
    assert one.foreign() == {}
    one.acquire([A])
    two.acquire([B])
    assert set(one.foreign()) == {B}
    assert set(two.foreign()) == {A}
    two.release([B])
    assert one.foreign() == {}
    one.release([A])


def test_many_locks_are_taken_all_or_none(owner: Owner) -> None:
    one, two = owner(), owner()
    two.acquire([B])
    with pytest.raises(ActiveWriter, match=B):
        one.acquire([A, B, C])
    assert one.held() == frozenset()
    two.release([B])
    one.acquire([A, B, C])
    assert one.held() == {A, B, C}
    assert [one.foreign().get(thread_id) for thread_id in (A, B)] == [None, None]
    one.release([A])
    one.release([B, C])
    two.acquire([A, B, C])
    two.release([A, B, C])
    assert (one.held(), two.held()) == (frozenset(), frozenset())


def test_beside_many_locks_another_is_taken_and_none_of_them_again(owner: Owner) -> None:
    one = owner()
    one.acquire([A, B])
    one.acquire([C])
    for again in ([A], [D, B], [D, C]):
        with pytest.raises(RuntimeError, match="held already"):
            one.acquire(again)
    with pytest.raises(RuntimeError, match="held already"):
        one.acquire([A])
    assert one.held() == {A, B, C}
    one.release([C])
    one.release([A, B])


def test_an_id_that_is_no_uuid_never_reaches_a_path(owner: Owner) -> None:
    with pytest.raises(InvalidThreadId):
        owner().acquire(["../../x"])


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
def test_holders_are_found_where_the_system_does_not_list_locks(
    locks: CodexWriterLocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> dict[tuple[int, int], int]:
        return {}

    monkeypatch.setattr(locks_module, "_flock_pids", nothing)
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


def test_what_is_not_a_thread_lock_is_left_out(locks: CodexWriterLocks, tmp_path: Path) -> None:
    folder = file(tmp_path).parent
    with another_process(folder / ".coordination.lock"), another_process(folder / "other.lock"):
        assert locks.foreign() == {}


@posix_only
def test_a_lock_folder_that_stays_busy_is_not_waited_for_without_end(
    locks: CodexWriterLocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_module, "COORDINATION_SECONDS", 0.05)
    locks.acquire([B])
    with another_process(file(tmp_path).parent / ".coordination.lock"):
        with pytest.raises(ActiveWriter, match="another process"):
            locks.acquire([A])
        locks.release([B])
        assert locks.held() == frozenset()
    assert locks.foreign() == {}


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
