"""Draws the icon for hosts that take no SVG: `uv run --with resvg-py python -m manifests.icon`.

The picture holds the hash of what it was drawn from, so that a test sees when it is behind.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

SVG = Path(__file__).parents[1] / "mcp_server" / "icon.svg"
PNG = Path(__file__).parent / "mcpb" / "icon.png"
SIDE = 512
"""Pixels; what Claude Desktop recommends."""
_HEAD = 8 + 25  # the signature, and the chunk of the size


def source_hash() -> bytes:
    return hashlib.sha256(SVG.read_bytes()).hexdigest().encode()


def _text_chunk(content: bytes) -> bytes:
    body = b"tEXt" + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def main() -> None:
    resvg: Any = import_module("resvg_py")
    drawn = bytes(resvg.svg_to_bytes(svg_string=SVG.read_text(encoding="utf-8"), width=SIDE, height=SIDE))
    PNG.write_bytes(drawn[:_HEAD] + _text_chunk(b"Source\0" + source_hash()) + drawn[_HEAD:])


if __name__ == "__main__":
    main()
