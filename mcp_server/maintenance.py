"""`threadstore doctor` and `threadstore reindex`: compare the index with the files, repair it, rebuild it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mcp_server import homes
from mcp_server.codex_databases import CodexDatabases
from mcp_server.config import Config
from mcp_server.errors import StoreFailure
from mcp_server.models.counting import counted
from mcp_server.models.times import now_ms
from mcp_server.storage.files.atomic import check_writable
from mcp_server.storage.files.locks import CodexWriterLocks, holder_sentence
from mcp_server.storage.files.rollouts import RolloutFiles
from mcp_server.storage.process_liveness import worker_name
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync import doctor
from mcp_server.sync.lookup import HomeFiles, IndexedFiles
from mcp_server.sync.reconciler import backfill
from mcp_server.sync.upsert import SyncReport
from mcp_server.threads.turn_index import Indexer

_SHOWN = 20


def run_doctor(config: Config, *, repair: bool, yes: bool) -> int:
    """Show how index and files differ; with `repair`, show what a repair would do, then do it.

    Returns the exit code: 1 if they still differ.
    """
    return _with_errors_printed(lambda: _doctor(config, repair, yes))


def run_reindex(config: Config) -> int:
    """Rebuild the index from the files, with a progress bar on stderr. Resumable; servers may run meanwhile."""
    try:
        return _with_errors_printed(lambda: _reindex(config))
    except KeyboardInterrupt:
        _print_error("Stopped. `threadstore reindex` goes on from here, and so does a server.")
        return 130


def _with_errors_printed(work: Callable[[], int]) -> int:
    """The exit code of the work; 1, with a sentence on stderr, if the disk or the files are at fault."""
    try:
        return work()
    except StoreFailure as error:
        _print_error(str(error))
    except OSError as error:
        _print_error(f"could not read or write {error.filename or 'a file or the output'}: {error.strerror or error}")
    return 1


def _print_error(sentence: str) -> None:
    Console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)


def _doctor(config: Config, repair: bool, yes: bool) -> int:
    console = Console()
    for note in homes.notes(config.home, config.home_named_by):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    state, failure = _open_or_reason(lambda: _existing(config))
    rollouts, locks = RolloutFiles(config.home, config.reading), CodexWriterLocks(config.home)
    report = doctor.examine(rollouts, state, locks, deep=True)
    _show(console, config, report)
    if state is None:
        reason = failure or _why_no_index(config.state_path)
        console.print(f"Only the files were examined: {reason}", markup=False, highlight=False, soft_wrap=True)
        return 1
    codex = CodexDatabases(config, rollouts)
    lagging = doctor.repair(rollouts, state, locks, dry_run=True, codex=codex.rows).codex_rows if repair else 0
    if not repair or (report.in_step and not report.abandoned and not lagging):
        return 0 if report.in_step else 1
    console.print(
        f"A repair would read {counted(len(report.missing), 'file')} and {counted(len(report.stale), 'row')} again, "
        f"remove {counted(len(report.abandoned), 'abandoned draft')}, and update {counted(lagging, 'row')} of Codex's "
        "database."
    )
    if not yes and not _confirmed(console):
        return 1
    state.close()
    writable = StateDb.open(state.path, bounds=config.database)
    try:
        done = doctor.repair(rollouts, writable, locks, more_names=codex.names, codex=codex.rows)
    finally:
        writable.close()
    if done.done is not None:
        _show_done(console, done.done)
    return 0 if done.after is not None and done.after.in_step else 1


def _confirmed(console: Console) -> bool:
    if not sys.stdin.isatty():
        console.print("This was a dry run; add --yes to do it.")
        return False
    return console.input("Go on? [y/N] ").strip().lower() in ("y", "yes")


def _existing(config: Config) -> StateDb | None:
    return None if config.state_path is None else StateDb.open_existing(config.state_path, config.database)


def _open_or_reason(opening: Callable[[], StateDb | None]) -> tuple[StateDb | None, str | None]:
    """The state DB, and the reason if it can't be opened."""
    try:
        return opening(), None
    except StoreFailure as error:
        return None, str(error)


