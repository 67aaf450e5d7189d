"""`threadstore archive` and `threadstore unarchive`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.completion import complete_thread
from mcp_server.cli.shell.filters import JsonOption
from mcp_server.cli.shell.refusals import ends_well

if TYPE_CHECKING:
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.models.params import Caller
    from mcp_server.models.results import ArchiveResult, CascadeResult, UnarchiveResult

_OPERATION = re.compile(r"op_[0-9a-f]+")
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be moved, and move nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@ends_well
def archive(
    threads: Annotated[
        list[str],
        typer.Argument(metavar="THREAD...", help="Ids, beginnings of ids, or names.", autocompletion=complete_thread),
    ],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Put threads away with all their sub-agents. Shows them and asks first."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.errors import WouldArchiveSelf

    screen = Screen(paged=False)
    with opened(home) as service:
        if dry_run or not yes:
            plan = service.cascade.archive(*threads, dry_run=True, interrupt_running=False)
            lines = _plan(plan, plan.archived, "Would archive", "archived already", plan.already_archived)
            if dry_run and json:
                screen.json(plan)
            elif dry_run or (plan.archived and not json):
                screen.print(*lines)
            if dry_run:
                return _ended(plan)
            if plan.archived and not _agreed(f"Archive {_threads(plan.archived)}?"):
                if json:
                    screen.json(plan)
                return 1
        service.guard.check(threads, _caller(), WouldArchiveSelf)
        done = service.cascade.archive(*threads, dry_run=False, interrupt_running=False)
    if json:
        screen.json(done)
    else:
        _show_archived(screen, done)
    return _ended(done)


def _caller() -> Caller:
    """Who runs the command: a person, or an agent in its thread."""
    from mcp_server.config import calling_thread
    from mcp_server.models.params import Caller

    thread_id = calling_thread()
    return Caller(thread_names=(thread_id,) if thread_id else ())


def _show_archived(screen: Screen, done: ArchiveResult) -> None:
    if done.archived:
        screen.print(f"Archived {_threads(done.archived)} in operation {done.operation_id}.")
        screen.print(f"To bring them back: threadstore unarchive --operation {done.operation_id}")
    if done.already_archived:
        screen.print(f"{_threads(done.already_archived)} archived already.")


@ends_well
def unarchive(
    thread: Annotated[
        str | None,
        typer.Argument(metavar="[THREAD]", help="Its id, the beginning of it, or its name; or op_…, as --operation."),
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", metavar="ID", help="Undo this archive, instead.")
    ] = None,
    sub_agents: Annotated[
        Literal["same_operation", "all", "none"],
        typer.Option("--sub-agents", help="Those archived with it, all, or none."),
    ] = "same_operation",
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Bring archived threads back, with the sub-agents that were archived with them."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.screen import Screen
    from mcp_server.errors import InvalidArgument

    if operation is None and _OPERATION.fullmatch(thread or ""):
        thread, operation = None, thread
    if (thread is None) == (operation is None):
        raise InvalidArgument("operation_id", operation, "it says what to bring back", "pass it or a thread")
    with opened(home) as service:
        if operation is not None:
            done = service.cascade.undo_archive(operation, dry_run=dry_run)
        else:
            done = service.cascade.unarchive(thread or "", include=sub_agents, dry_run=dry_run)
    screen = Screen(paged=False)
    if json:
        screen.json(done)
    else:
        _show_unarchived(screen, done)
    return _ended(done)


def _show_unarchived(screen: Screen, done: UnarchiveResult) -> None:
    if done.dry_run:
        screen.print(*_plan(done, done.unarchived, "Would bring back", "back already", done.already_unarchived))
    elif done.unarchived:
        screen.print(f"Brought back {_threads(done.unarchived)}.")
    if done.already_unarchived and not done.dry_run:
        screen.print(f"{_threads(done.already_unarchived)} back already.")


def _plan(plan: CascadeResult, ids: Sequence[str], would: str, already: str, done: Sequence[str]) -> Iterator[str]:
    from mcp_server.cli.shell.safe_text import safe_line

    titles = {one.id: safe_line(one.title) for one in plan.titles}
    yield f"{would} {_threads(ids)}{':' if ids else '.'}"
    yield from (f"  {thread_id}  {titles.get(thread_id, '')}" for thread_id in ids)
    if done:
        yield f"{_threads(done)} {already}."


def _agreed(question: str) -> bool:
    """Whether a person says yes. Where nobody can be asked, it was a dry run."""
    from mcp_server.cli.shell.screen import tell

    if not sys.stdin.isatty():
        tell("This was a dry run; add --yes to do it.")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    tell("Nothing was moved.")
    return False


def _threads(ids: Sequence[str]) -> str:
    from mcp_server.models.counting import counted

    return counted(len(ids), "thread")


def _ended(result: CascadeResult) -> int:
    """Tell what was left, and return the exit code."""
    from mcp_server.cli.shell.refusals import for_shell
    from mcp_server.cli.shell.screen import tell

    for failure in result.failed:
        tell(for_shell(f"{failure.thread_id} was left: {failure.reason}"))
    if result.codex_db and not result.dry_run:
        tell(f"Codex does not see the change: {result.codex_db}")
    return 1 if result.failed else 0
