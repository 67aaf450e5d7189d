"""Options that several commands take: which threads, how many, and how they are shown."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from mcp_server.cli.shell.completion import complete_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.models.params import ThreadFilter
    from mcp_server.models.thread import SourceKind


class LastTurn(StrEnum):
    """`TurnState`, as typer takes it."""

    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    CRASHED = "crashed"


ThreadArgument = Annotated[
    str,
    typer.Argument(
        metavar="THREAD",
        help="Its id, the beginning of it (8 characters or more), or its name.",
        autocompletion=complete_thread,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Archived threads instead.")]
CwdOption = Annotated[
    list[str] | None,
    typer.Option("--cwd", metavar="FOLDER", help="In this folder or below it: a path or a bare name (repeatable)."),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="From then on: 2026-01-31, yesterday, 7d, 24h, 90min.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Until then.")]
TagOption = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="With this tag (repeatable: all).")]
ProviderOption = Annotated[
    list[str] | None, typer.Option("--provider", metavar="NAME", help="Of this model provider (repeatable).")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="KIND", help="cli, vscode, exec, appServer, subAgent, ... (repeatable)."),
]
BelowOption = Annotated[
    str | None,
    typer.Option("--below", metavar="THREAD", help="Sub-agents below this thread.", autocompletion=complete_thread),
]
NamedOption = Annotated[bool | None, typer.Option("--named/--unnamed", help="With or without a name.")]
LastTurnOption = Annotated[
    list[LastTurn] | None, typer.Option("--last-turn", help="Whose last turn stands so (repeatable).")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where an earlier answer says next_cursor.")
]


def thread_filter(
    *,
    archived: bool = False,
    cwd: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    tag: Sequence[str] | None = None,
    provider: Sequence[str] | None = None,
    source: Sequence[str] | None = None,
    below: str | None = None,
    parent: str | None = None,
    named: bool | None = None,
    last_turn: Sequence[LastTurn] | None = None,
    containing: str | None = None,
    attached: bool = False,
    without_text: bool = False,
) -> ThreadFilter:
    """The filter that these options make.

    Raises:
        InvalidArgument: there is no such kind of source.
    """
    from mcp_server.models.params import ThreadFilter

    return ThreadFilter(
        archived=archived,
        cwd=cwd or None,
        since=since,
        until=until,
        tags=tag or None,
        model_providers=provider or None,
        source_kinds=_kinds(source),
        ancestor_thread_id=below,
        parent_thread_id=parent,
        named=named,
        last_turn=[state.value for state in last_turn or ()] or None,
        search_term=containing,
        include_attached_threads=attached,
        include_without_preview=without_text,
    )


def _kinds(source: Sequence[str] | None) -> list[SourceKind] | None:
    from mcp_server.errors import InvalidArgument
    from mcp_server.models.thread import SourceKind

    known = {kind.casefold(): kind for kind in get_args(SourceKind)}
    for kind in source or ():
        if kind.casefold() not in known:
            raise InvalidArgument(
                "source_kinds", kind, "there is no such kind", f"pass one of {', '.join(known.values())}"
            )
    return [cast("SourceKind", known[kind.casefold()]) for kind in source or ()] or None
