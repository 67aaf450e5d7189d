"""A call with a `request_id` is done once: who owns the id, and what a repeated call is answered.

A durable claim is written before the work, and the outcome replaces it after the work. In between the call can't be
cancelled, so it does not matter whether its client still waits. What a repeated call finds:
- the first call is running: it waits and gets that result;
- the first call is done: it gets the stored result, from memory while the state DB can't be written;
- the first call was refused, or cancelled before its work began: it is done now;
- the process was killed during the work, so there is only the claim: an idempotent call is done again. Any other call
  gets `outcome_unknown` with a way to find out, and nothing is done twice.
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
from functools import cache, partial, wraps
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from mcp_types import CallToolResult

from mcp_server.errors import OutcomeUnknown, RequestIdReused, RequestInProgress, ThreadNotFound, ThreadstoreError
from mcp_server.handlers.app import AnyContext, App
from mcp_server.handlers.connections import is_open
from mcp_server.handlers.workers import in_worker
from mcp_server.models.records import Receipt
from mcp_server.models.times import now_ms, rfc3339
from mcp_server.storage.process_liveness import has_died, worker_name
from mcp_server.threads.receipts import Key
from mcp_server.threads.service import ThreadService
from mcp_server.threads.unit_of_work import receipt_of

MAX_REQUEST_ID = 200
_META_CLIENT_ID = "threadstore/clientId"
# For this long after a call, a later connection of the same client may use the receipts of a closed one.
_INHERIT_MS = 3_600_000
# An older claim of a live-looking process is abandoned: another process may have got the same pid.
_CLAIM_EXPIRES_MS = 600_000
_WAIT_SECONDS = 50.0
_POLL_SECONDS = 0.1
# The clock of file times and that of claims may differ by this much.
_CLOCK_MS = 1_000

# Only the event loop uses these two, so they need no lock.
_in_flight: set[Key] = set()
"""Claims of this process whose work is running."""
_locks: dict[Key, anyio.Lock] = {}
"""One lock for each key that a call uses or waits for."""

Work = Callable[[], Awaitable[CallToolResult]]
T = TypeVar("T")


@asynccontextmanager
async def one_at_a_time(key: Key) -> AsyncGenerator[None]:
    """Let calls with the same key in one after the other."""
    lock = _locks.setdefault(key, anyio.Lock())
    try:
        async with lock:
            yield
    finally:
        if not lock.statistics().tasks_waiting and not lock.locked():
            _locks.pop(key, None)


def owner_of(app: App, ctx: AnyContext) -> tuple[str, str]:
    """The owner of a call's request id, as (client, connection). The id "1" of two clients is two ids, and a client
    that reconnects finds its own.

    - If the host names the calling thread (`_meta.threadId`), that thread owns the id on every connection: an agent
      that is resumed keeps its ids.
    - Else the connection owns it: a process on stdio, a session over HTTP. Two open connections share nothing, even of
      the same client. When one is closed, a later connection inherits its receipts for an hour if it has the same
      client name and version and the same parent process (stdio), or the same address and credentials (HTTP).
    - A 2026-07-28 request over HTTP has no connection: client name, version, address and credentials own the id.
      Instances of one client on one machine are told apart only by `_meta["threadstore/clientId"]`.
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
    """One call with a request id, from its claim to its outcome."""

    service: ThreadService
    claim: Receipt
    repeatable: bool
    """Whether the tool is idempotent, so that doing it again does no harm."""
    arguments: dict[str, Any]
    abandoned: Receipt | None = None
    answer: CallToolResult | None = None
    """What the verb has answered, if its receipt is recorded with its work."""

    async def earlier_result(self) -> CallToolResult | None:
        """The result of an earlier call with the same id; None if this call must be done.

        Raises:
            RequestIdReused: the earlier call had another tool or other arguments.
            RequestInProgress: another process still works on it after `_WAIT_SECONDS`.
            OutcomeUnknown: its process was killed during the work.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        find = self.service.receipts.find
        while (receipt := self._usable_receipt(await in_worker(find, self.claim.client, self._id))) is not None:
            if (receipt.tool, receipt.fingerprint) != (self.claim.tool, self.claim.fingerprint):
                raise RequestIdReused(self._id, receipt.tool)
            if receipt.result is not None:
                return CallToolResult.model_validate(receipt.result)
            if not _is_running(receipt):
                if not self.repeatable and not await in_worker(self._surely_not_done, receipt):
                    raise OutcomeUnknown(self._id, receipt.tool, rfc3339(receipt.at_ms), self._how_to_check())
                self.abandoned = receipt if receipt.key == self.claim.key else None
                return None
            if time.monotonic() > deadline:
                raise RequestInProgress(self._id, receipt.tool, rfc3339(receipt.at_ms))
            await anyio.sleep(_POLL_SECONDS)
        return None

    @property
    def _id(self) -> str:
        return self.claim.request_id

    def _usable_receipt(self, receipts: list[Receipt]) -> Receipt | None:
        """The newest receipt of this connection, or of a closed one that it inherits from."""
        for receipt in receipts:
            if receipt.connection == self.claim.connection:
                return receipt
            young = self.claim.at_ms - receipt.at_ms < _INHERIT_MS
            if young and receipt.connection and not _connection_is_open(receipt):
                return receipt
        return None

    def _surely_not_done(self, receipt: Receipt) -> bool:
        """Whether the work was certainly not done: the thread it would have written to has not changed since, or it
        existed only in the memory of a dead process."""
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

    def _how_to_check(self) -> str:
        if self.claim.tool in ("thread_start", "thread_fork"):
            return "thread_list with sort_key=created_at shows new threads"
        thread_id = self.arguments.get("thread_id")
        return f"thread_read {thread_id} shows it" if thread_id else "thread_list shows them, with archived=true too"

    async def run(self, work: Work) -> CallToolResult:
        """Claim the id, do the work, store the outcome. The caller shields this from being cancelled."""
        winner = await in_worker(self.service.receipts.claim, self.claim, self.abandoned)
        if winner != self.claim:  # another process claimed it first
            raise RequestInProgress(self._id, winner.tool, rfc3339(winner.at_ms))
        _in_flight.add(self.claim.key)
        try:
            result = await work()
        except ThreadstoreError:
            await in_worker(self.service.receipts.settle, self.claim)
            raise
        else:
            if result is not self.answer:
                await in_worker(self.service.receipts.settle, self._outcome(result))
            return result
        finally:
            _in_flight.discard(self.claim.key)

    def receipt_of(self, show: Callable[[T], CallToolResult], result: T) -> Receipt:
        """The receipt of this call, whose verb has this result."""
        self.answer = show(result)
        return self._outcome(self.answer)

    def _outcome(self, answer: CallToolResult) -> Receipt:
        return replace(self.claim, result=answer.model_dump(mode="json", by_alias=True, exclude_none=True))


current_request: ContextVar[Request | None] = ContextVar("current_request", default=None)
"""The request that is being done, if it has an id."""


def request_of(app: App, ctx: AnyContext, tool: str, arguments: dict[str, Any], *, repeatable: bool) -> Request | None:
    """The call as a request; None if it has no id or is a dry run."""
    request_id = arguments.get("request_id")
    if not isinstance(request_id, str) or not request_id or arguments.get("dry_run") is True:
        return None
    if len(request_id) > MAX_REQUEST_ID or any(0xD800 <= ord(char) < 0xE000 for char in request_id):
        return None  # the tool refuses such an id
    fingerprint = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
    client, connection = owner_of(app, ctx)
    claim = Receipt(client, connection, request_id, tool, fingerprint, _own_process(), now_ms())
    return Request(app.service, claim, repeatable, arguments)


async def answered(verb: Callable[[], T], show: Callable[[T], CallToolResult]) -> CallToolResult:
    """Run a verb that changes something, and show its result. If the call has a request id, the verb may record its
    receipt together with its work."""
    return await in_worker(_answered, verb, show, current_request.get())


def _answered(verb: Callable[[], T], show: Callable[[T], CallToolResult], request: Request | None) -> CallToolResult:
    if request is None:
        return show(verb())
    token = receipt_of.set(partial(request.receipt_of, show))
    try:
        result = verb()
    finally:
        receipt_of.reset(token)
    return request.answer or show(result)


def uncancellable(fn: Callable[..., Awaitable[CallToolResult]]) -> Callable[..., Awaitable[CallToolResult]]:
    """Wrap the function of a tool that changes something. Once begun, it can't be cancelled, since it must not stop
    between file and row. Before that, and so while a person is asked, it can. With a request id it is done once."""

    @wraps(fn)
    async def uncancelled(**arguments: Any) -> CallToolResult:
        await checkpoint_if_cancelled()
        request = current_request.get()
        result: CallToolResult | None = None
        with anyio.CancelScope(shield=True):
            result = await (request.run(lambda: fn(**arguments)) if request else fn(**arguments))
        assert result is not None
        return result

    return uncancelled


def _own_process() -> str:
    return _process_name(os.getpid())  # a forked process gets a name of its own


@cache
def _process_name(_pid: int) -> str:
    return worker_name()


def _has_died(process: str) -> bool:
    """Whether a process is dead. One with our own pid is, since in a container each server may get the same pid."""
    if process == _own_process():
        return False
    return process.partition(":")[0] == str(os.getpid()) or has_died(process)


def _is_running(receipt: Receipt) -> bool:
    if receipt.process == _own_process():
        return receipt.key in _in_flight
    young = now_ms() - receipt.at_ms < _CLAIM_EXPIRES_MS
    return young and not _has_died(receipt.process)


def _connection_is_open(receipt: Receipt) -> bool:
    """Whether the receipt's connection is open. Connections of another live process count as open."""
    return is_open(receipt.connection) if receipt.process == _own_process() else not _has_died(receipt.process)
