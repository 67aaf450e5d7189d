"""Threads as rows: a table on a terminal, lines with tabs for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from mcp_server.cli.shell.safe_text import safe_line
from mcp_server.cli.shell.times import ago, iso
from mcp_server.models.heading import title_of
from mcp_server.models.short_ids import beginnings

if TYPE_CHECKING:
    from mcp_server.models.thread import Thread

STATE_STYLES = {"failed": "red", "crashed": "red", "interrupted": "yellow", "running": "green", "inProgress": "green"}
_FOLDER_CHARS = 32


def thread_table(threads: Sequence[Thread], times: Sequence[int], now: float) -> Table:
    """A table of threads with the beginnings of their ids. `times`: what each is sorted by, in Unix seconds."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("when", no_wrap=True)
    table.add_column("id", no_wrap=True, style="cyan")
    table.add_column("turns", no_wrap=True, justify="right")
    table.add_column("thread", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("folder", no_wrap=True, overflow="ellipsis", style="dim", max_width=_FOLDER_CHARS)
    short = beginnings({thread.id for thread in threads})
    for thread, at in zip(threads, times, strict=True):
        turns = "" if thread.turn_count is UNSET else str(thread.turn_count)
        table.add_row(ago(at, now), short[thread.id], turns, titled(thread), folder_of(thread.cwd))
    return table


def titled(thread: Thread) -> Text:
    """The name of a thread, else its first message; who it is if a sub-agent; and how it stands where that matters."""
    told = Text()
    if state := state_of(thread):
        told.append(f"{state} ", STATE_STYLES.get(state, ""))
    if thread.agent_nickname:
        told.append(f"{safe_line(thread.agent_nickname)}: ", "magenta")
    told.append(safe_line(title_of(thread)), "bold" if thread.name else "")
    if thread.tags is not UNSET:
        told.append("".join(f" #{safe_line(tag)}" for tag in thread.tags), "blue")
    return told


def state_of(thread: Thread) -> str:
    """How the last turn stands, if that is not the usual end."""
    return "" if thread.last_turn in (UNSET, "completed") else str(thread.last_turn)


def folder_of(cwd: str) -> str:
    """A folder, below the user's own as `~`."""
    own = str(Path.home())
    told = safe_line(cwd)
    return f"~{told[len(own) :]}" if told == own or told.startswith(f"{own}/") else told


def thread_lines(threads: Sequence[Thread], times: Sequence[int]) -> Iterator[str]:
    """A line for each thread: id, time, turns, state, folder and title, with tabs between them."""
    for thread, at in zip(threads, times, strict=True):
        turns = "" if thread.turn_count is UNSET else str(thread.turn_count)
        state = "" if thread.last_turn is UNSET else str(thread.last_turn)
        yield "\t".join((thread.id, iso(at), turns, state, safe_line(thread.cwd), safe_line(title_of(thread))))
