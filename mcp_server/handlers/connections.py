"""Which connection a request belongs to, and when that ends. Only this module looks behind the SDK's session."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_server.handlers.app import AnyContext
from mcp_server.handlers.workers import in_worker

Ended = Callable[[str], None]


_open_keys: set[str] = set()
"""The open connections of this process."""


def is_open(key: str) -> bool:
    """Whether a connection of this process is open."""
    return key in _open_keys


class Connections:
    """The connections whose end the server notices.

    On stdio and in memory a connection is the lifespan of the server. Over HTTP it is a legacy session; requests of
    protocol 2026-07-28 belong to no connection there.
    """

    def __init__(self) -> None:
        self.on_ended: Ended | None = None

    def begin(self, key: str | None = None) -> str:
        """Open a connection and return its key, a new one if none is given."""
        key = key or f"lifespan:{uuid.uuid4().hex}"
        _open_keys.add(key)
        return key

    def end(self, key: str) -> None:
        """Close a connection."""
        _open_keys.discard(key)

    def of(self, ctx: AnyContext) -> str | None:
        """The key of the request's connection, None if it has none."""
        request = ctx.request_context
        if request.request is None:
            return str(request.lifespan_context)
        connection = _connection(request.session)
        if connection.protocol_version in MODERN_PROTOCOL_VERSIONS or connection.session_id is None:
            return None
        key = f"http:{connection.session_id}"
        if key not in _open_keys:
            self.begin(key)
            connection.exit_stack.push_async_callback(self._ended, key)
        return key

    async def _ended(self, key: str) -> None:
        self.end(key)
        if self.on_ended is not None:
            await in_worker(self.on_ended, key)

    def key(self, session: ServerSession) -> int:
        """A number that is unique among open connections."""
        return id(_connection(session))

    def on_close(self, session: ServerSession, callback: Callable[[], None]) -> None:
        _connection(session).exit_stack.callback(callback)


def _connection(session: ServerSession) -> Connection:
    return session._connection  # pyright: ignore[reportPrivateUsage] -- the SDK has no public way
