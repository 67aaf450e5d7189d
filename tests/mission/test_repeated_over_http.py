"""A client whose HTTP connection drops repeats its call, and finds it done once."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.answers import whole
from tests.servers import serving_http

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ACCEPT = "application/json, text/event-stream"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving_http(tmp_path / "home") as url:
        yield url


class Wire:
    """Requests as bytes on a connection of their own, so that it can be dropped. A legacy client has a session."""

    def __init__(self, url: str, era: str, name: str = "client") -> None:
        self._where, self._era, self._name = urlsplit(url), era, name
        self._headers: dict[str, str] = {}
        self._ids = count(1)
        if era == LEGACY:
            hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}
            with self._sent({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}) as answer:
                head = answer.makefile("rb").read().partition(b"\r\n\r\n")[0].decode()
            assert " 200 " in head, head
            sessions = (line.partition(": ")[2] for line in head.splitlines() if line.lower().startswith("mcp-session"))
            self._headers = {"Mcp-Session-Id": next(sessions), "MCP-Protocol-Version": LEGACY}
            self._sent({"jsonrpc": "2.0", "method": "notifications/initialized"}).close()

    def drop(self, tool: str, **arguments: Any) -> None:
        """Send a call, and hang up."""
        self._sent(self._call(tool, arguments)).close()

    def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        with self._sent(self._call(tool, arguments)) as answer:
            text = answer.makefile("rb").read().decode()
        lines = (line.removeprefix("data: ") for line in text.splitlines())
        result = next(json.loads(line)["result"] for line in lines if '"result"' in line)
        assert not result.get("isError"), result
        return whole(tool, dict(result["structuredContent"]))

    def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if self._era == MODERN:
            self._headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": {"name": self._name, "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": "tools/call", "params": params}

    def _sent(self, message: dict[str, Any]) -> socket.socket:
        body = json.dumps(message).encode()
        headers = {
            **self._headers,
            "Host": self._where.netloc,
            "Content-Type": "application/json",
            "Accept": ACCEPT,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection = socket.create_connection((self._where.hostname or "", self._where.port or 0), timeout=60)
        connection.sendall(f"POST {self._where.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return connection


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_a_call_whose_connection_drops_is_done_once(url: str, era: str) -> None:
    client = Wire(url, era)
    client("thread_list")  # once the index is open, nothing is waited for
    for n in range(20):
        client.drop("thread_start", name=f"thread {n}", request_id=f"r{n}")
        started = client("thread_start", name=f"thread {n}", request_id=f"r{n}")
        assert client("thread_start", name=f"thread {n}", request_id=f"r{n}") == started
    assert client("thread_loaded_list")["total"] == 20


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_two_clients_share_no_request_id(url: str, era: str) -> None:
    one, other = Wire(url, era, "one"), Wire(url, era, "other")
    first = one("thread_start", request_id="1")
    assert other("thread_start", request_id="1")["thread"]["id"] != first["thread"]["id"]
    assert one("thread_start", request_id="1") == first


def test_two_sessions_of_one_client_share_no_request_id(url: str) -> None:
    one, other = Wire(url, LEGACY), Wire(url, LEGACY)
    first = one("thread_start", request_id="1")
    assert other("thread_start", request_id="1")["thread"]["id"] != first["thread"]["id"]


def test_a_session_that_lost_its_server_finds_what_it_did_in_the_next_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving_http(home) as url:
        client = Wire(url, LEGACY)
        thread_id = client("thread_start")["thread"]["id"]
        client("turn_start", thread_id=thread_id, input="hello")
        forked = client("thread_fork", thread_id=thread_id, request_id="1")
    with serving_http(home) as url:
        client = Wire(url, LEGACY)
        assert client("thread_fork", thread_id=thread_id, request_id="1") == forked
        assert client("thread_list")["total"] == 2
