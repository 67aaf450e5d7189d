"""`threadstore completion`: scripts that complete commands, options and threads, and what they ask for.

A name may hold anything, so no script lets its shell evaluate what this program prints.
"""

from __future__ import annotations

from contextlib import redirect_stderr, suppress
from io import StringIO
from typing import Annotated, Literal

import typer

COMPLETE_VARIABLE = "_THREADSTORE_COMPLETE"
"""Set by the scripts: then the program prints completions, one a line."""
_MOST = 50

_BASH = r"""
_threadstore_completion() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        [[ -n $word ]] || continue
        case "$2" in
            [\"\']*) COMPREPLY+=("$word") ;;
            *) COMPREPLY+=("$(printf '%q' "$word")") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _THREADSTORE_COMPLETE=complete_bash "$1" 2>/dev/null)
}
complete -o default -F _threadstore_completion threadstore
"""

_ZSH = r"""
#compdef threadstore
_threadstore_completion() {
    local -a found
    local -x COMP_WORDS="${(j: :)words}" COMP_CWORD=$((CURRENT - 1)) _THREADSTORE_COMPLETE=complete_bash
    found=("${(@f)$($words[1] 2>/dev/null)}")
    if [[ -n "$found" ]]; then
        compadd -U -a found
    else
        _files
    fi
}
compdef _threadstore_completion threadstore
"""

_FISH = r"""
function _threadstore_completion
    set -lx _THREADSTORE_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp | string collect)
    threadstore 2>/dev/null
end
complete --command threadstore --no-files --arguments "(_threadstore_completion)"
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell to complete in.")],
) -> None:
    """Print the script that completes commands, options and threads: eval "$(threadstore completion bash)"."""
    typer.echo(_SCRIPTS[shell].strip())


def complete_thread(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names that begin with what was typed, and ids; if there is none, names that begin with it in another case.
    Nothing where the home can't be had or has no index yet: a completion neither complains nor keeps a person waiting.
    """
    folder = ctx.params.get("home")
    with suppress(Exception, SystemExit), redirect_stderr(StringIO()):
        from mcp_server.cli.shell.opening import opened_if_indexed

        with opened_if_indexed(folder) as service:
            if service is None:
                return []
            names = [name for name in service.completer.names(incomplete) if _can_be_typed(name)]
            ids = service.completer.ids(incomplete, _MOST) if incomplete else []
            known = [*names[:_MOST], *ids]
            return [one for one in known if one.startswith(incomplete)] or _in_another_case(known, incomplete)
    return []


class _Kept(str):
    """A completion that typer keeps: it drops those that don't begin with what was typed, by its case."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        return True


def _in_another_case(known: list[str], typed: str) -> list[str]:
    return [_Kept(one) for one in known if one.casefold().startswith(typed.casefold())]


def _can_be_typed(name: str) -> bool:
    """Whether a shell can hold the name on its line, as an argument."""
    return name.isprintable() and not name.startswith("-") and name == name.strip()
