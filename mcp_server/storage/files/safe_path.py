"""Keeps paths inside the home on disk: no link on the way leads out. `codex.paths.check_path` checks their text."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISLNK

from mcp_server.codex.paths import check_path
from mcp_server.errors import PathOutsideHome


def inside(home: Path, path: str, *folders: str) -> Path:
    """The file at a path of the home.

    Raises:
        PathOutsideHome: the path does not lie in one of the folders, or a link leads out of its folder.
    """
    _check_links(home, check_path(path, *folders))
    return Path(f"{home}/{path}")


class ManyInside:
    """`inside` for many paths, as text. Each folder is checked for links only once, since that takes most of the time;
    so use an instance for one piece of work only."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._checked = set[str]()

    def full(self, path: str, *folders: str) -> str:
        """The full path. The file itself may be a link that leads out; `stat` looks at that, too.

        Raises:
            PathOutsideHome: the path does not lie in one of the folders, or a link above it leads out of its folder.
        """
        folder = check_path(path, *folders).rpartition("/")[0]
        if folder not in self._checked:
            _check_links(self._home, folder)
            self._checked.add(folder)
        return f"{self._home}/{path}"

    def stat(self, path: str, *folders: str) -> tuple[str, os.stat_result]:
        """The full path, and what lies there.

        Raises:
            PathOutsideHome: the path does not lie in one of the folders, or a link leads out of its folder.
            OSError: there is nothing, or the system fails.
        """
        full = self.full(path, *folders)
        found = os.lstat(full)
        if S_ISLNK(found.st_mode):
            found = inside(self._home, path, *folders).stat()
        return full, found


def _check_links(home: Path, path: str) -> None:
    top, *parts = path.split("/")
    full = root = f"{home}/{top}"
    linked = False
    for part in parts:
        full = f"{full}/{part}"
        linked = linked or os.path.islink(full)
    # A path without links can't lead out, and resolving it would take five times as long.
    if linked and not Path(os.path.realpath(full)).is_relative_to(os.path.realpath(root)):
        raise PathOutsideHome(path, top)
