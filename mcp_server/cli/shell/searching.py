"""`threadstore search`."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    from rich.text import Text

    from mcp_server.models.results import NoMatch, Passage, SearchResult, SearchRow


@ends_well
def search(
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORDS", help="Words; '\"a phrase\"', begin*, 'this OR that', -- -without."),
    ],
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="THREAD", help="All passages of this thread.", autocompletion=complete_thread),
    ] = None,
    tools: Annotated[bool, typer.Option("--tools", help="In tool calls and their outputs, too.")] = False,
    by: Annotated[Literal["rank", "time"], typer.Option("--by", help="The best first, or the newest.")] = "rank",
    archived: ArchivedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    cwd: CwdOption = None,
    tag: TagOption = None,
    named: NamedOption = None,
    last_turn: LastTurnOption = None,
    below: BelowOption = None,
    source: SourceOption = None,
    provider: ProviderOption = None,
    limit: LimitOption = 10,
    cursor: CursorOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Find threads by what was said in them, the best first."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.progress import bar
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.models.params import SearchParams
    from mcp_server.threads.search.state import Watch

    where = thread_filter(
        archived=archived,
        since=since,
        until=until,
        cwd=cwd,
        tag=tag,
        named=named,
        last_turn=last_turn,
        below=below,
        source=source,
        provider=provider,
    )
    params = SearchParams(" ".join(words), where, within, tools, by, cursor, limit)
    with opened(home, may_be_none=True) as service, bar("reading histories") as shown:
        found = service.searcher.search(params, Watch(progress=shown.advance, patient=True))
    screen = Screen()
    if json:
        screen.json(found)
    else:
        screen.page(_shown(found, rich=screen.rich))


def _shown(found: SearchResult, *, rich: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    from mcp_server.cli.shell.refusals import for_shell
    from mcp_server.models.short_ids import beginnings

    short = beginnings({row.thread.id for row in found.data})
    for row in found.data:
        yield _head(row, short[row.thread.id] if rich else row.thread.id)
        yield from map(_passage, row.passages)
        yield ""
    if not found.data:
        yield "Nothing found."
    for told in _notes(found):
        yield Text(for_shell(told), style="dim")


def _head(row: SearchRow, thread_id: str) -> Text:
    from rich.text import Text

    from mcp_server.cli.shell.rows import folder_of, titled
    from mcp_server.cli.shell.times import ago

    lacks = "" if not row.missing else f"  without: {', '.join(row.missing)}"
    where = f"  {ago(row.thread.recency_at, time.time())}  {folder_of(row.thread.cwd)}{lacks}"
    return Text.assemble((thread_id, "cyan"), "  ", titled(row.thread), (where, "dim"))


def _passage(passage: Passage) -> Text:
    """A passage with its matches in bold."""
    from rich.text import Text

    from mcp_server.cli.shell.safe_text import safe_lines

    told = Text("    ")
    for number, part in enumerate(passage.parts):
        told.append(safe_lines(part), "bold yellow" if number % 2 else "")
    return told


def _notes(found: SearchResult) -> Iterator[str]:
    yield from (f"{note}." for note in found.notes)
    if found.no_match:
        yield from _no_match(found.no_match)
    if found.incomplete:
        yield f"Not all was searched: {'; '.join(found.incomplete)}."
    if found.next_cursor is not None:
        yield "There is more: --limit N."


def _no_match(none: NoMatch) -> Iterator[str]:
    from mcp_server.models.counting import counted

    for word in none.words:
        near = f"; known: {', '.join(word.nearest)}" if word.nearest else ""
        yield f"{word.word}: in {counted(word.threads, 'thread')}{near}"
    for where, number in (none.elsewhere or {}).items():
        option = " (--archived)" if where == "archived" else ""
        yield f"{counted(number, 'thread')} would match: {where}{option}"
