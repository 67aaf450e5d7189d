"""Detects cheaply what others have changed in a home, by the stamps of its folders, of some rollouts, of
session_index.jsonl and of Codex's state DB.

Creating, moving, replacing or removing a rollout changes the mtime of its folder; writing to one does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mcp_server.codex.paths import ACTIVE, ARCHIVED, NAME_INDEX, is_plain, is_rollout, parse_id
from mcp_server.models.thread import FileStamp
from mcp_server.storage.files.atomic import stamp_of
from mcp_server.storage.files.codex_db import database_files
from mcp_server.storage.files.locks import LOCK_FOLDER
from mcp_server.storage.files.stamps import Stamps, is_settled, settled, stamps_of

# If a changed folder has no more rollouts than this, their stamps are read, since one may have been replaced.
_MAX_STAMPED = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """The files with a rollout's name in one folder: by path, the stamp, or None if it was not read."""

    folder: str
    rollouts: Mapping[str, FileStamp | None] = field(default_factory=dict[str, FileStamp | None])


@dataclass(frozen=True, slots=True)
class HomeChanges:
    """What has changed: the listings of changed folders, rollouts `written` to (None: gone), and whether session names
    or Codex's state DB may have changed. `writers` are the threads that have a writer lock now."""

    listings: list[Listing]
    written: dict[str, FileStamp | None]
    writers: frozenset[str]
    names: bool
    codex: bool


class ChangeDetector:
    """Compares the home with what it saw before. `detect` reports a change again and again, until the caller has
    handled it and calls `acknowledge`."""

    def __init__(self, home: Path, sqlite_home: Path) -> None:
        self._home, self._sqlite_home = home, sqlite_home
        self._folders: dict[str, int | None] = {}
        self._names: Stamps | None = None
        self._codex: Stamps | None = None
        self._now: tuple[dict[str, int | None], Stamps | None, Stamps | None] = ({}, None, None)

    def detect(self, rollouts: Mapping[str, FileStamp]) -> HomeChanges:
        """Compare all folders, and these rollouts with their earlier stamps."""
        folders: dict[str, int | None] = {}
        listings = list(self._changed_folders(folders))
        began = time.time_ns()
        names = stamps_of([self._home / NAME_INDEX])
        codex = stamps_of(database_files(self._sqlite_home))
        self._now = folders, settled(names, began), settled(codex, began)
        return HomeChanges(
            listings,
            dict(self._written(rollouts)),
            self._writers(),
            names=names != self._names,
            codex=codex != self._codex,
        )

    def acknowledge(self) -> None:
        """The caller has handled what the last `detect` reported."""
        folders, self._names, self._codex = self._now
        self._folders |= folders
        for folder in [name for name, mtime in self._folders.items() if mtime == _GONE and "/" in name]:
            del self._folders[folder]

    def _changed_folders(self, seen: dict[str, int | None]) -> Iterator[Listing]:
        first = not self._folders
        pending = [ACTIVE, ARCHIVED, *(self._folders.keys() - {ACTIVE, ARCHIVED})]
        known = set(pending)
        home, before = f"{self._home}/", self._folders.get
        began = time.time_ns()
        for folder in pending:
            try:
                mtime = os.stat(home + folder).st_mtime_ns
            except OSError:
                mtime = _GONE
            if mtime == before(folder):
                continue
            seen[folder] = mtime if mtime == _GONE or is_settled(mtime, began) else None
            below: list[str] = []
            yield self._listed(folder, below, with_stamps=not first)
            pending += [path for path in below if path not in known]
            known.update(below)

    def _listed(self, folder: str, below: list[str], *, with_stamps: bool) -> Listing:
        """The rollouts in a folder. Its subfolders are appended to `below`."""
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError), os.scandir(self._home / folder) as children:
            for child in children:
                if is_rollout(child.name) and is_plain(child.name):
                    entries.append(child)
                elif child.is_dir(follow_symlinks=False) and is_plain(child.name):
                    below.append(f"{folder}/{child.name}")
        with_stamps = with_stamps and len(entries) <= _MAX_STAMPED
        stamps: dict[str, FileStamp | None] = {}
        for entry in entries:
            stamp = None
            if with_stamps:
                with suppress(OSError):
                    stamp = stamp_of(entry.stat())
            stamps[f"{folder}/{entry.name}"] = stamp
        return Listing(folder, stamps)

    def _written(self, rollouts: Mapping[str, FileStamp]) -> Iterator[tuple[str, FileStamp | None]]:
        home = f"{self._home}/"
        for path, before in rollouts.items():
            try:
                stat = os.stat(home + path)
            except OSError:
                yield path, None
                continue
            if stat.st_mtime_ns != before.mtime_ns or stat.st_size != before.size:
                yield path, stamp_of(stat)

    def _writers(self) -> frozenset[str]:
        """The threads that have a writer lock file, whoever holds it."""
        try:
            names = os.listdir(self._home / LOCK_FOLDER)
        except OSError:
            return frozenset()
        ids = (parse_id(name.removesuffix(".lock")) for name in names if name.endswith(".lock"))
        return frozenset(thread_id for thread_id in ids if thread_id is not None)


_GONE = -1


def keep_newest(rollouts: Mapping[str, FileStamp], most: int, beyond: Collection[str] = ()) -> dict[str, FileStamp]:
    """Of the rollouts, the `most` last written ones, and those in `beyond`."""
    newest_first = sorted(rollouts, key=lambda path: rollouts[path].mtime_ns, reverse=True)
    kept = {*newest_first[:most], *beyond}
    return {path: stamp for path, stamp in rollouts.items() if path in kept}
