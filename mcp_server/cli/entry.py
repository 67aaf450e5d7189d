"""All commands in one app, and the entry point."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mcp_server.cli.browse import browse
from mcp_server.cli.hand_over import export, import_
from mcp_server.cli.install.command import install
from mcp_server.cli.options import folder, usage_errors
from mcp_server.cli.serve import serve
from mcp_server.cli.shell.archiving import archive, unarchive
from mcp_server.cli.shell.briefing import brief
from mcp_server.cli.shell.completion import COMPLETE_VARIABLE, completion
from mcp_server.cli.shell.listing import list_threads
from mcp_server.cli.shell.renaming import rename
from mcp_server.cli.shell.searching import search
from mcp_server.cli.shell.showing import show
from mcp_server.cli.shell.stats import stats
from mcp_server.cli.shell.tree import tree
from mcp_server.cli.upkeep import doctor, reindex

app = typer.Typer(
    help="Keep agent threads on Codex's files: see them here, and serve them to assistants over MCP.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
    # No frames: hosts write stderr to a log, and nobody can copy a path that a frame breaks into lines.
    rich_markup_mode=None,
)

# For people. A command of a module of its own is registered here.
app.command("list")(list_threads)
app.command()(search)
app.command()(show)
app.command()(tree)
app.command()(brief)
app.command()(stats)
app.command()(archive)
app.command()(unarchive)
app.command()(rename)
app.command()(browse)

# For assistants.
app.command()(serve)
app.command()(install)


@app.command()
def demo(
    home: Annotated[
        Path | None,
        typer.Option(parser=folder, metavar="FOLDER", help="Use this home instead of a temporary one."),
    ] = None,
) -> None:
    """Start a real server, drive it with a real MCP client, and show each call and its answer."""
    from mcp_server.homes import check_demo_home

    if home is not None:
        home = home.expanduser().absolute()
        with usage_errors():
            check_demo_home(home)
    from mcp_server.demo import run_demo

    raise typer.Exit(run_demo(home))


app.command()(export)
app.command("import")(import_)
app.command()(doctor)
app.command()(reindex)
app.command()(completion)


@app.command()
def version() -> None:
    """Print the version."""
    from mcp_server.config import package_version

    typer.echo(package_version())


def _version_and_end(*, wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def threadstore(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version.", is_eager=True, callback=_version_and_end),
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


_OWN_OPTIONS = ("--help", "-h", "--version", "-V")
_INTRODUCTION = """\
Threadstore keeps the threads (sessions, conversations) of your agents, and gives them to assistants over MCP.

  threadstore install        register it with the assistants on this machine
  threadstore list           see your threads; then show, search, tree, brief, stats
  threadstore browse         look through them in your browser
  threadstore demo           watch it work, in a temporary home
  threadstore --help         all commands

An assistant starts it as `threadstore serve`, or without a command through a pipe."""


def main() -> None:
    """Entry point of the `threadstore` command. Without a command it introduces itself on a terminal and serves a
    pipe. Options without a command belong to `serve`."""
    arguments = sys.argv[1:]
    if COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]

        completion_init()
        app(arguments, prog_name="threadstore")
    elif not arguments and sys.stdin is not None and sys.stdin.isatty():
        typer.echo(_INTRODUCTION)
        return
    elif not arguments or (arguments[0].startswith("-") and arguments[0] not in _OWN_OPTIONS):
        arguments = ["serve", *arguments]
    app(arguments)
