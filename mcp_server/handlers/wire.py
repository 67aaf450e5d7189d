"""The transport of one client over two streams of lines. Every request is answered, even a malformed one, and even if
the client has closed its side meanwhile.

The SDK's own transport drops what it can't parse, and cancels running requests at the end of its input.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.dispatcher import as_request_id, coerce_request_id
from mcp.shared.message import SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from pydantic_core import PydanticSerializationError

from mcp_server.handlers.http import MAX_BODY_BYTES
from mcp_server.handlers.malformed import Malformed, read_message, too_long
from mcp_server.handlers.stdio import LineTooLong, PipeWriter, Stream

logger = logging.getLogger(__name__)

# How long running requests may go on after the client has closed its side. A first call may wait for the index.
_LINGER_SECONDS = 40.0
_POLL_SECONDS = 0.1
# A stream of updates: it is answered only when it ends, so nothing waits for that answer.
_LISTEN = "subscriptions/listen"

FromClient = MemoryObjectReceiveStream[SessionMessage | Exception]
ToClient = MemoryObjectSendStream[SessionMessage]


@asynccontextmanager
async def message_streams(
    stdin: Stream, stdout: Stream, at_end: Callable[[], None]
) -> AsyncGenerator[tuple[FromClient, ToClient]]:
    """The two streams that the SDK serves. `at_end` is called when the client sends no more requests."""
    to_server, for_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_client, for_client = anyio.create_memory_object_stream[SessionMessage](0)
    transport = _Transport(stdin, stdout, to_server, to_client.clone())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.read, at_end)
        tasks.start_soon(transport.write, for_client)
        yield for_server, to_client


class _Transport:
    def __init__(
        self,
        stdin: Stream,
        stdout: Stream,
        to_server: MemoryObjectSendStream[SessionMessage | Exception],
        to_client: ToClient,
    ) -> None:
        self._stdin, self._stdout, self._to_server, self._to_client = stdin, stdout, to_server, to_client
        self._unanswered = Counter[RequestId]()
        """Unanswered requests of the client."""
        self._server_requests = set[RequestId]()
        """Unanswered requests of the server."""
        self._client_closed = False
        self._all_answered = anyio.Event()
        self._reading = anyio.CancelScope()

    # ------------------------------------------------------------------------------------------ from the client

    async def read(self, at_end: Callable[[], None]) -> None:
        async with self._to_server, self._to_client:
            with self._reading:
                try:
                    async for line in self._stdin:
                        if not line.isspace():
                            await self._receive(line)
                except LineTooLong as error:
                    await self._reject(too_long(error.head, MAX_BODY_BYTES))
                self._client_closed = True
                at_end()
                for request_id in list(self._server_requests):
                    await self._fail_server_request(request_id)
                await self._wait_for_answers()

    async def _receive(self, line: str) -> None:
        message = read_message(line)
        if isinstance(message, Malformed):
            await self._reject(message)
        else:
            self._track(message)
            await self._to_server.send(SessionMessage(message))

    async def _reject(self, message: Malformed) -> None:
        logger.warning("malformed message: %s", message.error.message)
        for answer in message.answers():
            await self._to_client.send(SessionMessage(answer))
        for outcome in message.errors_for_replies():
            await self._to_server.send(SessionMessage(outcome))

    def _track(self, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCRequest):
            if message.method != _LISTEN:
                self._unanswered[coerce_request_id(message.id)] += 1
        elif isinstance(message, JSONRPCNotification):
            cancelled = as_request_id((message.params or {}).get("requestId"))
            if message.method == "notifications/cancelled" and cancelled is not None:
                self._unanswered.pop(coerce_request_id(cancelled), None)  # a cancelled request is not answered
        elif message.id is not None:
            self._server_requests.discard(coerce_request_id(message.id))

    async def _fail_server_request(self, request_id: RequestId) -> None:
        """Answer a request of the server with an error, in place of the client that has left."""
        self._server_requests.discard(request_id)
        error = ErrorData(code=CONNECTION_CLOSED, message="the client closed the connection")
        await self._to_server.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))

    async def _wait_for_answers(self) -> None:
        """Wait until all requests are answered, but no longer than the bound, and only while somebody can read."""
        with anyio.move_on_after(_LINGER_SECONDS):
            while self._unanswered and not self._has_no_reader():
                with anyio.move_on_after(_POLL_SECONDS):
                    await self._all_answered.wait()

    def _has_no_reader(self) -> bool:
        return isinstance(self._stdout, PipeWriter) and self._stdout.has_no_reader()

    # ------------------------------------------------------------------------------------------ to the client

    async def write(self, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with messages, anyio.create_task_group() as tasks:
            async for session_message in messages:
                message = session_message.message
                if isinstance(message, JSONRPCRequest):
                    self._server_requests.add(coerce_request_id(message.id))
                    if self._client_closed:
                        tasks.start_soon(self._fail_server_request, coerce_request_id(message.id))
                try:
                    await self._stdout.write(_line(message))
                    await self._stdout.flush()
                except OSError as error:
                    logger.info("the client reads no answers any more: %s", error)
                    self._reading.cancel()
                    break
                if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                    self._answered(coerce_request_id(message.id))

    def _answered(self, request_id: RequestId) -> None:
        self._unanswered[request_id] -= 1
        if self._unanswered[request_id] <= 0:
            del self._unanswered[request_id]
        if not self._unanswered:
            self._all_answered.set()
            self._all_answered = anyio.Event()


def _line(message: JSONRPCMessage) -> str:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
    except PydanticSerializationError as error:
        if not isinstance(message, JSONRPCResponse):
            raise
        failure = ErrorData(code=INTERNAL_ERROR, message=f"the answer can't be written as JSON: {error}")
        return _line(JSONRPCError(jsonrpc="2.0", id=message.id, error=failure))
