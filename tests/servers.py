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

_START_SECONDS = 30


async def structure(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's structured answer."""
    result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {})


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
    port = free_port()
    command: Sequence[str] = (
        *(sys.executable, "-m", "mcp_server", "serve", "--home", str(home)),
        *("--http", f"127.0.0.1:{port}", *options),
    )
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    try:
        _await_port(process, port)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)  # a port can't be awaited
    raise RuntimeError(f"the server did not come up: {process.stderr.read().decode() if process.stderr else ''}")
