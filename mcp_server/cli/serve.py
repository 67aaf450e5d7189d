"""`threadstore serve`: the MCP server, over stdio or HTTP."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import typer

from mcp_server.cli.options import HomeOption, ReadOnlyOption, VerboseOption, check_home, usage_errors
from mcp_server.cli.starting import log_to_stderr, server_of

HttpOption = Annotated[
    str | None, typer.Option(help="Serve Streamable HTTP on this address instead of stdio.", metavar="HOST:PORT")
]
NoStateOption = Annotated[bool, typer.Option("--no-state", help="Work from the files alone, without a state DB.")]
CodexDbOption = Annotated[
    Literal["follow", "read-only"] | None,
    typer.Option(
        help="follow: update Codex's own database when a thread is archived, named or given git info. "
        "read-only: never change it (default: THREADSTORE_CODEX_DB, else follow)."
    ),
]
ToolsetOption = Annotated[
    str | None,
    typer.Option(
        "--toolset", metavar="NAMES", help="Offer only these tools, of find,record,keep,admin (default: all)."
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


def serve(
    home: HomeOption = None,
    http: HttpOption = None,
    no_state: NoStateOption = False,
    read_only: ReadOnlyOption = False,
    toolset: ToolsetOption = None,
    codex_db: CodexDbOption = None,
    unload_delay: DelayOption = 0.0,
    session_timeout: SessionOption = 1_800.0,
    allow_host: AllowHostOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve MCP over stdio, or over Streamable HTTP (beyond this machine only with THREADSTORE_TOKEN set)."""
    log_to_stderr(verbose=verbose, ours=logging.INFO)

    from mcp_server.config import Config

    address = _address(http) if http is not None else None
    with usage_errors():
        config = Config.load(
            home,
            state=not no_state,
            unload_delay=unload_delay,
            read_only=read_only,
            codex_db=codex_db,
            toolsets=toolset,
        )
    check_home(config, new=not read_only)
    server = server_of(config)
    with usage_errors():
        from mcp_server.serving import run

        run(server, address, allow_host or (), session_timeout)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT; pass one such as 127.0.0.1:8765", param_hint="--http")
    return host.strip("[]"), int(port)
