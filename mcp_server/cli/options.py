"""Options that several commands take, and how an invalid one is shown."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mcp_server.config import Config


def folder(text: str) -> Path:
    if not text.strip():
        raise typer.BadParameter("it is empty; pass a folder, or leave the option out for the default")
    return Path(text)


HomeOption = Annotated[
    Path | None,
    typer.Option(
        parser=folder,
        metavar="FOLDER",
        help="Home: the folder with sessions/ (default: THREADSTORE_HOME, CODEX_HOME, ~/.codex, or the data folder).",
    ),
]
ReadOnlyOption = Annotated[
    bool, typer.Option("--read-only", help="Offer only tools that read; open no file for writing.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log more to stderr.")]


def check_home(config: Config, *, new: bool) -> None:
    from mcp_server import homes

    with usage_errors():
        homes.check_home(config.home, config.home_named_by, new=new)


@contextmanager
def usage_errors() -> Generator[None]:
    """Show an invalid option as typer shows its own errors."""
    from mcp_server.errors import InvalidArgument

    try:
        yield
    except InvalidArgument as error:
        sentence = f"{error.value}: {error.reason}; {error.way_out}"
        raise typer.BadParameter(sentence, param_hint=error.name) from error
