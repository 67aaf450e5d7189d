"""Checks that a folder is a home, and writes the notes on it that a person should read."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from mcp_server.codex.paths import ACTIVE, ARCHIVED, NAME_INDEX
from mcp_server.errors import InvalidArgument
from mcp_server.storage.files.atomic import check_writable
from mcp_server.storage.files.folders import Folders
from mcp_server.storage.files.locks import LOCK_FOLDER

_ENTRIES = (
    ACTIVE,
    ARCHIVED,
    NAME_INDEX,
    LOCK_FOLDER,
    "threadstore.sqlite",
    "config.toml",
    "auth.json",
    "state_5.sqlite",
)


def check_home(home: Path, named_by: str | None, *, new: bool) -> None:
    """Refuse a folder that would be served as an empty home by mistake.

    `new`: the home need not exist, if its parent folder exists or if nobody named the home (`named_by` None).

    Raises:
        InvalidArgument: home, sessions/ or archived_sessions/ is a broken link, no folder or unreadable; the home does
            not exist; or the folder holds nothing of a home.
    """
    try:
        problem = _problem(home, named_by, new)
    except OSError as error:
        problem = f"it can't be opened ({error.strerror})", "fix its permissions, or name another folder with --home"
    if problem is not None:
        raise InvalidArgument(named_by or "home", str(home), *problem)


def _problem(home: Path, named_by: str | None, new: bool) -> tuple[str, str] | None:
    another = "or name another folder with --home"
    for folder in (home, home / ACTIVE, home / ARCHIVED):
        what = "it" if folder == home else f"its {folder.name}"
        if os.path.lexists(folder) and not folder.is_dir():
            if folder.is_symlink():
                return f"{what} is a link that leads to {folder.readlink()}, which does not exist", f"fix it, {another}"
            return f"{what} is not a folder", f"move that away, {another}"
        if os.path.lexists(folder) and not os.access(folder, os.R_OK | os.X_OK):
            return f"{what} can't be read ({os.strerror(errno.EACCES)})", f"fix the permissions of {folder}, {another}"
    if not new and not home.exists():
        return "there is no such folder", "check the path; `threadstore serve` begins a new home"
    if not new and not any(os.path.lexists(home / entry) for entry in _ENTRIES):
        return "it holds no threads and nothing else of a home", f"check the path, {another}"
    if named_by is not None and not home.exists() and not home.parent.is_dir():
        return f"neither it nor {home.parent} exists", "check the path, or make that folder first"
    return None


def notes(home: Path, named_by: str | None) -> list[str]:
    """Sentences to log at each start: the home holds no threads, another home does, links are ignored."""
    holds = holds_threads(home)
    sentences: list[str] = []
    if not holds:
        by = f", named by {named_by}," if named_by else ""
        new = "holds no threads" if home.is_dir() else "is new and holds no threads"
        way_out = "check the path" if named_by else "pass --home or set THREADSTORE_HOME to serve another"
        sentences.append(f"home {home}{by} {new}; if you expected some, {way_out}")
    if not holds or named_by is None:
        sentences += [
            f"{other} holds threads too, and they are not shown: home {home} is served. To choose the other, pass "
            f"--home {other} or set THREADSTORE_HOME"
            for other in _usual_homes()
            if not _is_same(other, home) and holds_threads(other)
        ]
    linked = Folders(home).linked()
    return sentences + [
        f"{json.dumps(path)} in the home is left out: it is a link, and {reason}" for path, reason in linked
    ]


def check_demo_home(home: Path) -> None:
    """Check that the demo may use a home.

    Raises:
        InvalidArgument: it holds threads, can't be written, or `check_home` refuses it.
    """
    check_home(home, "--home", new=True)
    if holds_threads(home):
        raise InvalidArgument(
            *("--home", str(home)),
            "it holds threads, and the demo would add and archive threads of its own",
            "leave --home out for a temporary home, or name a new folder",
        )
    try:
        check_writable(home)
    except OSError as error:
        raise InvalidArgument("--home", str(home), f"it can't be written ({error.strerror})", "name another") from error


def holds_threads(home: Path) -> bool:
    return next(Folders(home).paths(), None) is not None


def _usual_homes() -> list[Path]:
    return [codex_home(), data_home()]


def codex_home() -> Path:
    return Path.home() / ".codex"


def data_home() -> Path:
    """The default home where there is no Codex."""
    import platformdirs

    return Path(platformdirs.user_data_dir("threadstore", appauthor=False))


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
