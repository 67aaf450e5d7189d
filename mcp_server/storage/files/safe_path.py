"""Keeps paths inside the home: what is written as a path below a folder, and what leads there."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from stat import S_ISLNK

from mcp_server.codex.paths import check_path
from mcp_server.errors import PathOutsideHome


def inside(home: Path, path: str, *folders: str) -> Path:
    """The file of a path that lies in one of the folders and whose links do not lead out of it.

    Raises:
        PathOutsideHome: it does not.
    """
    top, *parts = check_path(path, *folders).split("/")
    full = root = f"{home}/{top}"
    linked = False
    for part in parts:
        full = f"{full}/{part}"
        linked = linked or os.path.islink(full)
    # A path without links leads nowhere else; to resolve it takes five times as long.
    if linked and not Path(os.path.realpath(full)).is_relative_to(os.path.realpath(root)):
        raise PathOutsideHome(path, top)
    return Path(full)


class ManyInside:
    """The same for many paths at once, as text. A folder that was found to lie inside is not looked at again, since
    that takes most of the time; hence one of these lives only as long as one piece of work."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known = defaultdict[tuple[str, ...], set[str]](set)

    def full(self, path: str, *folders: str) -> str:
        """The full path. It may be a link that leads out: `stat` follows only those that don't.

        Raises:
            PathOutsideHome: it does not lie in one of the folders, or its folder does not.
        """
        folder, _, name = path.rpartition("/")
        known = self._known[folders]
        check_path(path if folder not in known else f"{folders[0]}/{name}", *folders)
        if folder not in known:
            inside(self._home, f"{folder}/-", *folders)
            known.add(folder)
        return f"{self._home}/{path}"

    def stat(self, path: str, *folders: str) -> tuple[str, os.stat_result]:
        """The full path, and what lies there.

        Raises:
            PathOutsideHome: it does not lie in one of the folders, or is a link that leads out of it.
            OSError: there is nothing, or it can't be looked at.
        """
        full = self.full(path, *folders)
        found = os.lstat(full)
        if S_ISLNK(found.st_mode):
            found = inside(self._home, path, *folders).stat()
        return full, found
