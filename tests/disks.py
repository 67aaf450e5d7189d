"""A second disk: a real one where this machine has one or lets one be made, and one that only seems to be another."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def mounted(*arguments: str, on: Path) -> Generator[None]:
    on.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, *arguments, str(on)], capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount anything")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(on)], check=True)


@contextmanager
def second_disk(beside: Path) -> Generator[Path]:
    """An empty folder on another file system than this one."""
    if _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK) and _device(_SHARED_MEMORY) != _device(beside):
        with tempfile.TemporaryDirectory(dir=_SHARED_MEMORY, prefix="threadstore-") as folder:
            yield Path(folder)
        return
    with mounted("-t", "tmpfs", "-o", "mode=700", "tmpfs", on=beside / "second disk"):
        yield beside / "second disk"


def part_disks(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """From now on each of these folders seems to be a disk of its own to whoever links or renames a file."""
    for name in ("link", "rename", "replace"):
        monkeypatch.setattr(os, name, _refusing(getattr(os, name), folders))


def _refusing(real: Any, folders: tuple[Path, ...]) -> Any:
    def on(path: Any) -> list[bool]:
        return [Path(os.fsdecode(path)).resolve().is_relative_to(folder.resolve()) for folder in folders]

    def call(source: Any, target: Any, **options: Any) -> None:
        if on(source) != on(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(source), None, os.fsdecode(target))
        real(source, target, **options)

    return call


def _device(path: Path) -> int:
    return path.stat().st_dev
