"""A tree of threads as Markdown for people. What was said stands behind `>`, what tools said in fences, so that no
stored text looks like a heading of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence

from mcp_server.codex.pieces import Piece, piece_of
from mcp_server.models.heading import facts_of, title_line, turn_line
from mcp_server.models.quoting import visible
from mcp_server.models.thread import StoredThread
from mcp_server.models.turn import Turn

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!])")
_TICKS = re.compile(r"`{3,}")


def markdown(threads: Sequence[StoredThread], turns_of: Callable[[StoredThread], Iterable[Turn]]) -> Generator[str]:
    """The text of an export, part by part. The first thread is the root."""
    for number, thread in enumerate(threads):
        rule = "---\n\n" if number else ""
        yield f"{rule}# {_inline(title_line(thread))}\n\n"
        yield "".join(f"- {fact.name}: {_inline(fact.text)}\n" for fact in facts_of(thread))
        if not number and len(threads) > 1:
            yield f"- Sub-agents below: {len(threads) - 1}\n"
        for count, turn in enumerate(turns_of(thread), start=1):
            yield f"\n## {turn_line(count, turn)}\n"
            for item in turn.items:
                yield from _piece(piece_of(item))
            if turn.error is not None:
                yield f"\n**Error**\n\n{_quote(turn.error.message)}\n"
        yield "\n"


def _piece(piece: Piece) -> Generator[str]:
    match piece.speaker:
        case "tool":
            yield f"\n**{piece.heading}** {_inline(piece.title)}\n"
            yield from (f"\n{_fence(text)}\n" for text in (piece.text, piece.output) if text)
        case "note":
            yield f"\n*{_inline(piece.title)}*\n"
            if piece.text:
                yield f"\n{_fence(piece.text)}\n"
        case _:
            yield f"\n**{piece.heading}**\n\n{_quote(piece.said)}\n"


def _quote(text: str) -> str:
    lines = _shown(text).strip("\n").split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _fence(text: str) -> str:
    """The text in a fence that is longer than any in it."""
    shown = _shown(text).strip("\n")
    ticks = "`" * max([3, *(len(run) + 1 for run in _TICKS.findall(shown))])
    return f"{ticks}text\n{shown}\n{ticks}"


def _inline(text: str) -> str:
    """A text of one line in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def _shown(text: str) -> str:
    """Lines end as Markdown's do: a carriage return would end the quote."""
    return visible(text.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")
