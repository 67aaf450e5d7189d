"""An export as the page itself: the one that was built, with data in it, for a browser without a server and a network.

The data stands in elements that no browser runs, each a piece of JSON, so that neither the writer nor the page needs
all of it at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from html import escape
from typing import Any

import msgspec

from mcp_server.models.quoting import visible
from mcp_server.threads.built_page import FILE, content_security_policy

_ALLOWED = ("img-src data:", "connect-src 'none'")
_ESCAPES = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""In JSON, so that no text ends the element that it stands in."""
_CHARSET = '<meta charset="utf-8" />'


def html(title: str, parts: Iterable[tuple[str, Any]]) -> Generator[str]:
    """The page, piece by piece. Each part of its data has a name and a value."""
    page = FILE.read_text("utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{content_security_policy(page, *_ALLOWED)}" />'
    head, _, rest = page.partition("<title>")
    before, end, after = rest.partition("</title>")[2].rpartition("</body>")
    yield head.replace(_CHARSET, f"{_CHARSET}\n    {policy}", 1)
    yield f"<title>{escape(visible(title))} · Threadstore</title>{before}"
    for name, value in parts:
        yield f'<script type="application/json" data-part="{name}">{_data(value)}</script>\n'
    yield f"{end}{after}"


def _data(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    for sign, escaped in _ESCAPES.items():
        text = text.replace(sign, escaped)
    return text
