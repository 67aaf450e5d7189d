"""A call with a `request_id` is done once: whose the id is, and what a repeated call is answered.

A claim goes on record, durably, before the work; the outcome replaces it afterwards. In between the call can't be
cancelled, so it makes no difference whether its client still waits. A repeated call
- waits while the first is under way, and gets its result;
- gets the result, also from memory as long as the state DB does not take it;
- is done if the first was refused, or was cancelled before its work began;
- finds the claim alone where the process was killed within the work. What may be repeated without harm is done again.
  Else the answer is `outcome_unknown`, with the way to find out: nothing is done a second time.
Not covered: a server without a state DB forgets its receipts when it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, wraps
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from mcp_types import CallToolResult

from mcp_server.errors import OutcomeUnknown, RequestIdReused, RequestInProgress, ThreadNotFound, ThreadstoreError
from mcp_server.handlers.app import AnyContext, App
from mcp_server.handlers.connections import stands
from mcp_server.handlers.workers import in_worker
from mcp_server.models.records import Receipt
from mcp_server.models.times import rfc3339
from mcp_server.storage.process_liveness import has_died, worker_name
from mcp_server.threads.receipts import Key
from mcp_server.threads.service import ThreadService

MAX_REQUEST_ID = 200
_META_CLIENT_ID = "threadstore/clientId"
# So long a later connection of the same client inherits the receipts of one that ended.
_INHERITED_MS = 3_600_000
# A claim of another process that seems alive, and may be a later one with its number.
_ABANDONED_MS = 600_000
_WAIT_SECONDS = 50.0
_LOOK_SECONDS = 0.1
# Where the clock of files and that of claims may differ.
_CLOCK_MS = 1_000

# The claims of this process are kept on the event loop alone, so they need no lock.
_in_flight: set[Key] = set()
"""Those whose work is under way."""
_turns: dict[Key, anyio.Lock] = {}
"""Those that somebody asks for, or waits to ask for."""

Work = Callable[[], Awaitable[CallToolResult]]


@asynccontextmanager
async def once(key: Key) -> AsyncGenerator[None]:
    """Calls with the same key come one after the other."""
    lock = _turns.setdefault(key, anyio.Lock())
    try:
        async with lock:
            yield
    finally:
        if not lock.statistics().tasks_waiting and not lock.locked():
            _turns.pop(key, None)


def whose(app: App, ctx: AnyContext) -> tuple[str, str]:
    """Whose request ids a call's are, as (client, connection): "1" of two clients are two ids, and a client that comes
    back finds its own.

    - A call whose host says from which thread it comes (`_meta.threadId`) belongs to that thread, over whatever
      connection: an agent that is resumed goes on with its ids.
    - Else it belongs to its connection: a process on stdio, a session over HTTP. Two that stand at the same time share
      nothing, also of the same client. What a connection leaves behind is inherited, for an hour, by a later one of
      the same name and version that has the same parent process (stdio), or address and credentials (HTTP).
    - Over HTTP, a request of 2026-07-28 has no connection: it belongs to that name, version, address and credentials.
      Instances of one client on one machine can't be told apart there, unless they say which they are in
      `_meta["threadstore/clientId"]`.
    """
    meta = ctx.request_context.meta or {}
    params = ctx.session.client_params
    client = [params.client_info.name, params.client_info.version] if params else ["", ""]
    for kind, name in (("thread", app.host_thread(ctx)), ("client", meta.get(_META_CLIENT_ID))):
        if isinstance(name, str) and name.strip():
            return json.dumps([kind, name.strip(), *client]), ""
    request = ctx.request_context.request
    if request is None:
        place = ["parent", str(os.getppid())]
    else:
        credentials = hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()
        place = ["address", request.client.host if request.client else "", credentials[:16]]
    return json.dumps([*place, *client]), app.connection_of(ctx) or ""


@dataclass
class Request:
    """One call with a request id, as it is claimed and settled."""

    service: ThreadService
    claim: Receipt
    repeatable: bool
    """Whether it does no harm to do it again."""
    arguments: dict[str, Any]
    abandoned: Receipt | None = None

    async def earlier(self) -> CallToolResult | None:
        """The result of an earlier call with the id; None if this one is to be done.

        Raises:
            RequestIdReused: that was another call.
            RequestInProgress: it is under way in another process, and takes longer than one waits.
            OutcomeUnknown: it was cut short.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        find = self.service.receipts.find
        while (receipt := self._mine(await in_worker(find, self.claim.client, self._id))) is not None:
            if (receipt.tool, receipt.fingerprint) != (self.claim.tool, self.claim.fingerprint):
                raise RequestIdReused(self._id, receipt.tool)
            if receipt.result is not None:
                return CallToolResult.model_validate(receipt.result)
            if not _under_way(receipt):
                if not self.repeatable and not await in_worker(self._left_no_trace, receipt):
                    raise OutcomeUnknown(self._id, receipt.tool, rfc3339(receipt.at_ms), self._way_to_look())
                self.abandoned = receipt if receipt.key == self.claim.key else None
                return None
            if time.monotonic() > deadline:
                raise RequestInProgress(self._id, receipt.tool, rfc3339(receipt.at_ms))
            await anyio.sleep(_LOOK_SECONDS)
        return None

    @property
    def _id(self) -> str:
        return self.claim.request_id

    def _mine(self, receipts: list[Receipt]) -> Receipt | None:
        """The newest that is this connection's, or of one that ended a while ago."""
        for receipt in receipts:
            if receipt.connection == self.claim.connection:
                return receipt
            young = self.claim.at_ms - receipt.at_ms < _INHERITED_MS
            if young and receipt.connection and not _stands(receipt):
                return receipt
        return None

    def _left_no_trace(self, receipt: Receipt) -> bool:
        """Whether the work can't have been done: a thread that it would have written to is as it was before, or was
        only in the memory of a process that is gone."""
        if receipt.tool == "thread_start":
            return _has_died(receipt.process)
        if not receipt.tool.startswith("turn_"):
            return False
        try:
            thread_id = self.service.catalog.resolve(str(self.arguments.get("thread_id")))
            thread = self.service.catalog.known(thread_id)
        except ThreadNotFound:
            return True
        except ThreadstoreError:
            return False
        return thread.updated_at_ms < receipt.at_ms - _CLOCK_MS

    def _way_to_look(self) -> str:
        if self.claim.tool in ("thread_start", "thread_fork"):
            return "thread_list with sort_key=created_at shows the newest threads"
        thread_id = self.arguments.get("thread_id")
        return f"thread_read with thread_id={thread_id}, include_turns and items_view=full shows what is there"

    async def run(self, work: Work) -> CallToolResult:
        """The work between its claim and its outcome. The caller shields it from being cancelled."""
        standing = await in_worker(self.service.receipts.claim, self.claim, self.abandoned)
        if standing != self.claim:  # another process was faster
            raise RequestInProgress(self._id, standing.tool, rfc3339(standing.at_ms))
        _in_flight.add(self.claim.key)
        try:
            result = await work()
        except ThreadstoreError:
            await in_worker(self.service.receipts.release, self.claim)
            raise
        else:
            saved = result.model_dump(mode="json", by_alias=True, exclude_none=True)
            await in_worker(self.service.receipts.settle, replace(self.claim, result=saved))
            return result
        finally:
            _in_flight.discard(self.claim.key)


