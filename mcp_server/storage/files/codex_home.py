"""Whether a path in Codex's database lies in this home: rows keep the path of a home that was moved or restored."""

from __future__ import annotations

import re
from pathlib import Path

_folders = re.compile(r"[/\\](?:archived_)?sessions(?=[/\\])")


class CodexHome:
    """Finds out whether paths as Codex spells them lie in the home, however it is spelled there."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known = dict[str, bool]()

    def prefix(self, path: str) -> str | None:
        """The beginning of a path that stands for this home, as Codex spells it; None if the path is elsewhere."""
        for match in _folders.finditer(path):
            folder = path[: match.start()]
            same = self._known.get(folder)
            if same is None:  # not known yet, or another call has cleared the cache
                same = self._known[folder] = _same(folder, self._home)
            if same:
                return folder
        return None

    def forget(self) -> None:
        """Look at the folders again: one may have been moved, or a link may lead elsewhere now."""
        self._known.clear()


def _same(folder: str, home: Path) -> bool:
    try:
        return Path(folder).samefile(home)
    except (OSError, ValueError):
        return False
