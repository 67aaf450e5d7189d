"""Finds the rollout files of a home by reading its folders."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from stat import S_ISREG

from mcp_server.codex.files import BadLine, RolloutRef, current_first
from mcp_server.codex.paths import (
    ACTIVE,
    ARCHIVED,
    id_in,
    is_before,
    is_plain,
    is_rollout,
    is_year_or_month,
    likely_folders,
    parse_id,
    rollout_id_of,
)
from mcp_server.errors import PathOutsideHome
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.moving import rollout_file
from mcp_server.storage.files.safe_path import ManyInside, inside

_ABANDONED_SECONDS = 3_600
_NOT_PLAIN = "has a name that is not UTF-8 or has a backslash; it is left out until it is renamed"
_READ_BESIDE = re.compile(r"session_index\.jsonl|config\.toml|state_\d+\.sqlite")


class Folders:
    """The searches of `RolloutFiles`. Public methods implement those of the same names in `RolloutStore`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        for folder in (ACTIVE, ARCHIVED):
            for path, entry in self._entries(folder, odd=odd):
                if (file := self._listed(path, entry)) is not None:
                    yield file
                elif odd is not None and (reason := self._why_unusable(path)) is not None:
                    odd.append(BadLine(path, 0, reason))
        if odd is not None:
            odd += [BadLine(path, 0, f"is left out: it is a link, and {why}") for path, why in self.linked()]

    def paths(self) -> Iterator[str]:
        for folder in (ACTIVE, ARCHIVED):
            for path, _ in self._entries(folder):
                yield path

    def stat(self, path: str) -> RolloutRef | None:
        try:
            stat = inside(self._home, path, ACTIVE, ARCHIVED).stat()
        except (OSError, PathOutsideHome):
            return None
        return rollout_file(path, stat) if S_ISREG(stat.st_mode) else None

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        many = ManyInside(self._home)
        found: dict[str, RolloutRef] = {}
        for path in paths:
            with suppress(OSError, PathOutsideHome):
                _, stat = many.stat(path, ACTIVE, ARCHIVED)
                if S_ISREG(stat.st_mode):
                    found[path] = rollout_file(path, stat)
        return found

    def locate(self, thread_id: str) -> list[RolloutRef]:
        wanted = parse_id(thread_id)
        if wanted is None:
            return []
        # a rollout that a revert began lies in the folder of its own day
        begun = min(likely_folders(wanted), default="")
        found = [*self._walk(ACTIVE, wanted, id_in, since=begun), *self._walk(ARCHIVED, wanted, id_in)]
        return current_first(found or self._walk(ACTIVE, wanted, id_in), wanted)

    def locate_rollout(self, rollout_id: str) -> list[RolloutRef]:
        wanted = parse_id(rollout_id)
        if wanted is None:
            return []
        likely = (self._walk(folder, wanted, rollout_id_of) for folder in (*likely_folders(wanted), ARCHIVED))
        found = [file for walk in likely for file in walk]
        return current_first(found or self._walk(ACTIVE, wanted, rollout_id_of))

    def _walk(
        self, folder: str, wanted: str, id_of: Callable[[str], str | None], *, since: str = ""
    ) -> Iterator[RolloutRef]:
        """The rollouts of one id below a folder, without date folders before `since`."""
        tail = wanted[-12:]
        for path, entry in self._entries(folder, since):
            if (
                tail in entry.name.lower()
                and id_of(entry.name) == wanted
                and (file := self._listed(path, entry)) is not None
            ):
                yield file

    def _entries(
        self, folder: str, since: str = "", odd: list[BadLine] | None = None
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Entries with a rollout's name below a folder, sorted by path, descending. Names that can't be stored, and
        folders that can't be read, are appended to `odd`."""
        pending = [(folder, self._children(folder, odd))]
        while pending:
            here, children = pending[-1]
            if not children:
                pending.pop()
                continue
            key, entry = children.pop()
            path = f"{here}/{entry.name}"
            if not key.endswith("/"):
                yield path, entry
            elif not is_before(path, since):
                pending.append((path, self._children(path, odd)))

    def _children(self, folder: str, odd: list[BadLine] | None) -> list[tuple[str, os.DirEntry[str]]]:
        """The folders and rollouts in a folder with their sort keys, ascending. The key of a folder ends with `/`."""
        found: list[tuple[str, os.DirEntry[str]]] = []
        said: list[BadLine] = []
        try:
            with os.scandir(self._home / folder) as all_:
                for one in all_:
                    key = f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name
                    if not (key.endswith("/") or is_rollout(key)):
                        continue
                    if is_plain(one.name):
                        found.append((key, one))
                    else:
                        said.append(BadLine(_as_text(f"{folder}/{one.name}"), 0, _NOT_PLAIN))
        except FileNotFoundError:
            pass
        except OSError as error:  # of any kind: a path may be too long for the system
            said.append(BadLine(_as_text(folder), 0, f"can't be looked into: {error.strerror}", transient=True))
        if odd is not None:
            odd += said
        return sorted(found, key=itemgetter(0))

    def _listed(self, path: str, entry: os.DirEntry[str]) -> RolloutRef | None:
        if entry.is_symlink():
            return self.stat(path)
        try:
            stat = entry.stat(follow_symlinks=False)
        except OSError:
            return None
        return rollout_file(path, stat) if S_ISREG(stat.st_mode) else None

    def unusable(self, paths: Collection[str] | None = None) -> list[BadLine]:
        if paths is not None:
            told = ((path, self._why_unusable(path)) for path in sorted(filter(is_plain, paths)))
            return [BadLine(path, 0, reason) for path, reason in told if reason is not None]
        odd: list[BadLine] = []
        for _ in self.walk(odd):
            pass
        return [*odd, *self._beside()]

    def _why_unusable(self, path: str) -> str | None:
        """Why an entry with a rollout's name can't be used; None if it is a file of the home, or not there."""
        full = self._home / path
        if not is_rollout(full.name) or not os.path.lexists(full) or self.stat(path) is not None:
            return None
        if not full.is_symlink():
            return "is no regular file"
        out_of = f"out of {full.relative_to(self._home).parts[0]}"
        return f"is a link that leads {out_of if full.is_file() else 'to no file'}"

    def _beside(self) -> list[BadLine]:
        """Entries that have the name of a file that is read beside the rollouts, but are no regular file."""
        with suppress(OSError):
            names = sorted(filter(_READ_BESIDE.fullmatch, os.listdir(self._home)))
            return [BadLine(n, 0, "is no regular file") for n in names if not os.path.isfile(self._home / n)]
        return []

    def abandoned(self) -> list[str]:
        found: list[str] = []
        folders = (where for top in (ACTIVE, ARCHIVED) for where in os.walk(self._home / top))
        for folder, _, names in folders:
            for name in filter(durable.is_draft, names):
                with suppress(OSError):
                    if time.time() - os.stat(f"{folder}/{name}").st_mtime > _ABANDONED_SECONDS:
                        found.append(Path(folder, name).relative_to(self._home).as_posix())
        return sorted(filter(is_plain, found))

    def linked(self) -> list[tuple[str, str]]:
        """Links in the place of date folders, which are not followed, each with the reason. Other entries beside the
        date folders are not examined."""
        found: list[tuple[str, str]] = []
        pending = [ACTIVE, ARCHIVED]
        while pending:
            folder = pending.pop()
            with suppress(OSError), os.scandir(self._home / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}"
                    if entry.is_symlink() and (why := _why_left_out(entry)) and is_plain(entry.name):
                        found.append((path, why))
                    elif is_year_or_month(path) and entry.is_dir(follow_symlinks=False):
                        pending.append(path)
        return sorted(found)


def _why_left_out(link: os.DirEntry[str]) -> str | None:
    """Why a link is left out; None if it is a rollout, or leads to a file."""
    if is_rollout(link.name):
        return None
    if link.is_dir():
        return "links to folders are not followed; put the folder itself there"
    return None if os.path.exists(link.path) else "it leads to nothing"


def _as_text(path: str) -> str:
    """A path from the disk as text that can be stored."""
    return os.fsencode(path).decode("utf-8", "replace")
