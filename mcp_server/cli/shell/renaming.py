"""`threadstore rename`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.filters import JsonOption, ThreadArgument
from mcp_server.cli.shell.refusals import ends_well


@ends_well
def rename(
    thread: ThreadArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")],
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Name a thread."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.safe_text import safe_line
    from mcp_server.cli.shell.screen import Screen, tell
    from mcp_server.models.params import ReadParams, ThreadPatch

    with opened(home) as service:
        before = service.reader.read(ReadParams(thread, False)).thread
        done = service.metadata.update(before.id, ThreadPatch(name=name))
    screen = Screen(paged=False)
    if json:
        screen.json(done)
    else:
        screen.print(f"{before.id} is now called {safe_line(done.thread.name or '')}.")
        if before.name:
            screen.print(f"To undo it: threadstore rename {before.id} {shlex.quote(safe_line(before.name))}")
    if done.codex_db:
        tell(f"Codex does not see the change: {done.codex_db}")
