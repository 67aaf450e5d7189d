"""Streamable HTTP: who may connect. The SDK checks Host and Origin; this module checks the token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import JSONRPCError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.handlers.malformed import check_body
from mcp_server.handlers.page import Answer, WithoutToken

# Room for a text of 10 MB with its JSON escapes. Larger bodies get 413 before they are parsed.
MAX_BODY_BYTES = 32 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether a server on this address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def transport_security(host: str, more_hosts: Sequence[str] = ()) -> TransportSecuritySettings:
    """The allowed Host and Origin headers: loopback names, the address served on, and `more_hosts`."""
    names = [*_LOOPBACK, *more_hosts]
    if host not in ("0.0.0.0", "::"):
        names.append(f"[{host}]" if ":" in host else host)
    else:
        names += [socket.gethostname(), socket.getfqdn()]
    hosts = [form for name in dict.fromkeys(names) for form in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in hosts],
    )


class RejectMalformed:
    """Rejects a body that is no message, with an error that carries the id of its request.

    The SDK's own error carries no id and less detail, and for 2026-07-28 the SDK accepts lone surrogates.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" and scope["method"] == "POST" else Headers()
        if (
            not headers.get("content-type", "").startswith("application/json")
            or _content_length(headers) > MAX_BODY_BYTES
        ):
            await self._app(scope, receive, send)
            return
        body, received = await _body_of(receive)
        if body is not None and (fault := check_body(body)) is not None:
            answers = fault.answers() or [JSONRPCError(jsonrpc="2.0", id=None, error=fault.error)]
            bodies = [answer.model_dump(mode="json", exclude_unset=True) for answer in answers]
            await JSONResponse(bodies[0] if len(bodies) == 1 else bodies, 400)(scope, receive, send)
            return
        if body is not None and body.startswith(BOM_UTF8):
            body = b" " * len(BOM_UTF8) + body[len(BOM_UTF8) :]  # keeps the length that Content-Length gives
            received = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return received.pop(0) if received else await receive()

        await self._app(scope, replay, send)


def _content_length(headers: Headers) -> int:
    value = headers.get("content-length", "")
    return int(value) if value.isdecimal() and len(value) < 20 else 0


async def _body_of(receive: Receive) -> tuple[bytes | None, list[Message]]:
    """The body (None if it is too long or the client disconnected), and the ASGI messages that were received."""
    received, parts, size = list[Message](), list[bytes](), 0
    while True:
        received.append(message := await receive())
        if message["type"] != "http.request":
            return None, received
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None, received
        if not message.get("more_body", False):
            return b"".join(parts), received


class RequireToken:
    """Answers 401 to every request without `Authorization: Bearer <token>`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._has_token(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = {"error": "unauthorized", "message": "send the server's token as Authorization: Bearer <token>"}
        await JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Compare in constant time, so that the response time reveals nothing about the token.
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def http_app(
    server: MCPServer[Any],
    host: str,
    token: str | None,
    more_hosts: Sequence[str],
    session_timeout: float,
    without_token: Mapping[str, Answer] | None = None,
) -> ASGIApp:
    """The ASGI app of a server, protected for the address that it is served on. A legacy session ends, and so leaves
    its threads, after `session_timeout` seconds without a request or an open stream. The paths in `without_token` need
    no token."""
    security = transport_security(host, more_hosts)
    app = server.streamable_http_app(
        transport_security=security,
        max_request_body_size=MAX_BODY_BYTES,
        session_idle_timeout=session_timeout,
        host=host,
    )
    answering = RejectMalformed(app)
    protected = RequireToken(answering, token) if token else answering
    return WithoutToken(protected, without_token, security) if without_token else protected
