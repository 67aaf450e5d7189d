"""Working directories as rollouts record them, of any system: which spellings mean the same folder."""

from __future__ import annotations

import ntpath
import posixpath
import re

_DRIVE = re.compile(r"(?:\\\\[?.]\\)?([A-Za-z]):(?=[\\/]|\Z)(.*)", re.DOTALL)
# A drive as Linux sees it under Windows: WSL, Cygwin.
_MOUNTED = re.compile(r"/(?:mnt|cygdrive)/([A-Za-z])(?=/|\Z)(.*)", re.DOTALL)
_SHARE = re.compile(r"(?:\\\\\?\\UNC\\|[\\/]{2}(?![?.][\\/]))([^\\/]+)[\\/]+([^\\/]+)(.*)", re.DOTALL | re.IGNORECASE)
# Hosts under which Windows shows the files of a Linux that runs in it; the share is the distribution.
_WSL_HOSTS = ("wsl$", "wsl.localhost")


def is_windows_path(cwd: str) -> bool:
    """Whether the path is absolute on Windows: on a drive, or on a share written with backslashes."""
    return _DRIVE.fullmatch(cwd) is not None or cwd.startswith("\\\\")


def canonical_cwd(cwd: str) -> str:
    """One spelling for all paths of the same folder, without `.`, `..`, doubled and trailing slashes. On drives of
    Windows, also those that Linux has mounted, neither case nor the kind of slash nor the drive's notation matter."""
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
    return path if cwd else ""


def _below(rest: str) -> str:
    """The path below a drive or a share, from its root on."""
    slash = "\\"
    return ntpath.normpath(slash + rest.lstrip("\\/")).replace(slash, "/")
