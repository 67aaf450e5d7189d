"""How a command ends: 0 done, 1 refused with a sentence on stderr, 2 used in a wrong way, 130 interrupted."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

P = ParamSpec("P")

_REFUSED, _WRONG_USE, _INTERRUPTED = 1, 2, 130

# What to type for what a sentence tells a model to call.
_COMMANDS = {
    "thread_list (archived=true for archived ones)": "`threadstore list` (--archived for archived ones)",
    "thread_list with archived=true": "`threadstore list --archived`",
    "Call thread_unarchive with this id first": "Bring it back with `threadstore unarchive` first",
    "thread_search requires a non-empty search_term": "it needs words to look for",
    "pass thread_id, one thread at a time": "name the threads, one at a time",
    "thread_list": "`threadstore list`",
    "thread_search": "`threadstore search`",
    "thread_read": "`threadstore show`",
    "thread_archive": "`threadstore archive`",
    "thread_unarchive": "`threadstore unarchive`",
    "thread_fork it and go on in the copy": "let an assistant go on in a copy (thread_fork)",
    "store_status tells how far that is": "`threadstore reindex` reads them",
    "store_status": "`threadstore doctor`",
    "call again": "try again",
    "repeat the call": "try again",
}
_CALLS = re.compile("|".join(map(re.escape, sorted(_COMMANDS, key=len, reverse=True))))
_OPTIONS = {
    "operation_id": "--operation",
    "last_turn": "--last-turn",
    "source_kinds": "--source",
    "ancestor_thread_id": "--below",
    "parent_thread_id": "--parent",
    "search_term": "search",
    "tags": "--tag",
    "name": "NAME",
}


def ends_well(command: Callable[P, int | None]) -> Callable[P, None]:
    """Run a command, and turn what it raises into its end. The command may return an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(_run(lambda: command(*args, **kwargs)))

    return run


def _run(command: Callable[[], int | None]) -> int:
    from mcp_server.cli.shell.screen import tell
    from mcp_server.errors import InvalidArgument, InvalidCursor, InvalidThreadId, ThreadstoreError

    try:
        return command() or 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read this has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InvalidArgument as error:
        name = _OPTIONS.get(error.name, f"--{error.name.replace('_', '-').removeprefix('--')}")
        tell(for_shell(f"{name} {error.value!r}: {error.reason}; {error.way_out}"))
        return _WRONG_USE
    except (InvalidCursor, InvalidThreadId) as error:
        tell(for_shell(str(error)))
        return _WRONG_USE
    except ThreadstoreError as error:
        tell(for_shell(str(error)))
    except OSError as error:
        tell(f"could not read or write {error.filename or 'a file or the output'}: {error.strerror or error}")
    return _REFUSED


def for_shell(sentence: str) -> str:
    """A sentence of the verbs with commands in place of tools."""
    return _CALLS.sub(lambda call: _COMMANDS[call[0]], sentence)
