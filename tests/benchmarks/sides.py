"""What is compared, each a process of its own: our server, the bare one, Codex's app-server; their memory and disk."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

Json = dict[str, Any]

CHECKOUT = Path(__file__).parents[2]
# A call that takes longer has failed.
CALL_SECONDS = 600
_LINE_BYTES = 1 << 30
_NOTE_SECONDS = 20


class Failed(Exception):
    """A side refused a call, or answered something else than it should have."""


# ---------------------------------------------------------------------------------------------- MCP servers


@dataclass
class McpServer:
    """A running MCP server and the SDK's client of it. `handshake_ms` is from its start until the client was ready."""

    client: Client
    process: int | None
    handshake_ms: float

    async def call(self, tool: str, **arguments: Any) -> Json:
        """The structured answer.

        Raises:
            Failed: the tool says that it failed.
        """
        return self._answer(tool, await self.client.call_tool(tool, arguments))

    async def call_unchecked(self, tool: str, **arguments: Any) -> Json:
        """The same, not held against the tool's output schema."""
        return self._answer(tool, await self.ask(tool, **arguments))

    async def ask(self, tool: str, **arguments: Any) -> CallToolResult:
        """The answer as it comes."""
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
        return await self.client.session.send_request(request, CallToolResult)

    def _answer(self, tool: str, result: CallToolResult) -> Json:
        if result.is_error:
            raise Failed(f"{tool}: {' '.join(getattr(part, 'text', '') for part in result.content)}")
        return dict(result.structured_content or {})


@asynccontextmanager
async def serving(*arguments: str, checkout: Path = CHECKOUT) -> AsyncGenerator[McpServer]:
    """Start a Python module of a checkout as an MCP server over stdio."""
    before = children_of(os.getpid())
    with Path(os.devnull).open("w") as nowhere:  # noqa: ASYNC230 - the null device doesn't block
        parameters = StdioServerParameters(command=sys.executable, args=["-m", *arguments], cwd=checkout)
        began = time.perf_counter()
        async with Client(stdio_client(parameters, errlog=nowhere), read_timeout_seconds=CALL_SECONDS) as client:
            handshake_ms = (time.perf_counter() - began) * 1000
            started = children_of(os.getpid()) - before
            yield McpServer(client, min(started, default=None), handshake_ms)


def serving_ours(home: Path, checkout: Path) -> AbstractAsyncContextManager[McpServer]:
    return serving("mcp_server", "serve", "--home", str(home), checkout=checkout)


def serving_bare() -> AbstractAsyncContextManager[McpServer]:
    return serving("tests.benchmarks.bare")


# ---------------------------------------------------------------------------------------------- Codex


@dataclass
class Codex:
    """A running app-server, spoken to in JSON-RPC, one request at a time. `notes` are the notifications so far."""

    process: asyncio.subprocess.Process
    notes: list[str] = field(default_factory=list[str])
    _waiting: dict[int, asyncio.Future[Json]] = field(default_factory=dict[int, "asyncio.Future[Json]"])
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _noted: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self, method: str, **params: Any) -> Json:
        """The result.

        Raises:
            Failed: an error, no answer in time, or the process ended.
        """
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        try:
            message = await asyncio.wait_for(answer, CALL_SECONDS)
        except TimeoutError as error:
            raise Failed(f"{method}: no answer in {CALL_SECONDS} seconds") from error
        if "error" in message:
            raise Failed(f"{method}: {message['error'].get('message')}")
        return message["result"]

    def count(self, method: str) -> int:
        """How many notifications of a method there have been."""
        return self.notes.count(method)

    async def noted(self, method: str, number: int) -> None:
        """Wait until there have been so many.

        Raises:
            Failed: they did not come.
        """
        while (seen := self.count(method)) < number:
            self._noted.clear()
            try:
                await asyncio.wait_for(self._noted.wait(), _NOTE_SECONDS)
            except TimeoutError as error:
                raise Failed(f"{method}: expected {number} notifications, got {seen}") from error

    def notify(self, method: str) -> None:
        self._send({"method": method})

    def _send(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def read(self) -> None:
        """Take in what the process says until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message: Json = json.loads(line)
            if "method" in message:
                self.notes.append(message["method"])
                self._noted.set()
            elif (answer := self._waiting.pop(message.get("id", -1), None)) is not None and not answer.done():
                answer.set_result(message)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Failed("the app-server ended"))


@asynccontextmanager
async def serving_codex(binary: str, home: Path) -> AsyncGenerator[Codex]:
    """Start the app-server on a home and initialise it. Needs asyncio."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    process = await asyncio.create_subprocess_exec(
        *(binary, "app-server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**clean, "CODEX_HOME": str(home), "RUST_LOG": "error"},
        cwd=home,
        limit=_LINE_BYTES,
    )
    codex = Codex(process)
    reading = asyncio.create_task(codex.read())
    try:
        client = {"name": "bench", "title": "bench", "version": "0.1"}
        await codex.request("initialize", clientInfo=client, capabilities={"experimentalApi": True})
        codex.notify("initialized")
        yield codex
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


# ---------------------------------------------------------------------------------------------- memory and disk


def children_of(process: int) -> set[int]:
    """The direct children of a process; empty where there is no /proc."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            # the name may hold blanks and brackets; the parent is the second field after it
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                found.add(int(folder.name))
    return found


def peak_mb(process: int | None) -> float:
    """The most memory that a process and its children have had resident, in megabytes.

    Raises:
        Failed: the system doesn't tell (only Linux does).
    """
    if process is None or not (status := Path(f"/proc/{process}/status")).exists():
        raise Failed("peak memory is read from /proc, which is not there")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    own = int(fields["VmHWM"].split()[0]) * 1024 / 1e6
    return own + sum(peak_mb(child) for child in children_of(process))


def size_mb(home: Path, pattern: str) -> float:
    """The size of the databases of a home, with their logs, in megabytes."""
    return sum(file.stat().st_size for file in home.glob(pattern)) / 1e6


def drop_databases(home: Path) -> None:
    """Make the next start a first one."""
    for file in home.glob("*.sqlite*"):
        file.unlink()
