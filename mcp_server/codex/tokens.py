"""Codex's `token_count` events: the tokens of a thread so far. An event without counts only tells of rate limits."""

from __future__ import annotations

from mcp_server.codex.fields import int_of, mapping_of
from mcp_server.models.tokens import TokenCount, TokenUsage
from mcp_server.models.value import Json


def token_count(payload: Json) -> TokenCount | None:
    """The count of a `token_count` event, None if it has none. `last_token_usage` is the last request: what it took is
    what the context window holds."""
    total = mapping_of(payload, "info", "total_token_usage")
    if not total:
        return None
    used, size = (
        int_of(payload, "info", "last_token_usage", "total_tokens"),
        int_of(payload, "info", "model_context_window"),
    )
    return TokenCount(
        TokenUsage(
            input=_count(total, "input_tokens"),
            cached=_count(total, "cached_input_tokens"),
            output=_count(total, "output_tokens"),
            reasoning=_count(total, "reasoning_output_tokens"),
        ),
        used if used and used > 0 else None,
        size if size and size > 0 else None,
    )


def _count(total: Json, name: str) -> int:
    return max(0, int_of(total, name) or 0)
