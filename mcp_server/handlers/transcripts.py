"""A thread as Markdown that people and models can read. One fence marks all of it as data; in it every line of what was
said stands behind `>`, so that none looks like a heading of ours."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_server.codex.pieces import piece_of
from mcp_server.handlers.prompt_texts import at, quoted_lines
from mcp_server.models.counting import counted
from mcp_server.models.heading import facts_of, title_of
from mcp_server.models.quoting import cut_to, fenced, quoted
from mcp_server.models.quoting import plain_or_quoted as word
from mcp_server.models.thread import Thread
from mcp_server.models.turn import Item, Turn

MOST_CHARS = 40_000
_HEAD_CHARS, _END_TAG = 1_000, 20


def transcript(thread: Thread, newest_first: Iterable[Turn], total: int, *, tools: bool) -> str:
    """The last turns of a thread, as many as there is room for, the oldest first. Without `tools` only what user and
    agent said."""
    shown: list[str] = []
    room = MOST_CHARS - _HEAD_CHARS
    for turn in newest_first:
        text = _turn(turn, tools=tools)
        if (room := room - len(text)) < 0 and shown:
            break
        shown.append(text)
    left = total - len(shown)
    turns = counted(left, "earlier turn is", "earlier turns are")
    told = [f"{turns} left out; thread://{thread.id}/turns has them."] if left else []
    body = fenced("\n\n".join([_head(thread, total), *reversed(shown)]))
    text = "\n\n".join([f"# Thread {thread.id}", *told, body])
    return text if len(text) <= MOST_CHARS else cut_to(text, MOST_CHARS - _END_TAG)


def _head(thread: Thread, total: int) -> str:
    facts = [f"- {fact.name}: {word(fact.text)}" for fact in facts_of(thread, at)]
    return "\n".join([f"**{quoted(title_of(thread), 120)}**", *facts, f"- Turns: {total}"])


def _turn(turn: Turn, *, tools: bool) -> str:
    when = f" · {at(turn.started_at)}" if turn.started_at is not None else ""
    ended = f" · {turn.status}" if turn.status != "completed" else ""
    parts = [f"## Turn {word(turn.id)}{when}{ended}"]
    parts += [part for item in turn.items if (part := _item(item, tools=tools))]
    parts += [f"**Error**\n{quoted_lines(turn.error.message)}"] if turn.error else []
    return "\n\n".join(parts)


def _item(item: Item, *, tools: bool) -> str:
    piece = piece_of(item)
    texts = [text for text in (piece.said, piece.output) if text.strip()]
    if not (tools or piece.speaker in ("user", "agent")) or not (texts or piece.title):
        return ""
    name = f" {word(piece.title)}" if piece.speaker in ("tool", "note") else ""
    cut = item.cut_chars
    told = f" (cut, of {cut} characters; thread_items shows all, item {word(item.id)})" if cut else ""
    return "\n".join([f"**{piece.heading}**{name}{told}", *([quoted_lines("\n\n".join(texts))] if texts else [])])
