"""`threadstore export` and `threadstore import`: a thread for people, or for another home."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_server.cli.options import HomeOption, usage_errors
from mcp_server.cli.shell.opening import opened
from mcp_server.cli.shell.refusals import ends_well
from mcp_server.cli.shell.screen import tell

if TYPE_CHECKING:
    from mcp_server.models.params import ExportParams
    from mcp_server.models.results import ExportResult, ImportResult
    from mcp_server.threads.service import ThreadService


class Format(StrEnum):
    """The formats, as typer wants them."""

    MARKDOWN = "markdown"
    HTML = "html"
    BUNDLE = "bundle"
    ATIF = "atif"


JsonOption = Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")]


@ends_well
def export(
    thread: Annotated[str, typer.Argument(help="Id, beginning of one, or name.", metavar="THREAD")],
    format: Annotated[  # noqa: A002 -- typer names the option after it
        Format, typer.Option(help="For people, or (bundle) for `threadstore import` in another home.")
    ] = Format.MARKDOWN,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Write to it (default: named after the thread; -: stdout).", metavar="FILE"
        ),
    ] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Mask what looks like a secret, and say what.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a thread with its sub-agents."""
    from mcp_server.models.params import ExportParams

    if output == "-" and format is Format.BUNDLE and sys.stdout.isatty():
        raise typer.BadParameter("a bundle is no text for a terminal; name a file", param_hint="--output")
    with opened(home) as service:
        params = ExportParams(thread, format.value, redact)
        if output == "-":
            result = service.exporter.run(params, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
        else:
            result = _into_file(service, params, output)
    _show_export(result, as_json=as_json, err=output == "-")


@ends_well
def import_(
    file: Annotated[Path, typer.Argument(help="A bundle that `threadstore export` made.", metavar="FILE")],
    folders: Annotated[
        list[str] | None,
        typer.Option("--map", help="Move working directories in and below OLD (repeatable).", metavar="OLD=NEW"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the bundle and say what would be done.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the threads of a bundle. They keep their ids unless one is taken; nothing is overwritten."""
    from mcp_server.models.params import ImportParams
    from mcp_server.storage import regular

    params = ImportParams([_move(text) for text in folders or ()], dry_run)
    with opened(home, new=True, needs_index=not dry_run) as service, usage_errors(), regular.opened(file) as bundle:
        result = service.importer.run(bundle, params)
    _show_import(result, as_json=as_json)


def _move(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise typer.BadParameter(f"{text!r} is not OLD=NEW", param_hint="--map")
    return old, new


def _into_file(service: ThreadService, params: ExportParams, output: str | None) -> ExportResult:
    """Export into a new file: whole, or not there."""
    from msgspec.structs import replace

    from mcp_server.storage.files.atomic import Draft

    path = Path(output or service.exporter.file_name(params)).absolute()
    if os.path.lexists(path):
        raise _taken(path)
    draft = Draft(path)
    try:
        result = service.exporter.run(params, draft.add)
        draft.put()
    except FileExistsError as error:  # somebody made it meanwhile
        raise _taken(path) from error
    finally:
        draft.drop()
    return replace(result, path=str(path))


def _taken(path: Path) -> typer.Exit:
    tell(f"{path} exists already; name another file with -o, or delete it")
    return typer.Exit(1)


def _show_export(result: ExportResult, *, as_json: bool, err: bool) -> None:
    from msgspec import UNSET

    from mcp_server.models.counting import counted
    from mcp_server.models.value import as_json as json_of

    if as_json:
        typer.echo(json_of(result), err=err)
        return
    threads = counted(result.threads, "thread")
    place = f" to {result.path}" if result.path else ""
    lines = [f"Exported {threads}{place} ({result.size} bytes, sha256 {result.sha256})."]
    if result.masked is not UNSET:
        lines.append(_masked("Masked", result.masked))
    lines += [f"Left out {thread_id}: {why}" for thread_id, why in (result.left_out or {}).items()]
    for line in lines:
        typer.echo(line, err=err)


def _show_import(result: ImportResult, *, as_json: bool) -> None:
    from msgspec import UNSET

    from mcp_server.models.counting import counted
    from mcp_server.models.quoting import quoted
    from mcp_server.models.value import as_json as json_of

    if as_json:
        typer.echo(json_of(result))
        return
    done = "Would import" if result.dry_run else "Imported"
    typer.echo(f"{done} {counted(result.total, 'thread')} ({result.bytes} bytes):")
    for row in result.data:
        facts = [f"instead of {row.old_id}, which is taken"] if row.old_id else []
        facts += [f"in {quoted(row.cwd)}" + (f", was {quoted(row.old_cwd)}" if row.old_cwd else "")] if row.cwd else []
        facts += ["archived"] if row.archived else []
        facts += ["others borrow from its history"] if row.borrowed else []
        name = f" {quoted(row.name)}" if row.name else ""
        typer.echo(f"  {row.thread_id}{name}: {'; '.join(facts)}")
    if result.masked is not UNSET:
        typer.echo(_masked("The exporter masked", result.masked))


def _masked(who: str, kinds: dict[str, int]) -> str:
    if not kinds:
        return f"{who} nothing: no known form of a secret was found."
    return f"{who}: {', '.join(f'{number} {kind}' for kind, number in kinds.items())}."
