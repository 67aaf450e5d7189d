"""What turns have used of tokens, from the counts at their ends."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.models.history import TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.models.tokens import TokenUsage

# A turn may be stamped a moment before its thread.
_SAME_MOMENT_MS = 2_000


def used_in(spans: Sequence[TurnSpan], before: TokenUsage | None = None) -> dict[int, TokenUsage]:
    """The tokens used in each of these turns, which follow each other, by number; only where some are recorded.
    `before` is the count before the first."""
    count, used = before or TokenUsage(), dict[int, TokenUsage]()
    for span in spans:
        if span.facts.tokens is None:
            continue
        tokens = span.facts.tokens.total.since(count)
        if tokens != TokenUsage():
            used[span.number] = tokens
        count = span.facts.tokens.total
    return used


def is_copied(thread: StoredThread, span: TurnSpan) -> bool:
    """Whether a turn came into the thread with the history that it was forked from: it began before the thread did."""
    began = span.facts.started_at
    forked = thread.forked_from_id is not None or thread.history_base is not None
    return forked and began is not None and began * 1000 < thread.created_at_ms - _SAME_MOMENT_MS


def used_by(thread: StoredThread, spans: Sequence[TurnSpan]) -> dict[int, TokenUsage]:
    """The tokens that each turn of a thread has used, by number, without the turns that it has copied."""
    used = used_in(spans)
    return {span.number: used[span.number] for span in spans if span.number in used and not is_copied(thread, span)}
