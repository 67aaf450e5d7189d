"""Runs a server over stdio or HTTP."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from mcp_server.config import http_token
from mcp_server.errors import InvalidArgument
from mcp_server.handlers import page
from mcp_server.handlers.http import http_app, is_loopback
from mcp_server.handlers.page import Invitation, Page
from mcp_server.server import HomeServer
from mcp_server.shutdown import exit_soon, serve_until_signalled

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# How long running HTTP requests may go on at shutdown: long polls and streams never end by themselves.
_GRACE_SECONDS = 2
_TOKEN_CHARS = 16
_PAGE_HOST = "127.0.0.1"
_SESSION_SECONDS = 1_800.0
_KEY_BYTES = 32
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

logger = logging.getLogger(__name__)


def run(
    server: HomeServer,
    address: tuple[str, int] | None,
    more_hosts: Sequence[str] = (),
    session_timeout: float = _SESSION_SECONDS,
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
    listening = open_sockets(host, port, "--http")
    where = url_of(host, listening[0].getsockname()[1])
    hint = ", where clients send THREADSTORE_TOKEN as a bearer token" if token else ""

    def listens() -> None:
        logger.info("MCP over HTTP at %s%s; stop it with Ctrl+C or a signal to process %d", where, hint, os.getpid())

    _serve_http(server, http_app(server, host, token, more_hosts, session_timeout), listening, listens)


def run_page(server: HomeServer, port: int, show: Callable[[str, str], None]) -> None:
    """Serve the page that shows the threads, and MCP for it, on this machine alone, until a signal ends it.

    Once the server listens, `show` gets the page's address, which ends in a key that is new each time, and a link that
    leads there once. Whoever has no key reads no thread.

    Raises:
        InvalidArgument: the server can't listen on the port.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    invitation = Invitation(key)
    paths = {page.PATH: Page.of_package().answer, invitation.path: invitation.answer}
    listening = open_sockets(_PAGE_HOST, port, "--port")
    origin = f"http://{_PAGE_HOST}:{listening[0].getsockname()[1]}"
    app = http_app(server, _PAGE_HOST, key, (), _SESSION_SECONDS, paths)
    _serve_http(server, app, listening, lambda: show(f"{origin}{page.PATH}#key={key}", origin + invitation.path))


def _serve_http(server: HomeServer, app: ASGIApp, listening: list[socket.socket], listens: Callable[[], None]) -> None:
    """Serve an app on sockets that listen already, until a signal arrives. Then close the threads."""
    import uvicorn

    server.runtime.on_closed = exit_soon
    http = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS))

    async def serve() -> None:
        listens()
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


def open_sockets(host: str, port: int, option: str) -> list[socket.socket]:
    """Listening sockets, one for each address of the host. Port 0 takes any free port.

    Raises:
        InvalidArgument: the server can't listen where `option` says, with the reason.
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
        raise InvalidArgument(option, f"{host}:{port}", *_listen_problem(error)) from error
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
