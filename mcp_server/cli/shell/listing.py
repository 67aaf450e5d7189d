"""`threadstore list`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.completion import complete_thread
from mcp_server.cli.shell.filters import (
    ArchivedOption,
    BelowOption,
    CursorOption,
    CwdOption,
    JsonOption,
    LastTurnOption,
    LimitOption,
    NamedOption,
    ProviderOption,
    SinceOption,
    SourceOption,
    TagOption,
    UntilOption,
    thread_filter,
)
from mcp_server.cli.shell.refusals import ends_well

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mcp_server.cli.shell.screen import Screen
    from mcp_server.models.params import ListParams
    from mcp_server.models.results import Hidden, ThreadListResult
    from mcp_server.models.thread import ThreadSortKey
    from mcp_server.threads.reader import Reader

_PAGE = 100
Sort = Literal["worked", "created", "updated"]
_KEYS: dict[Sort, ThreadSortKey] = {"worked": "recency_at", "created": "created_at", "updated": "updated_at"}


@ends_well
def list_threads(
    archived: ArchivedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    cwd: CwdOption = None,
    containing: Annotated[
        str | None, typer.Option("--containing", metavar="TEXT", help="With this in name or first message.")
    ] = None,
    tag: TagOption = None,
    named: NamedOption = None,
    last_turn: LastTurnOption = None,
    below: BelowOption = None,
    parent: Annotated[
        str | None,
        typer.Option("--parent", metavar="THREAD", help="Its own sub-agents.", autocompletion=complete_thread),
    ] = None,
    source: SourceOption = None,
    provider: ProviderOption = None,
    attached: Annotated[bool, typer.Option("--attached", help="Threads attached to another one, too.")] = False,
    without_text: Annotated[bool, typer.Option("--without-text", help="Threads without a first text, too.")] = False,
    sort: Annotated[Sort, typer.Option("--sort", help="By when they were worked on, created or updated.")] = "worked",
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The oldest first.")] = False,
    limit: LimitOption = 25,
    cursor: CursorOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List threads, what was worked on last first."""
    from mcp_server.cli.shell.opening import FIGURES_SECONDS, opened
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.models.params import ListParams

    where = thread_filter(
        archived=archived,
        since=since,
        until=until,
        cwd=cwd,
        containing=containing,
        tag=tag,
        named=named,
        last_turn=last_turn,
        below=below,
        parent=parent,
        source=source,
        provider=provider,
        attached=attached,
        without_text=without_text,
    )
    with opened(home, may_be_none=True, reading_seconds=FIGURES_SECONDS) as service:
        direction = "asc" if reverse else "desc"
        params = ListParams(where, _KEYS[sort], direction, cursor, limit, count_sub_agents=json)
        found = _all_pages(service.reader, params)
    screen = Screen()
    if json:
        screen.json(found)
    else:
        _show(screen, found, sort, _nothing(home, filtered=where != thread_filter()))


def _all_pages(reader: Reader, params: ListParams) -> ThreadListResult:
    """As many rows as were asked for; a page of the verb has at most a hundred."""
    from dataclasses import replace as with_fields

    from msgspec.structs import replace

    wanted = params.limit
    found = reader.list(with_fields(params, limit=min(wanted, _PAGE)))
    while found.next_cursor is not None and len(found.data) < wanted:
        left = min(wanted - len(found.data), _PAGE)
        more = reader.list(with_fields(params, cursor=found.next_cursor, limit=left))
        found = replace(found, data=[*found.data, *more.data], next_cursor=more.next_cursor)
    return found


def _nothing(folder: Path | None, *, filtered: bool) -> str | None:
    """What to say where there is no row. None: there is no home, which is said already."""
    from mcp_server.cli.shell.rows import folder_of
    from mcp_server.config import find_home

    home, _ = find_home(folder)
    if not home.exists():
        return None
    return f"No {'such ' if filtered else ''}threads in {folder_of(str(home))}."


def _show(screen: Screen, found: ThreadListResult, sort: Sort, nothing: str | None) -> None:
    from mcp_server.cli.shell.rows import thread_lines, thread_table
    from mcp_server.cli.shell.screen import tell

    notes = list(_notes(found, nothing))
    times = [getattr(thread, _KEYS[sort]) for thread in found.data]
    if not screen.rich:
        screen.page(thread_lines(found.data, times))
        for note in notes:
            tell(note)
        return
    parts: list[RenderableType] = []
    if found.data:
        parts.append(thread_table(found.data, times, time.time()))
    screen.page([*parts, *map(_dim, notes)])


def _dim(note: str) -> RenderableType:
    from rich.text import Text

    return Text(note, style="dim")


def _notes(found: ThreadListResult, nothing: str | None) -> Iterator[str]:
    """What the rows don't tell: how many there are beyond them, and what was left out."""
    from mcp_server.cli.shell.refusals import for_shell
    from mcp_server.models.counting import counted

    minimum = "at least " if found.total_is_minimum else ""
    if not found.data and nothing is not None:
        yield nothing
    elif found.next_cursor is not None:
        shown = f"{len(found.data)} of {minimum}{counted(found.total, 'thread')}"
        yield f"{shown}; --limit N shows more."
    left_out = list(_left_out(found.hidden))
    if left_out:
        yield f"Not shown: {', '.join(left_out)}."
    for note in (found.incomplete, found.note):
        if note:
            yield for_shell(note)


def _left_out(hidden: Hidden) -> Iterator[str]:
    from mcp_server.models.counting import counted

    if hidden.sub_agents:
        yield f"{counted(hidden.sub_agents, 'sub-agent')} (--source subAgent)"
    if hidden.archived:
        yield f"{hidden.archived:,} archived (--archived)"
    if hidden.attached:
        yield f"{hidden.attached:,} attached (--attached)"
    if hidden.without_preview:
        yield f"{hidden.without_preview:,} without a text (--without-text)"
    if hidden.duplicates:
        yield f"{counted(hidden.duplicates, 'copy', 'copies')} of files (`threadstore doctor`)"
    if hidden.unreadable:
        yield f"{hidden.unreadable:,} unreadable (`threadstore doctor`)"
