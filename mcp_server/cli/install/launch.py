"""What a client is told to run: this very installation, by absolute path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mcp_server.errors import InvalidArgument

# Folders of environments that uv and pipx make for one run and may clear away at any time.
_SHORT_LIVED = ("archive-v", "environments-v", "builds-v")


@dataclass(frozen=True)
class Launch:
    """A program by absolute path, and its arguments."""

    command: str
    args: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return [self.command, *self.args]


def launch_of(program: list[str], home: Path | None, *, read_only: bool) -> Launch:
    """How a client starts the server of a home. None: the server chooses its home itself."""
    options = ["--home", str(home)] if home is not None else []
    options += ["--read-only"] if read_only else []
    command, *arguments = program
    return Launch(command, (*arguments, "serve", *options))


def this_installation(python: Path, script: Path) -> list[str]:
    """The command line that runs this installation, from wherever it is called.

    Args:
        python: the interpreter that runs now.
        script: what was called, as the shell found it.

    Raises:
        InvalidArgument: it runs from an environment that was made for one run.
    """
    _check_lasting(python)
    for candidate in (python.with_name("threadstore"), script):
        path = Path(os.path.abspath(candidate))  # noqa: PTH100 -- resolve() would leave the environment
        if path.name == "threadstore" and path.is_file() and os.access(path, os.X_OK):
            return [str(path)]
    return [str(python), "-m", "mcp_server"]


def _check_lasting(python: Path) -> None:
    parts = python.parts
    if any(part.startswith(_SHORT_LIVED) for part in parts) or {"pipx", ".cache"} <= set(parts):
        raise InvalidArgument(
            *("installation", str(python.parent)),
            "it was made for one run and may be gone tomorrow, so no client can rely on it",
            "install it first (`uv tool install`, `pipx install` or `pip install`), then call `threadstore install`",
        )
