"""`threadstore install`: shows what it would write for each client, asks, and writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_server.cli.options import HomeOption, usage_errors

if TYPE_CHECKING:
    from mcp_server.cli.install.launch import Launch

ClientOption = Annotated[
    list[str] | None,
    typer.Option(
        "--client",
        metavar="NAME",
        help="Only this client, even if it is not found (repeatable): claude-code, claude-desktop, codex, cursor, "
        "vscode, gemini-cli, opencode, zed, windsurf or goose.",
    ),
]
UninstallOption = Annotated[bool, typer.Option("--uninstall", help="Take the entries out again.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]
ReadOnlyOption = Annotated[
    bool, typer.Option("--read-only", help="Register a server that offers only tools that read.")
]


def install(
    client: ClientOption = None,
    home: HomeOption = None,
    read_only: ReadOnlyOption = False,
    uninstall: UninstallOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Register this installation with the MCP clients of this machine, for the user. Exit code 1 if one can't be."""
    from mcp_server.cli.install.session import Session

    with usage_errors():
        launch, served = (None, None) if uninstall else _launch(home, read_only)
        session = Session.here(client or [], launch, served)
    raise typer.Exit(session.run(dry_run=dry_run, yes=yes))


def _launch(home: Path | None, read_only: bool) -> tuple[Launch, Path]:
    """How a client starts the server, and the home that it serves."""
    from mcp_server import homes
    from mcp_server.cli.install.launch import launch_of, this_installation
    from mcp_server.config import find_home

    program = this_installation(Path(sys.executable), Path(sys.argv[0]))
    # A client may not pass on the variables of this shell.
    chosen, named_by = find_home(home)
    homes.check_home(chosen, named_by, new=not read_only)
    return launch_of(program, chosen if named_by else None, read_only=read_only), chosen
