"""The exports of a home of files: a folder of ours in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, TypeVar

from mcp_server.errors import InvalidArgument
from mcp_server.storage import regular
from mcp_server.storage.exports import Exports, Fill
from mcp_server.storage.files.atomic import Draft, writing

FOLDER = "threadstore-exports"
_NAME = re.compile(r"[\w-][\w.-]{0,150}")

T = TypeVar("T")


class ExportFolder(Exports):
    """Files have mode 0600, the folder 0700."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def write(self, name: str, fill: Fill[T]) -> tuple[str, T]:
        path = self._at(name)
        with writing(f"{FOLDER}/{name}"):
            draft = Draft(path)
            try:
                result = fill(draft.add)
                draft.put()
            finally:
                draft.drop()
        return str(path), result

    def open(self, reference: str) -> BinaryIO:
        path = Path(reference)
        try:
            return regular.opened(path if path.is_absolute() else self._at(reference))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is no path"
            raise InvalidArgument(
                "path", reference, f"it can't be read ({reason})", "pass the path of a file"
            ) from error

    def _at(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            way_out = f"pass an absolute path, or the name of a file in {FOLDER}"
            raise InvalidArgument("path", name, "it is no name of an export", way_out)
        return self._folder / name
