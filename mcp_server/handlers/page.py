"""The page that shows the threads, as HTTP serves it: confined by headers, and to allowed hosts alone.

It holds no secret, so it needs no token. The key to the threads stands in the fragment of its address, which browsers
send to nobody, and the page sends it with each request to `/mcp`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.threads.built_page import FILE, content_security_policy

PATH = "/"
_ALLOWED = ("img-src data: blob:", "connect-src 'self'", "frame-ancestors 'none'")

Answer = Callable[[Request], Response]


class Page:
    """One HTML file in memory. It may run its own scripts and styles, and connect to its own server, and no more."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._headers = {
            "ETag": self._etag,
            "Cache-Control": "no-cache",  # ask each time, so that a newer version is shown at once
            "Content-Security-Policy": content_security_policy(content.decode(), *_ALLOWED),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    @classmethod
    def of_package(cls) -> Page:
        return cls(FILE.read_bytes())

    def answer(self, request: Request) -> Response:
        """The page, or 304 if the browser has it already."""
        held = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self._etag in held:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, media_type="text/html", headers=self._headers)


class Invitation:
    """A link that leads to the page with its key, once.

    A browser is started with it, and other users of the machine can read what a process was started with.
    """

    def __init__(self, key: str) -> None:
        self.path = f"/open/{secrets.token_urlsafe(16)}"
        self._key, self._used = key, False

    def answer(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        if self._used:
            told = "This link was used before. Open the address that `threadstore browse` has printed.\n"
            return PlainTextResponse(told, 410, headers)
        self._used = request.method == "GET"
        return Response(status_code=303, headers=headers | {"Location": f"{PATH}#key={self._key}"})


class WithoutToken:
    """Answers these paths to whoever asks this machine by an allowed name. All else goes to the app."""

    def __init__(self, app: ASGIApp, paths: Mapping[str, Answer], security: TransportSecuritySettings) -> None:
        self._app, self._paths = app, paths
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._paths.get(scope["path"]) if scope["type"] == "http" else None
        if answer is None or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        response = await self._security.validate_request(request) or answer(request)
        await response(scope, receive, send)
