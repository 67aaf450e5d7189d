"""Serves a server to the world, over stdio or HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from mcp_server.config import http_token
from mcp_server.ending import leave_soon, until_stopped
from mcp_server.errors import InvalidArgument
from mcp_server.handlers.http import http_app, is_loopback
from mcp_server.server import HomeServer

# Requests over HTTP that are under way when the server is told to end: long polls and streams never end by themselves.
_GRACE_SECONDS = 2


def run(
    server: HomeServer,
    address: tuple[str, int] | None,
    more_hosts: Sequence[str] = (),
    session_timeout: float = 1_800.0,
) -> None:
    """Serve stdio, or Streamable HTTP on an address, until the client or a signal ends it; the threads are closed then.

    Raises:
        InvalidArgument: an address that others can reach, and no token to keep them out.
    """
    if address is None:
        server.runtime.closed = leave_soon
        anyio.run(until_stopped, server.run_stdio_async)
        return
    host, port = address
    token = http_token()
    if token is None and not is_loopback(host):
        raise InvalidArgument(
            "--http",
            f"{host}:{port}",
            "others can reach this address, and no token keeps them out",
            "set THREADSTORE_TOKEN, or serve on 127.0.0.1",
        )
    import uvicorn

    server.runtime.closed = leave_soon
    config = uvicorn.Config(
        http_app(server, host, token, more_hosts, session_timeout),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listening = uvicorn.Server(config)
    # SIGINT and SIGTERM it takes itself, and repeats them once it has ended.
    anyio.run(until_stopped, listening.serve, lambda: setattr(listening, "should_exit", True))
