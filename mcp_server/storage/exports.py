"""Where a home keeps what was exported from it, and finds what is to be imported."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, Protocol, TypeVar

from mcp_server.errors import InvalidArgument, RolloutNameTaken

T = TypeVar("T")

Fill = Callable[[Callable[[bytes], object]], T]
"""Writes a file, part by part, with the function that it is given."""


class Exports(Protocol):
    """The files of one home that people may take away. Nothing else depends on them."""

    def write(self, name: str, fill: Fill[T]) -> tuple[str, T]:
        """Write a new file, whole or not at all. Returns its path, as clients see it, and the result of `fill`.

        Raises:
            RolloutNameTaken: there is a file of this name.
            WriteFailed: it can't be written.
        """
        ...

    def open(self, reference: str) -> BinaryIO:
        """Open a file to read: by its name among the exports, or by its absolute path, which may lie anywhere.

        Raises:
            InvalidArgument: it is neither, or no file that can be read.
        """
        ...


class MemoryExports(Exports):
    """Exports that last as long as the process."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def write(self, name: str, fill: Fill[T]) -> tuple[str, T]:
        if name in self._files:
            raise RolloutNameTaken(name)
        out = io.BytesIO()
        result = fill(out.write)
        self._files[name] = out.getvalue()
        return f"memory:/{name}", result

    def open(self, reference: str) -> BinaryIO:
        name = reference.removeprefix("memory:/")
        if name not in self._files:
            raise InvalidArgument("path", reference, "there is no such export", "pass the path of one")
        return io.BytesIO(self._files[name])
