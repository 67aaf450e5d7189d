"""The page as it was built: where it is, and the policy that confines it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

FILE = Path(__file__).parents[1] / "assets" / "threadstore.html"


def content_security_policy(html: str, *more: str) -> str:
    """The policy under which a page runs the scripts and styles that stand in it, by their hashes, and no others.
    `more`: what it may do besides."""
    found = _Inline()
    found.feed(html)
    found.close()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes(found.texts['script'])}",
            f"style-src {_hashes(found.texts['style'])}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
            *more,
        )
    )


class _Inline(HTMLParser):
    """Collects the texts of the script and style elements."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.texts:
            self.texts[tag].append("")
            self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.texts[self._open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = None


def _hashes(texts: list[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"
