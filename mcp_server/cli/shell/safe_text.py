"""Makes stored text safe to show: others wrote it, and a terminal obeys control characters."""

from __future__ import annotations

import unicodedata
from functools import cache

from mcp_server.models.quoting import visible


def safe_lines(text: str) -> str:
    """The text with its line breaks and tabs. All that a terminal might obey, that changes the direction of writing or
    that can't be seen becomes a JSON escape."""
    return "\n".join(_safe(line) for line in text.replace("\r\n", "\n").split("\n"))


def safe_line(text: str) -> str:
    """The text on one line, with single spaces."""
    return _safe(" ".join(text.split()))


def _safe(line: str) -> str:
    return line if line.isprintable() else visible(line, keep=_spaces())


@cache
def _spaces() -> str:
    """Tabs, and the spaces of all scripts, which Python does not count as printable."""
    return "\t" + "".join(char for char in map(chr, range(0x80, 0x3001)) if unicodedata.category(char) == "Zs")
