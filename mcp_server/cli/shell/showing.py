"""`threadstore show`: a thread as the conversation that it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.filters import JsonOption, ThreadArgument
from mcp_server.cli.shell.refusals import ends_well

if TYPE_CHECKING:
    from rich.console import RenderableType


@ends_well
def show(
    thread: ThreadArgument,
    last: Annotated[int | None, typer.Option("--last", "-n", min=1, metavar="N", help="Only the last N turns.")] = None,
    items: Annotated[
        Literal["summary", "full"],
        typer.Option("--items", help="summary: a line for each tool call. full: with arguments, output and reasoning."),
    ] = "summary",
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show a conversation: who said what, when, and what the agent did."""
    from mcp_server.cli.shell.conversation import Conversation
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.progress import bar
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.cli.shell.transcript import Transcript

    screen = Screen()
    with opened(home) as service, bar("reading turns") as shown:
        said = Conversation(service.reader, thread, last=last, whole_outputs=items == "full", progress=shown.advance)
        if json:
            screen.json(said.whole())
        else:
            transcript = Transcript(rich=screen.rich, width=screen.text_width, full=items == "full")
            screen.page(_then(transcript.parts(said), shown.end), from_end=True)


def _then(parts: Iterator[RenderableType], end: Callable[[], None]) -> Iterator[RenderableType]:
    """The parts; the progress bar ends before a pager takes the screen."""
    yield from parts
    end()
