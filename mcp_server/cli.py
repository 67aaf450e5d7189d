"""The commands for people. `threadstore` alone serves stdio, as `threadstore serve` does. Progress goes to stderr."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder with sessions/ (default: THREADSTORE_HOME, CODEX_HOME, ~/.codex, or the data folder)."),
]
HttpOption = Annotated[str | None, typer.Option(help="Serve Streamable HTTP on HOST:PORT instead of stdio.")]
NoStateOption = Annotated[bool, typer.Option("--no-state", help="Serve from the files alone, without a state DB.")]
DelayOption = Annotated[
    float, typer.Option(min=0, help="Seconds that a thread without subscribers stays loaded.", metavar="SECONDS")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to stderr.")]

app = typer.Typer(
    help="MCP server that keeps agent threads on Codex's files.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Keep agent threads: an MCP server on Codex's files. Without a command: serve stdio."""
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve(
    home: HomeOption = None,
    http: HttpOption = None,
    no_state: NoStateOption = False,
    unload_delay: DelayOption = 0.0,
    verbose: VerboseOption = False,
) -> None:
    """Serve MCP over stdio, or over Streamable HTTP."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(message)s")
    logging.getLogger("mcp_server").setLevel(logging.INFO)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)

    from mcp_server.config import Config
    from mcp_server.server import build_server, run

    address = _address(http) if http is not None else None
    config = Config.load(home, state=not no_state, unload_delay=unload_delay)
    run(build_server(config), address)


@app.command()
def demo(
    home: Annotated[Path | None, typer.Option(help="Use this home instead of a temporary one.")] = None,
) -> None:
    """Start the real server as a child, drive it with the real MCP client, and show what happens."""
    from mcp_server.demo import run_demo

    raise typer.Exit(run_demo(home))


@app.command()
def version() -> None:
    """Print the version."""
    from mcp_server.config import package_version

    typer.echo(package_version())


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter(f"{text!r} is no HOST:PORT; pass one such as 127.0.0.1:8765", param_hint="--http")
    return host.strip("[]"), int(port)


def main() -> None:
    """Entry point of the `threadstore` command."""
    app()


if __name__ == "__main__":
    main()
