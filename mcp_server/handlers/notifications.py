"""Turns thread events into MCP resource updates, for `subscriptions/listen` and legacy `resources/subscribe`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from mcp_server.handlers.connections import Connections
from mcp_server.models.event import ThreadEvent

logger = logging.getLogger(__name__)

# `EventFeed.subscribe`: follows the log until the returned function is called.
FollowLog = Callable[[], Callable[[], None]]

# A client that does not take an update within this time loses its subscriptions. It can catch up with events_read.
_SEND_SECONDS = 5.0


def uris_of(event: ThreadEvent) -> list[str]:
    """The resources that an event changes."""
    thread = f"thread://{event.thread_id}"
    uris = [thread]
    if event.type.startswith(("turn/", "item/")):
        uris += [f"{thread}/turns", f"{thread}/transcript", f"{thread}/transcript/tools"]
    else:
        uris.append(f"{thread}/tree")
    if event.type in ("thread/started", "thread/closed", "thread/status/changed"):
        uris.append("threads://loaded")
    return [*uris, "threads://recent", "threads://events"]


class FollowedBus(InMemorySubscriptionBus):
    """The SDK's bus. It follows the log while a listen stream is open."""

    def __init__(self, follow_log: FollowLog) -> None:
        super().__init__()
        self._follow_log = follow_log

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        leave, unsubscribe = self._follow_log(), super().subscribe(listener)

        def end() -> None:
            unsubscribe()
            leave()

        return end


@dataclass
class _WatchingClient:
    session: ServerSession
    leave: Callable[[], None]
    uris: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How many resources may be watched."""

    by_one: int = 1_000
    by_all: int = 10_000


class Watchers:
    """Who watches which resource by `resources/subscribe`. The log is followed while anybody does."""

    def __init__(self, follow_log: FollowLog, limits: WatchLimits | None = None) -> None:
        self.limits = limits or WatchLimits()
        self._follow_log = follow_log
        self._known: dict[int, _WatchingClient] = {}

    def add(self, key: int, session: ServerSession, uri: str) -> bool:
        """Note that a connection watches a resource. True if it is the connection's first one.

        Raises:
            MCPError: the connection, or all of them together, already watch the maximum.
        """
        known = self._known.get(key)
        watched = known.uris if known else set[str]()
        if uri not in watched:
            limits = self.limits
            if len(watched) >= limits.by_one:
                raise _too_many(f"a connection may watch {limits.by_one} resources")
            if sum(len(watcher.uris) for watcher in self._known.values()) >= limits.by_all:
                raise _too_many(f"all connections together may watch {limits.by_all} resources")
        if known is None:
            self._known[key] = _WatchingClient(session, self._follow_log(), {uri})
            return True
        known.uris.add(uri)
        return False

    def remove(self, key: int, uri: str) -> None:
        if known := self._known.get(key):
            known.uris.discard(uri)

    def forget(self, key: int) -> None:
        if known := self._known.pop(key, None):
            known.leave()

    def of(self, uri: str) -> list[tuple[int, ServerSession]]:
        return [(key, watcher.session) for key, watcher in self._known.items() if uri in watcher.uris]


def _too_many(reason: str) -> MCPError:
    return MCPError(INVALID_PARAMS, f"{reason}; unsubscribe from some, or follow the log with events_read")


class ResourceNotifier:
    """Publishes one update per changed resource, however many events of a batch concern it."""

    def __init__(self, follow_log: FollowLog, connections: Connections) -> None:
        self.bus = FollowedBus(follow_log)
        self._connections = connections
        self.watchers = Watchers(follow_log)

    async def publish(self, events: Sequence[ThreadEvent]) -> None:
        for uri in dict.fromkeys(uri for event in events for uri in uris_of(event)):
            await self.bus.publish(ResourceUpdated(uri=uri))
            for key, session in self.watchers.of(uri):
                if not await _sent_in_time(session, uri):
                    logger.warning("a client took no updates, so its resource subscriptions were dropped")
                    self.watchers.forget(key)

    def serve_legacy(self, server: MCPServer[Any]) -> None:
        """Register `resources/subscribe` and `resources/unsubscribe` for 2025 clients."""

        async def subscribe(ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
            key = self._connections.key(ctx.session)
            if self.watchers.add(key, ctx.session, str(params.uri)):
                self._connections.on_close(ctx.session, lambda: self.watchers.forget(key))
            return EmptyResult()

        async def unsubscribe(ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
            self.watchers.remove(self._connections.key(ctx.session), str(params.uri))
            return EmptyResult()

        lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] -- MCPServer has no public way yet
        lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
        lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


async def _sent_in_time(session: ServerSession, uri: str) -> bool:
    """Whether the client took the update in time. A client that is gone does not stop the updates of others."""
    with anyio.move_on_after(_SEND_SECONDS) as scope:
        try:
            await session.send_resource_updated(uri)
        except Exception as error:
            logger.info("an update could not be sent: %r", error)
            return False
    return not scope.cancelled_caught
