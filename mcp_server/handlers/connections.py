"""Which connection a request came on, and the end of it. The one place that looks behind the SDK's session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_server.handlers.app import AnyContext

Leave = Callable[[str], Awaitable[None]]


class Connections:
    """Connections that have an end of their own.

    On stdio and in memory that is the lifespan that the request runs in. Over HTTP it is a legacy session; a request of
    the 2026-07-28 era belongs to no connection there.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self.leave: Leave | None = None

    def of(self, ctx: AnyContext) -> str | None:
        """The key of the request's connection, None if it has none."""
        request = ctx.request_context
        if request.request is None:
            return str(request.lifespan_context)
        connection = _connection(request.session)
        if connection.protocol_version in MODERN_PROTOCOL_VERSIONS or connection.session_id is None:
            return None
        key = f"http:{connection.session_id}"
        if key not in self._known:
            self._known.add(key)
            connection.exit_stack.push_async_callback(self._ended, key)
        return key

    async def _ended(self, key: str) -> None:
        self._known.discard(key)
        if self.leave is not None:
            await self.leave(key)

    def key(self, session: ServerSession) -> int:
        """Tells one connection from another while both stand."""
        return id(_connection(session))

    def on_close(self, session: ServerSession, callback: Callable[[], None]) -> None:
        _connection(session).exit_stack.callback(callback)


def _connection(session: ServerSession) -> Connection:
    return session._connection  # pyright: ignore[reportPrivateUsage] -- the SDK shows it to nobody else