current: ContextVar[Request | None] = ContextVar("current", default=None)
"""The request whose tool is being called, if it has an id."""


def request_of(app: App, ctx: AnyContext, tool: str, arguments: dict[str, Any], *, repeatable: bool) -> Request | None:
    """The call as a request with an id, None if it is none: it has no id, or only says what it would do."""
    request_id = arguments.get("request_id")
    if not isinstance(request_id, str) or not request_id or arguments.get("dry_run") is True:
        return None
    if len(request_id) > MAX_REQUEST_ID or any(0xD800 <= ord(char) < 0xE000 for char in request_id):
        return None  # which the tool refuses
    fingerprint = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
    client, connection = whose(app, ctx)
    now_ms = time.time_ns() // 1_000_000
    claim = Receipt(client, connection, request_id, tool, fingerprint, _this_process(), now_ms)
    return Request(app.service, claim, repeatable, arguments)


def to_its_end(fn: Callable[..., Awaitable[CallToolResult]]) -> Callable[..., Awaitable[CallToolResult]]:
    """The function of a tool that changes something. Once it has begun it can't be cancelled, since it must not stop
    between file and row; until then, and so while a person is asked, it can. With a request id it is done once."""

    @wraps(fn)
    async def uncancelled(**arguments: Any) -> CallToolResult:
        await checkpoint_if_cancelled()
        request = current.get()
        result: CallToolResult | None = None
        with anyio.CancelScope(shield=True):
            result = await (request.run(lambda: fn(**arguments)) if request else fn(**arguments))
        assert result is not None
        return result

    return uncancelled


def _this_process() -> str:
    return _worker_of(os.getpid())  # a fork is another process


@cache
def _worker_of(_pid: int) -> str:
    return worker_name()


def _has_died(process: str) -> bool:
    """Whether a process is gone. One with our own number is: in a container every server has the same."""
    if process == _this_process():
        return False
    return process.partition(":")[0] == str(os.getpid()) or has_died(process)


def _under_way(receipt: Receipt) -> bool:
    if receipt.process == _this_process():
        return receipt.key in _in_flight
    young = time.time_ns() // 1_000_000 - receipt.at_ms < _ABANDONED_MS
    return young and not _has_died(receipt.process)


def _stands(receipt: Receipt) -> bool:
    """Whether the connection that a receipt belongs to has not ended. What other processes have can't be seen."""
    return stands(receipt.connection) if receipt.process == _this_process() else not _has_died(receipt.process)
