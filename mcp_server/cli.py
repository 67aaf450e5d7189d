"""The commands for people. `threadstore` without a command serves stdio. Progress goes to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mcp_server.config import Config


def _folder(text: str) -> Path:
    if not text.strip():
        raise typer.BadParameter("it is empty; pass a folder, or leave the option out for the default")
    return Path(text)


HomeOption = Annotated[
    Path | None,
    typer.Option(
        parser=_folder,
        metavar="FOLDER",
        help="Home: the folder with sessions/ (default: THREADSTORE_HOME, CODEX_HOME, ~/.codex, or the data folder).",
    ),
]
HttpOption = Annotated[
    str | None, typer.Option(help="Serve Streamable HTTP on this address instead of stdio.", metavar="HOST:PORT")
]
NoStateOption = Annotated[bool, typer.Option("--no-state", help="Work from the files alone, without a state DB.")]
ReadOnlyOption = Annotated[
    bool, typer.Option("--read-only", help="Offer only tools that read; open no file for writing.")
]
CodexDbOption = Annotated[
    Literal["follow", "read-only"] | None,
    typer.Option(
        help="follow: update Codex's own database when a thread is archived, named or given git info. "
        "read-only: never change it (default: THREADSTORE_CODEX_DB, else follow)."
    ),
]
DelayOption = Annotated[
    float, typer.Option(min=0, help="Keep a thread without subscribers loaded for so long.", metavar="SECONDS")
]
SessionOption = Annotated[
    float,
    typer.Option(min=1, help="End an HTTP session of a 2025 client that is silent for so long.", metavar="SECONDS"),
]
AllowHostOption = Annotated[
    list[str] | None, typer.Option(help="Allow this Host header too, over HTTP (repeatable).", metavar="HOST")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log more to stderr.")]

app = typer.Typer(
    help="Keep agent threads: an MCP server on Codex's files. Without a command: serve stdio.",
    add_completion=False,
    pretty_exceptions_enable=False,
    # No frames: hosts write stderr to a log, and nobody can copy a path that a frame breaks into lines.
    rich_markup_mode=None,
)


@app.command()
def serve(
    home: HomeOption = None,
    http: HttpOption = None,
    no_state: NoStateOption = False,
    read_only: ReadOnlyOption = False,
    codex_db: CodexDbOption = None,
    unload_delay: DelayOption = 0.0,
    session_timeout: SessionOption = 1_800.0,
    allow_host: AllowHostOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve MCP over stdio, or over Streamable HTTP (beyond this machine only with THREADSTORE_TOKEN set)."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(message)s")
    logging.getLogger("mcp_server").setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)

    from mcp_server.config import Config
    from mcp_server.gc_tuning import gc_paused, use_one_malloc_arena

    use_one_malloc_arena()
    address = _address(http) if http is not None else None
    config = Config.load(home, state=not no_state, unload_delay=unload_delay, read_only=read_only, codex_db=codex_db)
    _check_home(config, new=not read_only)
    with gc_paused():
        from mcp_server.server import build_server
        from mcp_server.serving import run

        server = build_server(config)
    with _usage_errors():
        run(server, address, allow_host or (), session_timeout)


@app.command()
def demo(
    home: Annotated[
        Path | None,
        typer.Option(parser=_folder, metavar="FOLDER", help="Use this home instead of a temporary one."),
    ] = None,
) -> None:
    """Start a real server, drive it with a real MCP client, and show each call and its answer."""
    from mcp_server.homes import check_demo_home

    if home is not None:
        home = home.expanduser().absolute()
        with _usage_errors():
            check_demo_home(home)
    from mcp_server.demo import run_demo

    raise typer.Exit(run_demo(home))


@app.command()
def doctor(
    home: HomeOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair the index, after showing the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Repair without asking.")] = False,
) -> None:
    """Show how index and files differ. Exit code 1 if they do."""
    from mcp_server.config import Config
    from mcp_server.maintenance import run_doctor

    config = Config.load(home)
    _check_home(config, new=False)
    raise typer.Exit(run_doctor(config, repair=repair, yes=yes))


@app.command()
def reindex(home: HomeOption = None) -> None:
    """Rebuild the index from the files. Servers may run meanwhile. A stopped rebuild resumes where it was."""
    from mcp_server.config import Config
    from mcp_server.maintenance import run_reindex

    config = Config.load(home)
    _check_home(config, new=False)
    raise typer.Exit(run_reindex(config))


@app.command()
def version() -> None:
    """Print the version."""
    from mcp_server.config import package_version

    typer.echo(package_version())


def _check_home(config: Config, *, new: bool) -> None:
    from mcp_server.homes import check_home

    with _usage_errors():
        check_home(config.home, config.home_named_by, new=new)


@contextmanager
def _usage_errors() -> Generator[None]:
    """Show an invalid option as typer shows its own errors."""
    from mcp_server.errors import InvalidArgument

    try:
        yield
    except InvalidArgument as error:
        sentence = f"{error.value}: {error.reason}; {error.way_out}"
        raise typer.BadParameter(sentence, param_hint=error.name) from error


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT; pass one such as 127.0.0.1:8765", param_hint="--http")
    return host.strip("[]"), int(port)


def main() -> None:
    """Entry point of the `threadstore` command. Options without a command belong to `serve`."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        arguments = ["version"]
    elif not arguments or (arguments[0].startswith("-") and arguments[0] != "--help"):
        arguments = ["serve", *arguments]
    app(arguments)


if __name__ == "__main__":
    main()
