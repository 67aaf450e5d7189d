"""Real servers for tests: as a child over stdio, or over HTTP on a free port of this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from tests.answers import takes_format, whole

_START_SECONDS = 30


async def structure(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's structured answer, detailed where the tool has such, with its defaults."""
    form = {"response_format": "detailed"} if takes_format(tool) else {}
    result = await client.call_tool(tool, form | arguments)
    return whole(tool, dict(result.structured_content or {}))


def stdio_server(
    home: Path, *options: str, env: dict[str, str] | None = None, pid_file: Path | None = None
) -> StdioServerParameters:
    """What an SDK client starts: the server of this checkout on a home. With a pid file, the server can be killed."""
    arguments = ["-m", "mcp_server", "serve", "--home", str(home), *options]
    if pid_file is not None:
        noted = ["-c", 'echo $$ > "$0"; exec "$@"', str(pid_file), sys.executable, *arguments]
        return StdioServerParameters(command="sh", args=noted, env=env)
    return StdioServerParameters(command=sys.executable, args=arguments, env=env)


@contextmanager
def serving_http(home: Path, *options: str, env: dict[str, str] | None = None) -> Generator[str]:
    """A server over Streamable HTTP; yields the URL of its endpoint."""
    process, port = _started(home, options, env)
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(home: Path, options: Sequence[str], env: dict[str, str] | None) -> tuple[subprocess.Popen[bytes], int]:
    """A server that listens, and where. Between the choice of a port and its use another process may take it."""
    told = ""
    for _ in range(3):
        port = free_port()
        command = [sys.executable, "-m", "mcp_server", "serve", "--home", str(home), "--http", f"127.0.0.1:{port}"]
        process = subprocess.Popen([*command, *options], env=env, stderr=subprocess.PIPE)
        if _listens(process, port):
            return process, port
        process.kill()
        told = process.communicate()[1].decode()
        if "address already in use" not in told.lower():
            break
    raise RuntimeError(f"the server did not come up: {told}")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # a port can't be awaited
        else:
            return True
    return False
