"""The page as an MCP App, as any host finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextResourceContents

from mcp_server.config import Config
from mcp_server.server import build_server
from mcp_server.threads.built_page import FILE
from tests.test_homes import lay_thread

pytestmark = pytest.mark.anyio

URI = "ui://threadstore/browser"
MIME_TYPE = "text/html;profile=mcp-app"
EXTENSION = "io.modelcontextprotocol/ui"


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_the_page_is_a_resource_that_a_host_may_show_without_any_network(tmp_path: Path, era: Any) -> None:
    async with Client(build_server(Config.load(tmp_path / "home")), mode=era) as client:
        if era == "auto":  # capabilities of 2025 had no extensions: there the tools' `_meta` tells
            assert EXTENSION in (client.server_capabilities.extensions or {})
        (listed,) = (one for one in (await client.list_resources()).resources if str(one.uri) == URI)
        (read,) = (await client.read_resource(URI)).contents
    assert listed.mime_type == read.mime_type == MIME_TYPE
    assert isinstance(read, TextResourceContents)
    assert read.text.encode() == FILE.read_bytes()
    for meta in (listed.meta, read.meta):
        assert meta == {
            "ui": {"csp": {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []}}
        }


async def test_a_host_without_apps_gets_the_text_of_an_answer_as_ever(tmp_path: Path, era: Any) -> None:
    lay_thread(tmp_path / "home")
    async with Client(build_server(Config.load(tmp_path / "home")), mode=era) as client:
        answer = await client.call_tool("thread_list", {})
    (text,) = answer.content
    assert text.type == "text"
    assert "total: 1" in text.text


async def test_a_server_that_only_records_offers_no_tool_with_the_page(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path / "home", toolsets="record"))) as client:
        assert not [tool.name for tool in (await client.list_tools()).tools if "ui" in (tool.meta or {})]
