"""`threadstore stats`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.filters import (
    BelowOption,
    CwdOption,
    JsonOption,
    LimitOption,
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
    from rich.table import Table

    from mcp_server.models.results import StatsResult, StatsRow

# Sums over a part of the threads are worth little, so it takes as long as a large home needs.
_READING_SECONDS = 3_600.0


@ends_well
def stats(
    by: Annotated[
        Literal["day", "cwd", "model", "agent", "tag", "status"], typer.Option("--by", help="What the rows are.")
    ] = "day",
    since: SinceOption = None,
    until: UntilOption = None,
    cwd: CwdOption = None,
    archived: Annotated[
        bool | None, typer.Option("--archived/--active", help="Archived or active threads alone (default: both).")
    ] = None,
    tag: TagOption = None,
    below: BelowOption = None,
    source: SourceOption = None,
    provider: ProviderOption = None,
    limit: LimitOption = 25,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Count threads, turns, failures and tokens. --since and --until bound when turns began."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.screen import Screen, tell
    from mcp_server.models.params import StatsParams

    where = thread_filter(since=since, until=until, cwd=cwd, tag=tag, below=below, source=source, provider=provider)
    with opened(home, may_be_none=True, reading_seconds=_READING_SECONDS) as service:
        found = service.stats.show(StatsParams(where, by, archived, limit))
    screen = Screen()
    if json:
        screen.json(found)
    elif screen.rich:
        screen.page(_shown(found))
    else:
        screen.page(_lines(found))
        for note in _notes(found):
            tell(note)


def _shown(found: StatsResult) -> Iterator[RenderableType]:
    from rich.text import Text

    yield _table(found)
    for note in _notes(found):
        yield Text(note, "dim")


def _notes(found: StatsResult) -> Iterator[str]:
    """What the rows don't tell."""
    from mcp_server.cli.shell.refusals import for_shell

    if found.more_groups:
        yield f"{found.more_groups} more; --limit N shows them. All of them are in the sum."
    for told in found.incomplete or ():
        yield for_shell(f"Not counted: {told}.")


def _table(found: StatsResult) -> Table:
    from rich.table import Table

    from mcp_server.cli.shell.safe_text import safe_line
    from mcp_server.cli.shell.times import short_number

    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=True, footer_style="bold")
    sums = _figures(found.total)
    table.add_column(found.group_by, "total", no_wrap=True, overflow="ellipsis")
    for name, number in sums.items():
        table.add_column(name, short_number(number), justify="right", no_wrap=True)
    for row in found.data:
        table.add_row(
            safe_line(row.key or ""), *(short_number(number) if number else "" for number in _figures(row).values())
        )
    return table


def _figures(row: StatsRow) -> dict[str, int]:
    tokens = row.tokens or None
    return {
        "threads": row.threads,
        "turns": row.turns,
        "failed": row.failed or 0,
        "interrupted": row.interrupted or 0,
        "input tokens": tokens.input if tokens else 0,
        "output tokens": tokens.output if tokens else 0,
    }


def _lines(found: StatsResult) -> Iterator[str]:
    """A line for each group, with tabs: its key, then threads, turns, failed, interrupted, input and output tokens."""
    from mcp_server.cli.shell.safe_text import safe_line

    for row in found.data:
        yield "\t".join((safe_line(row.key or ""), *map(str, _figures(row).values())))
