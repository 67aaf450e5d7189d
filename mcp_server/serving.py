"""Runs a server over stdio or HTTP."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Sequence

import anyio

from mcp_server.config import http_token
from mcp_server.errors import InvalidArgument
from mcp_server.handlers.http import http_app, is_loopback
from mcp_server.server import HomeServer
from mcp_server.shutdown import exit_soon, serve_until_signalled

# How long running HTTP requests may go on at shutdown: long polls and streams never end by themselves.
_GRACE_SECONDS = 2
_TOKEN_CHARS = 16
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

logger = logging.getLogger(__name__)


def run(
    server: HomeServer,
    address: tuple[str, int] | None,
    more_hosts: Sequence[str] = (),
    session_timeout: float = 1_800.0,
) -> None:
    """Serve stdio, or Streamable HTTP on an address, until the client or a signal ends it. Then close the threads.

    Raises:
        InvalidArgument: the server can't listen on the address, or others can reach it and there is no good token.
    """
    if address is None:
        server.runtime.on_closed = exit_soon
        anyio.run(serve_until_signalled, server.run_stdio_async)
        return
    host, port = address
    token = http_token()
    if not is_loopback(host):
        _check_token(token, f"{host}:{port}")
    import uvicorn

    listening = open_sockets(host, port)
    server.runtime.on_closed = exit_soon
    config = uvicorn.Config(
        http_app(server, host, token, more_hosts, session_timeout),
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    http = uvicorn.Server(config)
    where = url_of(host, listening[0].getsockname()[1])
    hint = ", where clients send THREADSTORE_TOKEN as a bearer token" if token else ""

    async def serve() -> None:
        logger.info("MCP over HTTP at %s%s; stop it with Ctrl+C or a signal to process %d", where, hint, os.getpid())
        await http.serve(listening)

    # uvicorn handles SIGINT and SIGTERM itself, and raises them again when it has ended.
    anyio.run(serve_until_signalled, serve, lambda: setattr(http, "should_exit", True))


def _check_token(token: str | None, address: str) -> None:
    way_out = "set THREADSTORE_TOKEN to one of at least 16 characters, or serve on 127.0.0.1"
    if token is None:
        raise InvalidArgument("--http", address, "others can reach it, and no token keeps them out", way_out)
    if len(token) < _TOKEN_CHARS:
        reason = f"others can reach it, and could guess a token of {len(token)} characters"
        raise InvalidArgument("--http", address, reason, way_out)


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, one for each address of the host. Port 0 takes any free port.

    Raises:
        InvalidArgument: the server can't listen there, with the reason.
    """
    opened: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys((info[0], str(info[4][0])) for info in found))
        for number, (family, address) in enumerate(addresses, start=1):
            try:
                opened.append(socket.create_server((address, port), family=family))
            except OSError as error:  # localhost may resolve to ::1 on a machine without IPv6
                if error.errno not in _NO_SUCH_ADDRESS or (number == len(addresses) and not opened):
                    raise
            else:
                port = opened[0].getsockname()[1]
    except OSError as error:
        for one in opened:
            one.close()
        raise InvalidArgument("--http", f"{host}:{port}", *_listen_problem(error)) from error
    return opened


def _listen_problem(error: OSError) -> tuple[str, str]:
    if error.errno == errno.EADDRINUSE:
        return "address already in use", "stop what listens there, or pass another port (0: any that is free)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "only root may listen there", "pass a port above 1023"
    if isinstance(error, socket.gaierror) or error.errno in _NO_SUCH_ADDRESS:
        return "it is not an address of this machine", "pass 127.0.0.1, or one that `ip address` shows"
    return f"the server can't listen there ({error.strerror or error})", "pass another address"


def url_of(host: str, port: int) -> str:
    """The URL that clients connect to."""
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/mcp"
