"""Thread events -> MCP resource updates, to `subscriptions/listen` and to legacy `resources/subscribe` alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ResourceUpdated, SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from mcp_server.handlers.connections import Connections
from mcp_server.models.event import ThreadEvent

logger = logging.getLogger(__name__)

# A connection may watch this many resources; one more is refused.
_MAX_URIS = 1_000
# A client that does not take an update within this time loses its subscriptions; it catches up with events_read.
_SEND_SECONDS = 5.0


def uris_of(event: ThreadEvent) -> list[str]:
    """The resources that an event changes."""
    thread = f"thread://{event.thread_id}"
    uris = [thread]
    if event.type.startswith(("turn/", "item/")):
        uris += [f"{thread}/turns", f"{thread}/transcript"]
    else:
        uris.append(f"{thread}/tree")
    if event.type in ("thread/started", "thread/closed", "thread/status/changed"):
        uris.append("threads://loaded")
    return [*uris, "threads://recent", "threads://events"]


class ResourceNotifier:
    """Publishes each change once per resource, however many events of a batch concern it."""

    def __init__(self, bus: SubscriptionBus, connections: Connections) -> None:
        self._bus = bus
        self._connections = connections
        self._watched: dict[str, dict[int, ServerSession]] = {}

    async def publish(self, events: Sequence[ThreadEvent]) -> None:
        for uri in dict.fromkeys(uri for event in events for uri in uris_of(event)):
            await self._bus.publish(ResourceUpdated(uri=uri))
            for key, session in list(self._watched.get(uri, {}).items()):
                with anyio.move_on_after(_SEND_SECONDS) as scope:
                    await session.send_resource_updated(uri)
                if scope.cancelled_caught:
                    logger.warning("a client did not take updates; its resource subscriptions are dropped")
                    self._forget(key)

    def _forget(self, key: int) -> None:
        for watchers in self._watched.values():
            watchers.pop(key, None)

    def serve_legacy(self, server: MCPServer[Any]) -> None:
        """Register `resources/subscribe` and `resources/unsubscribe`, which 2025 clients use."""

        async def subscribe(ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
            key = self._connections.key(ctx.session)
            uri = str(params.uri)
            if sum(key in watchers for watchers in self._watched.values()) >= _MAX_URIS:
                raise MCPError(INVALID_PARAMS, f"a connection may watch {_MAX_URIS} resources; unsubscribe from some")
            if not any(key in watchers for watchers in self._watched.values()):
                self._connections.on_close(ctx.session, lambda: self._forget(key))
            self._watched.setdefault(uri, {})[key] = ctx.session
            return EmptyResult()

        async def unsubscribe(ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
            self._watched.get(str(params.uri), {}).pop(self._connections.key(ctx.session), None)
            return EmptyResult()

        lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] -- MCPServer has no public way yet
        lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
        lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
