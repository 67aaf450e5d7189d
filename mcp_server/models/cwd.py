"""Compares working directories as rollouts of any system record them: which spellings mean the same folder."""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_DRIVE = re.compile(r"(?:\\\\[?.]\\)?([A-Za-z]):(?=[\\/]|\Z)(.*)", re.DOTALL)
# A drive as Linux sees it under Windows: WSL, Cygwin.
_MOUNTED = re.compile(r"/(?:mnt|cygdrive)/([A-Za-z])(?=/|\Z)(.*)", re.DOTALL)
_SHARE = re.compile(r"(?:\\\\\?\\UNC\\|[\\/]{2}(?![?.][\\/]))([^\\/]+)[\\/]+([^\\/]+)(.*)", re.DOTALL | re.IGNORECASE)
# Host names under which Windows shows the files of WSL; the share is the distribution.
_WSL_HOSTS = ("wsl$", "wsl.localhost")
_LIKE = 0.6


def is_windows_path(cwd: str) -> bool:
    """Whether the path is absolute on Windows: on a drive, or on a share written with backslashes."""
    return _DRIVE.fullmatch(cwd) is not None or cwd.startswith("\\\\")


def canonical_cwd(cwd: str) -> str:
    """One spelling for all paths of the same folder, without `.`, `..`, doubled and trailing slashes. On Windows
    drives, even if mounted in Linux, case, kind of slash and notation of the drive don't matter."""
    if (drive := _DRIVE.fullmatch(cwd)) is not None:
        return f"{drive[1].casefold()}:{_below(drive[2]).casefold()}"
    share = _SHARE.fullmatch(cwd)
    if share is not None and share[1].casefold() in _WSL_HOSTS:
        return canonical_cwd(_below(share[3]))
    if share is not None and cwd.startswith("\\"):
        return f"\\\\{share[1]}/{share[2]}{_below(share[3])}".rstrip("/").casefold()
    path = posixpath.normpath(f"/{cwd.lstrip('/')}" if cwd.startswith("/") else cwd or "/")
    if (drive := _MOUNTED.fullmatch(path)) is not None:
        return f"{drive[1].casefold()}:{_below(drive[2]).casefold()}"
    if not cwd:
        return ""
    return path if path == cwd else canonical_cwd(path)  # which may be a drive now: `x/../C:`


def is_within(place: str, folder: str) -> bool:
    """Whether a place is a folder or lies below it, both as `canonical_cwd` spells them."""
    return place == folder or (folder != "" and place.startswith(f"{folder.rstrip('/')}/"))


def moved_cwd(cwd: str, moves: Iterable[tuple[str, str]]) -> str:
    """The path after folders were moved, each from its old place to a new one. Of several that it lies in, the deepest
    counts."""
    for old, new in sorted(moves, key=lambda move: len(move[0]), reverse=True):
        folder = old.rstrip("/\\") or old
        below = cwd[len(folder) :]
        if not cwd.startswith(folder) or (below and below[0] not in "/\\" and folder[-1] not in "/\\"):
            continue
        if is_windows_path(old) and not is_windows_path(new):
            below = below.replace("\\", "/")
        return (new.rstrip("/\\") + below) or new
    return cwd


def folders_called(name: str, places: Iterable[str]) -> list[str]:
    """The folders of this bare name among these places and what they lie in, whatever the name's case."""
    wanted = name.casefold()
    found: dict[str, None] = {}
    for place in places:
        parts = place.split("/")
        for depth, part in enumerate(parts, start=1):
            if part.casefold() == wanted:
                found["/".join(parts[:depth])] = None
    return list(found)


def nearest_folders(asked: str, places: Iterable[str], most: int = 3) -> list[str]:
    """The places that may be meant by a folder, by its path or its last name, the likeliest first."""
    wanted, name = asked.casefold(), _name_of(asked)
    likeness = {
        place: max(
            SequenceMatcher(None, name, _name_of(place)).ratio(),
            SequenceMatcher(None, wanted, place.casefold()).ratio(),
        )
        for place in places
        if place
    }
    best = sorted(likeness, key=lambda place: (-likeness[place], place))
    return [place for place in best if likeness[place] >= _LIKE][:most]


def _name_of(place: str) -> str:
    return place.rstrip("/").rpartition("/")[2].casefold()


def _below(rest: str) -> str:
    """The path below a drive or a share, from its root on."""
    slash = "\\"
    return ntpath.normpath(slash + rest.lstrip("\\/")).replace(slash, "/")
