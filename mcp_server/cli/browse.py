"""`threadstore browse`: the page that shows the threads, in the browser of this machine."""

from __future__ import annotations

import logging
import threading
import webbrowser
from typing import Annotated

import typer

from mcp_server.cli.options import HomeOption, ReadOnlyOption, VerboseOption, check_home, usage_errors
from mcp_server.cli.starting import log_to_stderr, server_of

PortOption = Annotated[
    int, typer.Option(min=0, max=65_535, help="Serve on this port of 127.0.0.1 (default: any that is free).")
]
NoOpenOption = Annotated[bool, typer.Option("--no-open", help="Print the address, and open no browser.")]


def browse(
    home: HomeOption = None,
    port: PortOption = 0,
    no_open: NoOpenOption = False,
    read_only: ReadOnlyOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Look through your threads in a browser, on this machine alone, until Ctrl+C. The address ends in a new key."""
    log_to_stderr(verbose=verbose, ours=logging.WARNING)

    from mcp_server.config import Config

    with usage_errors():
        config = Config.load(home, read_only=read_only)
    check_home(config, new=not read_only)
    server = server_of(config)

    def show(address: str, invitation: str) -> None:
        typer.echo(address)
        typer.echo("Your threads are at this address, for whoever has it. Ctrl+C ends it.", err=True)
        if not no_open:  # some browsers hold up the program that opens them
            threading.Thread(target=_open, args=(invitation,), daemon=True).start()

    with usage_errors():
        from mcp_server.serving import run_page

        run_page(server, port, show)


def _open(invitation: str) -> None:
    if not webbrowser.open(invitation):
        typer.echo("No browser could be opened here: open the address in one.", err=True)
