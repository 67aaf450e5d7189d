"""Configuration. Only this module reads settings from the environment and the home's config.toml."""

from __future__ import annotations

import logging
import os
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from mcp_server import homes
from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.sandbox import sandbox_of_mode
from mcp_server.errors import InvalidArgument
from mcp_server.storage import regular
from mcp_server.storage.sqlite.bounds import STATE_BOUNDS, StateBounds
from mcp_server.threads.search.bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.settings import DEFAULT_APPROVAL_POLICY, DEFAULT_PROVIDER, Defaults

logger = logging.getLogger(__name__)

STATE_FILE = "threadstore.sqlite"
_CONFIG_BYTES = 4 << 20

Toolset = Literal["find", "record", "keep", "admin"]
"""`find`: search and read. `record`: start, resume, fork, write. `keep`: name, archive, delete. `admin`: the store."""
TOOLSETS: tuple[Toolset, ...] = get_args(Toolset)

CodexDb = Literal["follow", "read-only"]
"""`follow`: changes to a thread are also made in Codex's own database. `read-only`: that is never changed."""


@dataclass(frozen=True)
class Config:
    """All settings of one server, delays in seconds. `state_path` None: work from the files alone. `home_named_by`: the
    option or variable that named the home, None for the default home."""

    home: Path
    state_path: Path | None
    defaults: Defaults
    unload_delay: float = 0.0
    wait_seconds: float = 30.0
    watch: bool = True
    read_only: bool = False
    home_named_by: str | None = None
    codex_sqlite_home: Path | None = None
    """Where Codex keeps the databases of this home; None: in the home itself."""
    codex_db: CodexDb = "follow"
    reading: ReadingBounds = BOUNDS
    database: StateBounds = STATE_BOUNDS
    toolsets: tuple[Toolset, ...] = TOOLSETS
    searching: SearchBounds = SEARCH_BOUNDS

    @property
    def codex_databases(self) -> Path:
        return self.codex_sqlite_home or self.home

    @classmethod
    def load(
        cls,
        home: Path | None = None,
        *,
        state: bool = True,
        unload_delay: float = 0.0,
        wait_seconds: float = 30.0,
        read_only: bool = False,
        codex_db: CodexDb | None = None,
        toolsets: str | None = None,
    ) -> Config:
        """Choose the home and read its config.toml. Creates nothing.

        A read-only server has no state DB: SQLite can't read one without writing beside it.

        Raises:
            InvalidArgument: `toolsets` names one that does not exist.
        """
        chosen, named_by = find_home(home)
        sqlite_home = os.environ.get("THREADSTORE_SQLITE_HOME")
        folder = Path(sqlite_home).expanduser() if sqlite_home else chosen
        table = read_table(chosen / "config.toml")
        return cls(
            home=chosen,
            state_path=folder / STATE_FILE if state and not read_only else None,
            defaults=read_defaults(table),
            unload_delay=unload_delay,
            wait_seconds=wait_seconds,
            read_only=read_only,
            codex_sqlite_home=find_codex_databases(chosen, table),
            codex_db=codex_db or read_codex_db(),
            home_named_by=named_by,
            toolsets=read_toolsets(toolsets),
        )


def http_token() -> str | None:
    """The token that HTTP clients must send (THREADSTORE_TOKEN); None if unset."""
    return os.environ.get("THREADSTORE_TOKEN", "").strip() or None


def calling_thread() -> str | None:
    """The thread whose agent runs this command in a shell (CODEX_THREAD_ID, which Codex sets); None if none does."""
    return os.environ.get("CODEX_THREAD_ID", "").strip() or None


def find_home(given: Path | None = None) -> tuple[Path, str | None]:
    """The home, and which option or variable named it: `--home`, else THREADSTORE_HOME, else CODEX_HOME, else (named by
    None) ~/.codex if it exists, even as a broken link, else the platform's data folder.

    An empty variable counts as unset, as in Codex. So does `${…}`: some hosts pass it for a setting left empty.
    """
    variables = ((name, os.environ.get(name, "")) for name in ("THREADSTORE_HOME", "CODEX_HOME"))
    named = [("--home", given), *((name, value) for name, value in variables if not value.startswith("${"))]
    for name, value in named:
        if value:
            return Path(os.path.abspath(Path(value).expanduser())), name  # noqa: PTH100 -- resolve() would follow links
    codex = homes.codex_home()
    return (codex if os.path.lexists(codex) else homes.data_home()), None


def read_toolsets(text: str | None) -> tuple[Toolset, ...]:
    """The toolsets in a list with commas; all if there is none.

    Raises:
        InvalidArgument: a name is unknown, or there is none in the list.
    """
    if text is None:
        return TOOLSETS
    names = [name.strip().lower() for name in text.split(",")]
    if unknown := [name for name in names if name not in TOOLSETS]:
        way_out = f"pass some of {','.join(TOOLSETS)}, or leave the option out for all"
        raise InvalidArgument("--toolset", unknown[0], "there is no such toolset", way_out)
    return tuple(one for one in TOOLSETS if one in names)


def read_codex_db() -> CodexDb:
    """THREADSTORE_CODEX_DB, else `follow`. Any value other than `follow` means `read-only`."""
    return "follow" if os.environ.get("THREADSTORE_CODEX_DB", "") in ("", "follow") else "read-only"


def find_codex_databases(home: Path, table: dict[str, Any]) -> Path:
    """The folder of Codex's databases for a home: `sqlite_home` of config.toml (relative to the home), else
    CODEX_SQLITE_HOME (relative to the working directory), else the home itself."""
    given = table.get("sqlite_home")
    if isinstance(given, str) and given:
        return home / Path(given).expanduser()
    from_environment = os.environ.get("CODEX_SQLITE_HOME")
    return Path(from_environment).expanduser().absolute() if from_environment else home


def read_table(path: Path) -> dict[str, Any]:
    """The table of a config.toml. If it can't be read, that is logged and the table is empty."""
    try:
        return tomllib.loads(regular.content(path, _CONFIG_BYTES).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s is ignored: %s", path, error)
    return {}


def read_defaults(table: dict[str, Any]) -> Defaults:
    """The defaults for models and policies that config.toml sets."""

    def text(name: str) -> str | None:
        value = table.get(name)
        return value if isinstance(value, str) and value else None

    mode = text("sandbox_mode")
    return Defaults(
        cwd=str(Path.cwd()),
        model=text("model"),
        model_provider=text("model_provider") or DEFAULT_PROVIDER,
        approval_policy=text("approval_policy") or DEFAULT_APPROVAL_POLICY,
        sandbox=sandbox_of_mode(mode) if mode in ("read-only", "workspace-write", "danger-full-access") else None,
        reasoning_effort=text("model_reasoning_effort"),
    )


def package_version() -> str:
    """The installed version of this distribution."""
    try:
        return version("threadstore")
    except PackageNotFoundError:
        return "0+unknown"
