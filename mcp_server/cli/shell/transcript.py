"""A conversation on the screen: Markdown rendered on a terminal, plain text for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import UNSET
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from mcp_server.cli.shell.conversation import Conversation
from mcp_server.cli.shell.rows import STATE_STYLES
from mcp_server.cli.shell.safe_text import safe_line, safe_lines
from mcp_server.cli.shell.times import lasted, local_time, short_number
from mcp_server.cli.shell.tool_calls import one_line, whole
from mcp_server.codex.pieces import Piece, piece_of
from mcp_server.models.counting import counted
from mcp_server.models.heading import Fact, facts_of, title_of
from mcp_server.models.turn import Item, Turn

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

_INDENT = (0, 0, 0, 2)
_WORTH_TELLING_MS = 1_000
_ENDS = {
    "interrupted": "Interrupted.",
    "crashed": "The turn has no end: the process that recorded it is gone.",
    "inProgress": "Still running.",
}


class _Narrow:
    """A renderable that is no wider than so many characters."""

    def __init__(self, inner: RenderableType, width: int) -> None:
        self._inner, self._width = inner, width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield from console.render(self._inner, options.update_width(min(self._width, options.max_width)))


class Transcript:
    """How turns are shown. `full`: with reasoning, arguments and outputs of tools."""

    def __init__(self, *, rich: bool, width: int, full: bool) -> None:
        self._rich, self._width, self._full = rich, width, full

    def parts(self, said: Conversation) -> Iterator[RenderableType]:
        yield from self._head(said)
        for turn in said.turns():
            yield from self._turn(turn)

    def _head(self, said: Conversation) -> Iterator[RenderableType]:
        thread = said.head.thread
        yield Text(safe_line(title_of(thread)), "bold")
        facts = [
            *facts_of(thread, local_time),
            *([Fact("Open in", thread.running_in)] if thread.running_in else []),
            Fact("Turns", f"{said.total:,}"),
        ]
        told = [f"{fact.name}: {safe_line(fact.text)}" for fact in facts]
        yield _Narrow(Text(" · ".join(told), "dim"), self._width) if self._rich else "\n".join(told)
        if said.shown < said.total:
            yield Text(f"The last {said.shown} of {counted(said.total, 'turn')}.", "dim")

    def _turn(self, turn: Turn) -> Iterator[RenderableType]:
        yield ""
        yield self._rule(turn)
        for item in turn.items:
            yield from self._item(item)
        if turn.error is not None:
            yield Text.assemble(("Failed: ", "red bold"), (safe_lines(turn.error.message), "red"))
        elif turn.status in ("interrupted", "crashed", "inProgress"):
            yield Text(_ENDS[turn.status], STATE_STYLES[turn.status])

    def _rule(self, turn: Turn) -> RenderableType:
        when = "" if turn.started_at is None else local_time(turn.started_at)
        ms = turn.duration_ms or 0
        took = f"took {lasted(ms)}" if ms >= _WORTH_TELLING_MS else ""
        used = "" if turn.tokens is UNSET else f"{short_number(turn.tokens.input + turn.tokens.output)} tokens"
        told = " · ".join(part for part in (when, took, used) if part)
        if not self._rich:
            return f"--- {told}".rstrip()
        return _Narrow(Rule(Text(told, "dim"), style="dim", align="left"), self._width)

    def _item(self, item: Item) -> Iterator[RenderableType]:
        piece = piece_of(item)
        if piece.speaker == "user":
            yield from self._message("You", "bold green", piece.said, markdown=False)
        elif piece.speaker == "agent":
            yield from self._message(piece.heading, "bold blue", piece.said)
        elif piece.speaker != "thought" or self._full:
            yield from self._call(item, piece)

    def _message(self, who: str, style: str, text: str, *, markdown: bool = True) -> Iterator[RenderableType]:
        yield ""
        yield Text(who, style)
        if not self._rich:
            yield safe_lines(text)
        elif markdown:
            from mcp_server.cli.shell.markdown import markdown_of

            yield _Narrow(Padding(markdown_of(text), _INDENT), self._width)
        else:
            yield _Narrow(Padding(Text(safe_lines(text)), _INDENT), self._width)

    def _call(self, item: Item, piece: Piece) -> Iterator[RenderableType]:
        line, failed = one_line(item, piece)
        if line:
            mark, style = ("✗ ", "red") if failed else ("· ", "dim")
            yield Text(f"  {mark}{line}", style, no_wrap=self._rich, overflow="ellipsis")
        if self._full and (text := whole(item, piece)):
            yield Padding(Text(safe_lines(text), "dim"), (0, 0, 0, 4)) if self._rich else _indented(safe_lines(text))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
