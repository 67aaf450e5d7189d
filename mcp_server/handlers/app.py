"""What every handler needs: the service, the caller, and the wait for the state handle."""

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

_REPORT_SECONDS = 1.0
_META_THREAD_ID = "threadId"  # what Codex sends with a tool call
_META_CALLER_ID = "threadstore/callerThreadId"


class Examine(Protocol):
    """Compares the index with the files, and repairs the index."""

    def __call__(self, *, repair: bool, dry_run: bool, deep: bool | None = None) -> StatusResult: ...


@dataclass
class App:
    """The parts of a server, put together by the composition root.

    `released` is set when the state handle is attached, or when opening it has failed. A call waits for that while the
    index is being built. After `wait_seconds` without progress, the call works from the files.
    """

    service: ThreadService
    feed: EventFeed
    examine: Examine
    connection_of: Callable[[AnyContext], str | None]
    wait_seconds: float = 30.0
    home_notes: Callable[[], list[str]] | None = None
    released: anyio.Event = field(default_factory=anyio.Event)
    _progress: tuple[int, int] = (0, 0)
    _reported: tuple[int, int] = (-1, -1)
    _advanced: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.events = EventReader(self.service, self.feed)

    def release_calls(self) -> None:
        """Let waiting calls go on: the handle is attached, or opening it has failed for now."""
        self.released.set()
        self._wake()

    def advance(self, done: int, found: int) -> None:
        """Note the progress of the index, in rollouts."""
        self._progress = (done, found)
        self._wake()

    def _wake(self) -> None:
        self._advanced.set()
        self._advanced = anyio.Event()

    async def ready(self, ctx: AnyContext | None = None) -> ThreadService:
        """The service, once the handle is attached or the wait is over. Reports the index's progress to the client."""
        if not self.released.is_set():
            await self.early_answer(ctx, _no_early_answer)
        return self.service

    async def early_answer(
        self, ctx: AnyContext | None, look: Callable[[], T | None], patience: float = 0.0
    ) -> T | None:
        """An answer from the part of the index that is built so far, as soon as `look` gives one.

        None once the handle is attached or the wait is over. `look` is not called in the first `patience` seconds.
        """
        if self.released.is_set():
            return None
        seen, patient_until = self._progress, anyio.current_time() + patience
        with anyio.move_on_after(self.wait_seconds) as bound:
            while not self.released.is_set():
                if self._progress != seen:  # reading all files would take as long as the index does
                    seen, bound.deadline = self._progress, anyio.current_time() + self.wait_seconds
                advanced = self._advanced  # taken before `look`, so that no progress is missed
                if anyio.current_time() >= patient_until and (found := await in_worker(look)) is not None:
                    return found
                with anyio.move_on_after(_REPORT_SECONDS):
                    await advanced.wait()
                if ctx is not None and not self.released.is_set():
                    await self._report_progress(ctx)
        return None

    async def with_home_notes(self, listed: ThreadListResult) -> ThreadListResult:
        """The list; if it is empty, with notes on the home that may explain why."""
        if listed.total or self.home_notes is None:
            return listed
        notes = [f"{note}." for note in await in_worker(self.home_notes)]
        return replace(listed, note=" ".join([*([listed.note] if listed.note else []), *notes]) or None)

    async def _report_progress(self, ctx: AnyContext) -> None:
        done, found = self._progress
        if self._progress == self._reported:
            return
        self._reported = self._progress
        with contextlib.suppress(MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await ctx.report_progress(done, found or None, "building the index of threads")

    def host_thread(self, ctx: AnyContext) -> str | None:
        """The thread that the client's host names as the caller in `_meta`. This home may not know it."""
        return next(iter(_caller_ids(ctx)), None)

    def caller(self, ctx: AnyContext, caller_thread_id: str | None = None) -> Caller:
        """Who calls. The host's `_meta` takes precedence over the model's parameter; blank or non-text ids are
        ignored."""
        params = ctx.session.client_params
        return Caller(
            client_name=params.client_info.name if params else "unknown",
            client_version=params.client_info.version if params else "",
            connection=self.connection_of(ctx),
            thread_names=_caller_ids(ctx, caller_thread_id),
        )


def _caller_ids(ctx: AnyContext, parameter: str | None = None) -> tuple[str, ...]:
    """What may name the calling thread, in order of precedence."""
    meta: Mapping[str, Any] = ctx.request_context.meta or {}
    ids = (meta.get(_META_THREAD_ID), meta.get(_META_CALLER_ID), parameter)
    return tuple(one for one in ids if isinstance(one, str) and one.strip())


def _no_early_answer() -> None:
    """A `look` for calls that need the whole index."""
