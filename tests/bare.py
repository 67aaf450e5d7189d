"""A server as a child, spoken to in bare lines: what an SDK's client would never send, and what it hides."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.answers import whole
from tests.servers import stdio_server

Json = dict[str, Any]

_PATIENCE_SECONDS = 60
_LONGEST = 1 << 20


def request(number: int | str, method: str, params: Any = None) -> bytes:
    message: Json = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
    return json.dumps(message).encode() + b"\n"


def call(number: int | str, tool: str, **arguments: Any) -> bytes:
    return request(number, "tools/call", {"name": tool, "arguments": arguments})


def hello(**capabilities: Any) -> bytes:
    client = {"name": "bare", "version": "1"}
    said = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client}
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    return request(0, "initialize", said) + json.dumps(done).encode() + b"\n"


class Bare:
    """The two ends of a server. Each message has its time, so that what never comes fails."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin = process, process.stdin
        self._out = BufferedByteReceiveStream(process.stdout)

    async def send(self, data: bytes) -> None:
        await self.stdin.send(data)

    async def read(self) -> Json:
        with anyio.fail_after(_PATIENCE_SECONDS):
            return json.loads(await self._out.receive_until(b"\n", _LONGEST))

    async def answer(self, number: int | str | None) -> Json:
        """The answer to a request; what comes before it is passed over."""
        while True:
            message = await self.read()
            if "method" not in message and message["id"] == number:
                return message

    async def ask(self, number: int, tool: str, **arguments: Any) -> Json:
        await self.send(call(number, tool, **arguments))
        return whole(tool, (await self.answer(number))["result"]["structuredContent"])

    async def rest(self) -> list[Json]:
        """All that comes until the server ends, by itself and in order."""
        told: list[Json] = []
        try:
            while True:
                told.append(await self.read())
        except (anyio.EndOfStream, anyio.IncompleteRead):
            with anyio.fail_after(_PATIENCE_SECONDS):
                assert await self.process.wait() == 0
        return told

    async def leave(self) -> list[Json]:
        """Close our side, as a client does that has no more to ask; what the server still says then."""
        await self.stdin.aclose()
        return await self.rest()


@asynccontextmanager
async def bare(home: Path, *options: str, greeting: bytes | None = None) -> AsyncGenerator[Bare]:
    """A server that has been greeted."""
    server = stdio_server(home, *options)
    async with await anyio.open_process([server.command, *server.args], stderr=None) as process:
        client = Bare(process)
        try:
            await client.send(hello() if greeting is None else greeting)
            if greeting != b"":
                await client.answer(0)
            yield client
        finally:
            if process.returncode is None:
                process.kill()
