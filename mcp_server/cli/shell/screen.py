"""What a command prints, and where: on a terminal with colours and a pager, plain where a program reads it.

All that is printed passes through `Safe`, so nothing that was stored can command a terminal.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from mcp_server.cli.shell.safe_text import safe_lines
from mcp_server.models.quoting import visible

if TYPE_CHECKING:
    from io import TextIOWrapper

    from rich.console import ConsoleOptions, RenderableType

    from mcp_server.models.value import Value

_PIPED_WIDTH = 1_000
_WIDEST_TEXT = 100
_LESS_OPTIONS = "FRX"
_IN_MEMORY_BYTES = 16 << 20


class Safe:
    """A renderable without what a terminal would obey, but for colours and the like that this program chose."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inner, options):
            if segment.control:
                continue
            style = segment.style.update_link(None) if segment.style and segment.style.link else segment.style
            yield Segment(safe_lines(segment.text), style)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """rich would end the process with 1."""
        raise BrokenPipeError


class Screen:
    """Standard output. `rich` tells whether a person reads it on a terminal."""

    def __init__(self, *, paged: bool = True) -> None:
        self._stream = sys.stdout
        # Some terminals' encodings lack characters.
        cast("TextIOWrapper", self._stream).reconfigure(errors="replace")
        self.rich = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._paged = paged and self.rich

    @property
    def text_width(self) -> int:
        """The width of running text: lines of more characters are hard to read."""
        return min(shutil.get_terminal_size().columns, _WIDEST_TEXT)

    def print(self, *parts: RenderableType) -> None:
        """Print at once, without the pager."""
        self._print(self._console(self._stream), parts)
        self._stream.flush()

    def page(self, parts: Iterable[RenderableType], *, from_end: bool = False) -> None:
        """Print parts as they come; on a terminal all of them, in the pager if they don't fit on the screen.
        `from_end`: the pager shows the end first, if it is less."""
        if not self._paged:
            console = self._console(self._stream)
            for part in parts:
                self._print(console, [part])
            self._stream.flush()
            return
        with SpooledTemporaryFile(_IN_MEMORY_BYTES, mode="w+", encoding="utf-8") as spool:
            text = cast("TextIO", spool)
            console = self._console(text)
            for part in parts:
                self._print(console, [part])
            pager = _pager() if _is_long(text) else None
            text.seek(0)
            if pager is None or not _shown_in(pager, text, from_end=from_end):
                shutil.copyfileobj(text, self._stream)
                self._stream.flush()

    def json(self, result: Value) -> None:
        """Print a result as one line of JSON: the structure of a tool's detailed answer, with ids and texts whole."""
        import msgspec

        from mcp_server.models.facts import facts

        structure = facts(result, detailed=True)
        for field in msgspec.structs.fields(result):
            if field.required and getattr(result, field.name) == []:
                structure.setdefault(field.name, [])
        # What JSON leaves unescaped may still command a terminal. As an escape it means the same.
        self._stream.write(visible(msgspec.json.encode(structure).decode()) + "\n")
        self._stream.flush()

    def _console(self, stream: TextIO) -> Console:
        return _Console(
            file=stream,
            force_terminal=self.rich,
            # rich asks the stream, which may be the spool, and takes FORCE_COLOR as a terminal.
            width=shutil.get_terminal_size().columns if self.rich else _PIPED_WIDTH,
            color_system="auto" if self.rich else None,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def _print(self, console: Console, parts: Iterable[RenderableType]) -> None:
        for part in parts:
            if isinstance(part, str):  # rich would replace tabs and break lines
                console.file.write(safe_lines(part) + "\n")
            elif self.rich:
                console.print(Safe(part))
            elif isinstance(part, Text):
                console.file.write(safe_lines(part.plain) + "\n")
            else:
                with console.capture() as captured:
                    console.print(Safe(part), soft_wrap=True)
                console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def tell(sentence: str) -> None:
    """Tell a person something on stderr."""
    with suppress(OSError):
        sys.stderr.write(safe_lines(sentence) + "\n")
        sys.stderr.flush()


def _pager() -> list[str] | None:
    """The command of the user's pager, else of less; None if there is none."""
    words: list[str] = []
    with suppress(ValueError):  # a quote that nobody closed
        words = shlex.split(os.environ.get("PAGER", ""))
    words = words or ["less"]
    return words if shutil.which(words[0]) and words != ["cat"] else None


def _is_long(text: TextIO) -> bool:
    """Whether it has more lines than the screen."""
    text.seek(0)
    lines = shutil.get_terminal_size().lines
    return any(number >= lines for number, _ in enumerate(text, start=1))


def _shown_in(pager: list[str], text: TextIO, *, from_end: bool) -> bool:
    """Show a text in the pager. Whatever it says, the reader has had enough then. False if it could not be started."""
    env = {"LESS": _LESS_OPTIONS + ("+G" if from_end else ""), "LESSCHARSET": "utf-8", **os.environ}
    try:
        process = subprocess.Popen(pager, stdin=subprocess.PIPE, env=env, text=True, encoding="utf-8")
    except OSError:
        return False
    assert process.stdin is not None
    with suppress(OSError):  # the reader may leave before the end
        shutil.copyfileobj(text, process.stdin)
    with suppress(OSError):
        process.stdin.close()
    while True:
        try:
            process.wait()
            return True
        except KeyboardInterrupt:  # it is the pager's: less stops what it does, and stays
            continue
