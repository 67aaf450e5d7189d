"""The icon: one drawing, wherever it is shown."""

from __future__ import annotations

import struct
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from mcp import Client

from manifests.icon import PNG, SIDE, source_hash
from mcp_server.config import Config
from mcp_server.icon import FILE
from mcp_server.server import build_server


def test_it_is_a_drawing_without_scripts_or_links() -> None:
    names = {
        element.tag.rpartition("}")[2] for element in ElementTree.fromstring(FILE.read_text(encoding="utf-8")).iter()
    }
    assert names <= {"svg", "rect", "path", "g", "circle"}


def test_the_picture_for_hosts_that_take_no_svg_is_drawn_from_it() -> None:
    data = PNG.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (SIDE, SIDE)
    assert source_hash() in data, "draw it anew: uv run --with resvg-py python -m manifests.icon"


@pytest.mark.anyio
async def test_a_client_gets_it_with_the_servers_name_and_once_only(tmp_path: Path) -> None:
    async with Client(build_server(Config.load(tmp_path))) as client:
        assert client.server_info is not None
        (icon,) = client.server_info.icons or []
        assert icon.mime_type == "image/svg+xml"
        assert icon.src.startswith("data:image/svg+xml,")
        assert unquote(icon.src.partition(",")[2]) == FILE.read_text(encoding="utf-8").strip()
        assert len(icon.src) < 1_000
        assert not [tool.name for tool in (await client.list_tools()).tools if tool.icons]
