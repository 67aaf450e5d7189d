"""What every handler works with: the service, who calls, and the wait for the state handle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from msgspec.structs import replace

from mcp_server.handlers.event_feed import EventFeed
from mcp_server.handlers.event_reader import EventReader
from mcp_server.handlers.workers import in_worker
from mcp_server.models.params import Caller
from mcp_server.models.results import StatusResult, ThreadListResult
from mcp_server.threads.service import ThreadService

AnyContext = Context[Any, Any]
T = TypeVar("T")

_TELL_SECONDS = 1.0
_META_THREAD_ID = "threadId"  # what Codex sends with a tool call
_META_CALLER_ID = "threadstore/callerThreadId"


class Examine(Protocol):
    """How the index and the files stand, and the repair of it."""

    def __call__(self, *, repair: bool, dry_run: bool, deep: bool | None = None) -> StatusResult: ...


@dataclass
class App:
    """The server's parts as the composition root put them together.

    `opened` is set once the state handle is attached or given up. A call waits for that as long as the index grows;
    once it has stood still for `wait_seconds`, the call works from the files.
    """

    service: ThreadService
    feed: EventFeed
    examine: Examine
    connection_of: Callable[[AnyContext], str | None]
    wait_seconds: float = 30.0
    notes_of_home: Callable[[], list[str]] | None = None
    opened: anyio.Event = field(default_factory=anyio.Event)
    _progress: tuple[int, int] = (0, 0)
    _told: tuple[int, int] = (-1, -1)
    _advanced: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.events = EventReader(self.service, self.feed)

    def open(self) -> None:
        """The handle is there, or is given up for now."""
        self.opened.set()
        self._wake()

    def advance(self, done: int, found: int) -> None:
        """The index has come so far, in rollouts."""
        self._progress = (done, found)
        self._wake()

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = anyio.Event()

    async def ready(self, ctx: AnyContext | None = None) -> ThreadService:
        """The service, once the handle is there or the wait is over. Tells the client how far the index has come."""
        if not self.opened.is_set():
            await self.early(ctx, _nothing)
        return self.service

    async def early(self, ctx: AnyContext | None, look: Callable[[], T | None], patience: float = 0.0) -> T | None:
        """What `look` finds as soon as it finds something in the part of the index that is there; None once the handle
        is there or the wait is over. It looks once `patience` seconds have gone by."""
        seen, patient_until = self._progress, anyio.current_time() + patience
        with anyio.move_on_after(self.wait_seconds) as bound:
            while not self.opened.is_set():
                if self._progress != seen:  # to read all the files would take no less than to wait for the index
                    seen, bound.deadline = self._progress, anyio.current_time() + self.wait_seconds
                advanced = self._advanced  # before the look: what comes meanwhile is not missed
                if anyio.current_time() >= patient_until and (found := await in_worker(look)) is not None:
                    return found
                with anyio.move_on_after(_TELL_SECONDS):
                    await advanced.wait()
                if ctx is not None and not self.opened.is_set():
                    await self._tell(ctx)
        return None

    async def noted(self, listed: ThreadListResult) -> ThreadListResult:
        """A list; of an empty one it is said what the home has to do with that."""
        if listed.total or self.notes_of_home is None:
            return listed
        return replace(listed, note=" ".join(f"{note}." for note in await in_worker(self.notes_of_home)) or None)

    async def _tell(self, ctx: AnyContext) -> None:
        done, found = self._progress
        if self._progress == self._told:
            return
        self._told = self._progress
        with contextlib.suppress(MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await ctx.report_progress(done, found or None, "building the index of threads")

    def host_thread(self, ctx: AnyContext) -> str | None:
        """The thread that the client's host says a call comes from, whether this home knows it or not."""
        meta: Mapping[str, Any] = ctx.request_context.meta or {}
        names = (meta.get(_META_THREAD_ID), meta.get(_META_CALLER_ID))
        return next((name for name in names if isinstance(name, str) and name.strip()), None)

    def caller(self, ctx: AnyContext, caller_thread_id: str | None = None) -> Caller:
        """Who calls. What the client's host says in `_meta` goes before what the model says in a parameter; what can't
        be an id says nothing."""
        params = ctx.session.client_params
        meta: Mapping[str, Any] = ctx.request_context.meta or {}
        names = (meta.get(_META_THREAD_ID), meta.get(_META_CALLER_ID), caller_thread_id)
        return Caller(
            client_name=params.client_info.name if params else "unknown",
            client_version=params.client_info.version if params else "",
            connection=self.connection_of(ctx),
            thread_names=tuple(name for name in names if isinstance(name, str) and name.strip()),
        )


def _nothing() -> None:
    """There is nothing to be had before the whole index is there."""
