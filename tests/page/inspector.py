"""The web host of the real Inspector: it shows the page as an MCP App, in a sandbox of its own making."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Frame, Page

from tests.clients.installed import client
from tests.servers import free_port

FORM = '[data-testid="apps-form"]'
_START_SECONDS = 60


@dataclass(frozen=True)
class Inspector:
    url: str
    sandbox: str
    """Where the frames around the page come from."""
    token: str

    def opening(self, server: str, tool: str, **arguments: Any) -> str:
        """The address at which the Inspector connects to a server, calls a tool and shows its app."""
        given = urlsafe_b64encode(json.dumps(arguments).encode()).decode().rstrip("=")
        query = {"serverUrl": server, "transport": "http", "autoConnect": self.token, "autoOpen": self.token}
        return f"{self.url}/?{urlencode(query | {'openApp': tool, 'appArgs': given})}"


@contextlib.contextmanager
def inspector(folder: Path) -> Generator[Inspector]:
    command = client("INSPECTOR_BIN", "mcp-inspector")
    port, sandbox, app, token = free_port(), free_port(), free_port(), secrets.token_hex(16)
    env = os.environ | {
        "HOST": "127.0.0.1",
        "CLIENT_PORT": str(port),
        "MCP_SANDBOX_PORT": str(sandbox),
        "MCP_APP_ORIGIN_PORT": str(app),
        "MCP_AUTO_OPEN_ENABLED": "false",
        "MCP_INSPECTOR_API_TOKEN": token,
        "MCP_INSPECTOR_SECRET_STORE": "memory",
        "MCP_CATALOG_PATH": str(folder / "catalog.json"),
        "MCP_STORAGE_DIR": str(folder / "storage"),
    }
    log = (folder / "inspector.log").open("wb")
    with log, subprocess.Popen([command, "--web"], env=env, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            _await_port(process, port, folder / "inspector.log")
            yield Inspector(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox}", token)
        finally:
            process.terminate()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)  # a port can't be awaited
        else:
            return
    raise RuntimeError(f"the Inspector did not come up: {log.read_text(encoding='utf-8')[-2000:]}")


def shown_app(page: Page) -> Frame:
    """The frame that holds our page, once its first data is drawn."""
    page.locator(f'{FORM}[data-app-status="ready"]').wait_for(timeout=60_000)
    inner = page.frame_locator(f"{FORM} iframe").frame_locator("iframe")
    inner.locator("body[data-ready]").wait_for(timeout=30_000)
    frame = inner.locator("body").element_handle().owner_frame()
    assert frame is not None
    return frame
