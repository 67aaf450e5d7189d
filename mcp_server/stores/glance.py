"""What tells cheaply that others have changed a home: stamps of its folders, of some of its rollouts, of
session_index.jsonl and of Codex's state DB. Blocking.

A new, moved, replaced or removed rollout gives its folder another mtime; one that was written to does not. Two changes
within one tick of the file system's clock give one mtime, so a stamp that is as young as that tells nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mcp_server.models.thread import FileStamp
from mcp_server.stores.codex_state import newest
from mcp_server.stores.durable import stamp_of
from mcp_server.stores.locks import LOCK_FOLDER
from mcp_server.stores.naming import ACTIVE, ARCHIVED, NAME_INDEX, is_plain, is_rollout, parse_id

_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
# In a folder that has changed, each rollout is looked at too, since one may have been put in the place of another.
_LOOKED_AT = 1_000

_Stamps = tuple[FileStamp | None, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What is called a rollout in one folder, by path; with its stamp, where that was looked at."""

    folder: str
    rollouts: Mapping[str, FileStamp | None] = field(default_factory=dict[str, FileStamp | None])


@dataclass(frozen=True, slots=True)
class Seen:
    """What differs from the last look: folders, rollouts that have another stamp or are gone (None), the threads that
    somebody may write to, and whether the names or Codex's state DB may have changed."""

    listings: list[Listing]
    written: dict[str, FileStamp | None]
    writers: frozenset[str]
    names: bool
    codex: bool


class Glance:
    """Remembers what it saw. Whoever takes what has changed into account says so by `keep`; until then, each look tells
    the same again."""

    def __init__(self, home: Path, sqlite_home: Path) -> None:
        self._home, self._sqlite_home = home, sqlite_home
        self._folders: dict[str, int | None] = {}
        self._names: _Stamps | None = None
        self._codex: _Stamps | None = None
        self._now: tuple[dict[str, int | None], _Stamps | None, _Stamps | None] = ({}, None, None)

    def look(self, rollouts: Mapping[str, FileStamp]) -> Seen:
        """Look at all folders, and at these rollouts, which had these stamps."""
        folders: dict[str, int | None] = {}
        listings = list(self._changed_folders(folders))
        began = time.time_ns()
        names = self._stamps(self._home / NAME_INDEX)
        database = newest_or_none(self._sqlite_home)
        codex = self._stamps(database, database and database.with_name(f"{database.name}-wal"))
        self._now = folders, _settled(names, began), _settled(codex, began)
        return Seen(
            listings,
            {path: stamp for path, before in rollouts.items() if (stamp := self._stamp(path)) != before},
            self._writers(),
            names=names != self._names,
            codex=codex != self._codex,
        )

    def keep(self) -> None:
        """What the last look saw is taken into account."""
        folders, self._names, self._codex = self._now
        self._folders |= folders
        for folder in [name for name, mtime in self._folders.items() if mtime == _GONE and "/" in name]:
            del self._folders[folder]

    def _changed_folders(self, seen: dict[str, int | None]) -> Iterator[Listing]:
        first = not self._folders
        pending = [ACTIVE, ARCHIVED, *(self._folders.keys() - {ACTIVE, ARCHIVED})]
        known = set(pending)
        for folder in pending:
            began, mtime = time.time_ns(), self._mtime(folder)
            if mtime == self._folders.get(folder):
                continue
            seen[folder] = mtime if mtime == _GONE or _is_settled(mtime, began) else None
            below: list[str] = []
            yield self._listed(folder, below, looked_at=not first)
            pending += [path for path in below if path not in known]
            known.update(below)

    def _listed(self, folder: str, below: list[str], *, looked_at: bool) -> Listing:
        """The rollouts in a folder; the folders in it go to `below`."""
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError), os.scandir(self._home / folder) as children:
            for child in children:
                if is_rollout(child.name) and is_plain(child.name):
                    entries.append(child)
                elif child.is_dir(follow_symlinks=False) and is_plain(child.name):
                    below.append(f"{folder}/{child.name}")
        looked_at = looked_at and len(entries) <= _LOOKED_AT
        stamps: dict[str, FileStamp | None] = {}
        for entry in entries:
            stamp = None
            if looked_at:
                with suppress(OSError):
                    stamp = stamp_of(entry.stat())
            stamps[f"{folder}/{entry.name}"] = stamp
        return Listing(folder, stamps)

    def _mtime(self, folder: str) -> int:
        try:
            return os.stat(f"{self._home}/{folder}").st_mtime_ns
        except OSError:
            return _GONE

    def _stamp(self, path: str) -> FileStamp | None:
        try:
            return stamp_of(os.stat(f"{self._home}/{path}"))
        except OSError:
            return None

    def _stamps(self, *paths: Path | None) -> _Stamps:
        found: list[FileStamp | None] = []
        for path in paths:
            try:
                found.append(None if path is None else stamp_of(path.stat()))
            except OSError:
                found.append(None)
        return tuple(found)

    def _writers(self) -> frozenset[str]:
        """The threads that have a writer lock, whoever holds it."""
        try:
            names = os.listdir(self._home / LOCK_FOLDER)
        except OSError:
            return frozenset()
        ids = (parse_id(name.removesuffix(".lock")) for name in names if name.endswith(".lock"))
        return frozenset(thread_id for thread_id in ids if thread_id is not None)


_GONE = -1


def newest_or_none(sqlite_home: Path) -> Path | None:
    """Codex's newest state DB, if the folder can be read."""
    try:
        return newest(sqlite_home)
    except OSError:
        return None


def _is_settled(mtime_ns: int, now_ns: int) -> bool:
    """Whether a change from now on would give another mtime."""
    tick = _TICK_NS if mtime_ns % 1_000_000_000 else _COARSE_TICK_NS
    return abs(now_ns - mtime_ns) > tick


def _settled(stamps: _Stamps, now_ns: int) -> _Stamps | None:
    """The stamps, if each change from now on would change them."""
    return stamps if all(stamp is None or _is_settled(stamp.mtime_ns, now_ns) for stamp in stamps) else None


def within(rollouts: Mapping[str, FileStamp], most: int, beyond: Collection[str] = ()) -> dict[str, FileStamp]:
    """Those of the rollouts that were written to last, at most so many, and all `beyond`."""
    newest_first = sorted(rollouts, key=lambda path: rollouts[path].mtime_ns, reverse=True)
    kept = {*newest_first[:most], *beyond}
    return {path: stamp for path, stamp in rollouts.items() if path in kept}
