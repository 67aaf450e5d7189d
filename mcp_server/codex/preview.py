"""The preview of a thread: what its first user message asks for."""

from __future__ import annotations

REQUEST_MARKER = "## My request for Codex:"


def preview_of(text: str, images: bool) -> str:
    """A message as a preview: what follows the marker that editors put before the request, else `[Image]`."""
    _, marker, request = text.partition(REQUEST_MARKER)
    return (request if marker else text).strip() or ("[Image]" if images else "")
