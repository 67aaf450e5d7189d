"""Moves of many files at once: what is on the disk at which time, and what fails for each alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_server.storage.files import atomic as durable


def test_all_new_names_are_on_the_disk_before_the_first_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = [(tmp_path / f"from{n}" / "file", tmp_path / "to" / f"file{n}") for n in range(3)]
    for source, _ in moves:
        source.parent.mkdir()
        source.write_text("text")
    flushes: list[tuple[str, list[int]]] = []
    real = os.fsync
    (tmp_path / "to").mkdir()
    names = {folder.stat().st_ino: folder.name for folder in tmp_path.iterdir()}

    def seen(fd: int) -> None:
        there = [sum(path.exists() for path in paths) for paths in zip(*moves, strict=True)]
        flushes.append((names[os.fstat(fd).st_ino], there))
        real(fd)

    monkeypatch.setattr(os, "fsync", seen)
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

    def fail(fd: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    (outcome,) = durable.move_many([_texts(source, target)])
    assert isinstance(outcome, OSError)
    assert source.read_text() == "text"
