"""Verbs for many files and locks at once do what the single ones do, and fail for each alone, or for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.codex.files import RolloutFile
from mcp_server.codex.paths import archived_path
from mcp_server.errors import ActiveWriter, DamagedRollout, RolloutNameTaken
from mcp_server.storage.contracts import Leases, RolloutStore
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.locks import CodexWriterLocks
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.memory.rollouts import MemoryLocks, MemoryRollouts
from tests.stores.rollout_text import PATH_A, PATH_B, A, B, C

GONE = PATH_A.replace(A, C)


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RolloutStore:
    return RolloutFiles(tmp_path) if request.param == "files" else MemoryRollouts()


@pytest.fixture(params=["files", "memory"])
def owners(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Leases, Leases]:
    registry: dict[str, tuple[MemoryLocks, int]] = {}
    if request.param == "files":
        return CodexWriterLocks(tmp_path), CodexWriterLocks(tmp_path)
    return MemoryLocks(registry), MemoryLocks(registry)


def test_files_are_looked_up_together(store: RolloutStore) -> None:
    store.create(PATH_A, b"a\n")
    assert store.stat_many([PATH_A, GONE, "elsewhere/x", "sessions/../x"]) == {PATH_A: store.stat(PATH_A)}
    assert store.stat_many([]) == {}


def test_many_moves_are_single_moves_and_what_fails_stays_alone(store: RolloutStore) -> None:
    for path in (PATH_A, PATH_B):
        store.create(path, b"text\n")
    store.create(archived_path(PATH_B), b"in the way\n")
    moved, taken, gone = store.archive_many([PATH_A, PATH_B, GONE])
    assert isinstance(moved, RolloutFile)
    assert moved == store.stat(archived_path(PATH_A))
    assert isinstance(taken, RolloutNameTaken)
    assert isinstance(gone, DamagedRollout)
    assert store.stat_many([PATH_A, PATH_B, archived_path(PATH_A)]).keys() == {PATH_B, archived_path(PATH_A)}
    again, _ = store.archive_many([PATH_A, PATH_B])  # already moved counts as done
    assert again == moved
    before = moved.stamp.mtime_ns
    (back,) = store.unarchive_many([archived_path(PATH_A)])
    assert isinstance(back, RolloutFile)
    assert (back.path, back.archived) == (PATH_A, False)
    assert back.stamp.mtime_ns > before
    assert store.archive_many([]) == []


def test_all_new_names_are_on_the_disk_before_the_first_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = [(tmp_path / f"from{n}" / "file", tmp_path / "to" / f"file{n}") for n in range(3)]
    for source, _ in moves:
        source.parent.mkdir()
        source.write_text("text")
    flushes: list[tuple[str, list[int]]] = []
    real = durable.sync_folder

    def seen(folder: Path) -> None:
        there = [sum(path.exists() for path in paths) for paths in zip(*moves, strict=True)]
        flushes.append((folder.name, there))
        real(folder)

    (tmp_path / "to").mkdir()
    monkeypatch.setattr(durable, "sync_folder", seen)
    assert durable.move_many([_texts(*move) for move in moves]) == [None] * 3
    assert flushes == [("to", [3, 3]), ("from0", [0, 3]), ("from1", [0, 3]), ("from2", [0, 3])]


def test_moves_that_were_cut_short_between_the_two_names_are_finished(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("text")
    target.hardlink_to(source)
    assert durable.move_many([_texts(source, target)]) == [None]
    assert (source.exists(), target.read_text()) == (False, "text")


def test_a_link_to_the_source_is_no_second_name_of_it(tmp_path: Path) -> None:
    """To drop the source would leave a link that leads nowhere."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("text")
    target.symlink_to(source)
    (outcome,) = durable.move_many([_texts(source, target)])
    assert isinstance(outcome, FileExistsError)
    with pytest.raises(FileExistsError):
        durable.move(source, target)
    assert source.read_text() == "text"


def _texts(source: Path, target: Path) -> tuple[str, str]:
    return source.as_posix(), target.as_posix()


def test_a_folder_that_can_not_be_flushed_keeps_the_old_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "from" / "a", tmp_path / "to" / "a"
    for folder in (source.parent, target.parent):
        folder.mkdir()
    source.write_text("text")

    def fail(folder: Path) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(durable, "sync_folder", fail)
    (outcome,) = durable.move_many([_texts(source, target)])
    assert isinstance(outcome, OSError)
    assert source.read_text() == "text"


def test_many_locks_are_taken_all_or_none(owners: tuple[Leases, Leases]) -> None:
    one, other = owners
    other.acquire([B])
    with pytest.raises(ActiveWriter) as refused:
        one.acquire([A, B, C])
    assert B in str(refused.value)
    assert one.held() == frozenset()
    other.acquire([A])  # given back
    other.release([A, B])
    one.acquire([A, B, C])
    assert one.held() == {A, B, C}
    with pytest.raises(RuntimeError):
        one.acquire([A])
    one.release([A, C, A.replace("0", "1")])
    assert one.held() == {B}
    other.acquire([A, C])