def _why_no_index(path: Path | None) -> str:
    try:
        if path is not None:
            check_writable(path.parent)
    except OSError as error:
        return (
            f"there is no usable state DB, and none can be created, since {path} can't be written ({error.strerror}). "
            "THREADSTORE_SQLITE_HOME may name another folder for it; `threadstore serve --read-only` needs none."
        )
    return "there is no usable state DB; `threadstore serve` or `threadstore reindex` builds one."


def _show(console: Console, config: Config, report: doctor.DoctorReport) -> None:
    table = Table(title=f"Home {config.home}")
    for column in ("", "active", "archived"):
        table.add_column(column)
    table.add_row("files", str(report.files.active), str(report.files.archived))
    if report.rows is not None:
        table.add_row("threads", str(report.rows.active), str(report.rows.archived))
    console.print(table)
    if surplus := ", ".join(_files_without_a_thread(report)):
        console.print(f"Files that are no thread of their own: {surplus}.", soft_wrap=True)
    problems = {
        "missing (file without row)": list(report.missing),
        "stale (row that differs from its file)": [f"{r.thread_id} {r.reason}: {r.path}" for r in report.stale],
        "duplicate ids": [f"{i}: {', '.join(paths)}" for i, paths in report.duplicates.items()],
        "malformed": [f"{b.path} at byte {b.offset}: {b.reason}" for b in report.malformed],
        "abandoned drafts": list(report.abandoned),
        "locked elsewhere": [f"{i}: {holder_sentence(holder)}" for i, holder in report.foreign.items()],
        "unfinished operations": [f"{o.kind} of {o.root_id} ({o.id})" for o in report.running],
    }
    for name, lines in problems.items():
        if lines:
            console.print(f"{name}: {len(lines)}")
            for line in lines[:_SHOWN]:
                console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if not report.names_current:
        console.print("names: session_index.jsonl has changed since they were read")
    if report.rows is not None and report.in_step:
        console.print("Index and files agree.")


def _files_without_a_thread(report: doctor.DoctorReport) -> Iterator[str]:
    """Why there are more files than threads."""
    if report.replaced:
        yield f"{report.replaced} kept from before a revert"
    if copies := sum(len(paths) - 1 for paths in report.duplicates.values()):
        yield f"{copies} with the id of another"
    if report.unusable:
        yield f"{report.unusable} unreadable"
    if report.missing:
        yield f"{len(report.missing)} not indexed yet"


def _show_done(console: Console, done: SyncReport) -> None:
    counts = {"added": done.added, "changed": done.changed, "moved": done.moved, "vanished": done.vanished}
    console.print("Done: " + ", ".join(f"{len(ids)} {name}" for name, ids in counts.items()))


def _reindex(config: Config) -> int:
    console = Console(stderr=True)
    if config.state_path is None:
        console.print("There is nothing to rebuild without a state DB.")
        return 2
    state = StateDb.open(config.state_path, bounds=config.database)
    try:
        state.reopen_backfill()
        rollouts = RolloutFiles(config.home, config.reading)
        codex = CodexDatabases(config, rollouts)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("reading files", total=None)
            result = backfill(
                rollouts,
                state,
                owner=worker_name(),
                now_ms=now_ms,
                wait_s=3_600,
                progress=lambda done, found: progress.update(bar, completed=done, total=found or 1),
                more_names=codex.names,
                closed_edges=codex.closed_edges,
            )
            bar = progress.add_task("reading histories", total=state.progress().unread)
            indexer = Indexer(rollouts, IndexedFiles(HomeFiles(rollouts), state))
            while done := indexer.step():
                progress.advance(bar, done)
            while state.merge_texts():
                pass
        console.print(
            f"{counted(result.done, 'file')} indexed, {len(result.damaged):,} unusable, "
            f"{counted(result.bad_lines, 'bad line')}."
        )
        return 0 if result.status == "complete" else 1
    finally:
        state.close()
