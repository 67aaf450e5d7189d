"""A real `threadstore browse`, and where it shows its page."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.test_cli import PROMPTLY, environment, words

_VERSION = "2026-07-28"


@dataclass(frozen=True)
class Browsing:
    process: subprocess.Popen[str]
    address: str
    """What a person opens: the page's URL with the key in its fragment."""

    @property
    def url(self) -> str:
        return self.address.partition("#")[0]

    @property
    def key(self) -> str:
        return self.address.partition("#key=")[2]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What the server answers to another client of its own."""
        meta = {"protocolVersion": _VERSION, "clientInfo": {"name": "test", "version": "1"}, "clientCapabilities": {}}
        envelope = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}
        params = {"name": tool, "arguments": arguments, "_meta": envelope}
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.key}",
            "MCP-Protocol-Version": _VERSION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": tool,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = httpx2.post(f"{self.url}mcp", json=body, headers=headers, timeout=30)
        result: dict[str, Any] = answer.json()["result"]
        assert not result.get("isError"), result
        return result["structuredContent"]

    def interrupt(self) -> tuple[int, str, str]:
        """Ctrl+C; the exit code, and what was printed after the address."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=PROMPTLY)
        return self.process.returncode, out, err


@contextmanager
def browsing(home: Path, *options: str, **env: str) -> Generator[Browsing]:
    command = words("browse", "--home", str(home), *options, *([] if env else ["--no-open"]))
    process = subprocess.Popen(
        command, env=environment(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        yield Browsing(process, address)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def opening(home: Path, folder: Path) -> Generator[tuple[Browsing, str]]:
    """The command, and the link that it starts the browser of this user with."""
    pipe, browser = folder / "opened", folder / "browser"
    os.mkfifo(pipe)
    browser.write_text(f'#!/bin/sh\necho "$1" > {pipe}\n', encoding="utf-8")
    browser.chmod(0o755)
    with browsing(home, BROWSER=f"{browser} %s") as shown:
        yield shown, pipe.read_text(encoding="utf-8").strip()
