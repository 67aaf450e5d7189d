"""Markdown for the terminal, of text that others wrote."""

from __future__ import annotations

from markdown_it import MarkdownIt
from rich.markdown import Markdown

from mcp_server.cli.shell.safe_text import safe_lines


def markdown_of(text: str) -> Markdown:
    """The text rendered. HTML in it is shown as it stands, and links as text with their address."""
    rendered = Markdown("", hyperlinks=False, code_theme="ansi_dark")
    # rich's own parser takes HTML for markup and leaves it out.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    rendered.parsed = parser.parse(safe_lines(text))
    return rendered
