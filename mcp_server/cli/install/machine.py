"""What the installer knows of a machine: whose it is, its system, its environment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A user's machine. `platform` as in `sys.platform`."""

    user: Path
    """The user's own folder, `~`."""
    platform: str
    env: Mapping[str, str]

    def program(self, name: str) -> str | None:
        """Where a program is on the path."""
        return shutil.which(name, path=self.env.get("PATH", ""))

    def folder(self, variable: str, default: str) -> Path:
        """The folder that a variable names, else one below the user's."""
        return Path(self.env.get(variable) or self.user / default).expanduser()

    @property
    def config(self) -> Path:
        """Where command line programs keep their settings."""
        return self.folder("XDG_CONFIG_HOME", ".config")

    @property
    def application_support(self) -> Path:
        """Where programs with windows keep theirs."""
        return self.user / "Library/Application Support" if self.platform == "darwin" else self.config

    def shown(self, path: Path) -> str:
        """A path as people write it."""
        return f"~/{path.relative_to(self.user)}" if path.is_relative_to(self.user) else str(path)
