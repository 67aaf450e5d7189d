"""Runs the command as a person does on a terminal, or as a program does through pipes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.users import THREADSTORE

_SECONDS = 60.0
ROWS, COLUMNS = 40, 110
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def environment(home: Path | None, **more: str) -> dict[str, str]:
    """Nothing of whoever runs the tests."""
    env = {"PATH": f"{THREADSTORE.parent}:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "xterm-256color"}
    if home is not None:
        env |= {"HOME": str(home.parent), "THREADSTORE_HOME": str(home)}
    return env | more


def piped(
    home: Path | None, *words: str, typed: str | None = None, code: int = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """The command with pipes, which ends with this code."""
    done = subprocess.run(
        [str(THREADSTORE), *words],
        env=environment(home, **env),
        input=typed,
        stdin=subprocess.DEVNULL if typed is None else None,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done


def _take_terminal() -> None:
    """In the new process: make its stdin the terminal that pagers read keys from and that Ctrl+C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored, and so inherited, where the tests run in the background


class Terminal:
    """A command on a terminal of its own, and all that it has shown."""

    def __init__(self, home: Path | None, *words: str, program: str = str(THREADSTORE), **env: str) -> None:
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [program, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(home, **env),
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self._shown = b""

    @property
    def shown(self) -> str:
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Wait until it has shown this."""
        self._read(lambda: text in self.shown)
        assert text in self.shown, self.shown

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self, code: int = 0) -> str:
        """Wait for its end, with this code. Returns all that it has shown."""
        self._read(lambda: False)
        assert self.process.wait(_SECONDS) == code, self.shown
        os.close(self._fd)
        assert "Traceback" not in self.shown
        return self.shown

    def _read(self, enough: Callable[[], bool]) -> None:
        until = time.monotonic() + _SECONDS
        while not enough() and time.monotonic() < until:
            ready, _, _ = select.select([self._fd], [], [], 0.2)
            if not ready:
                continue
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:  # Linux's way to say that nobody has the other end any more
                return
            if not data:
                return
            self._shown += data


def on_terminal(home: Path | None, *words: str, code: int = 0, **env: str) -> str:
    """All that a command shows on a terminal, without a pager."""
    terminal = Terminal(home, *words, **{"PAGER": "cat", **env})
    return terminal.end(code)


def without_colours(shown: str) -> str:
    return COLOURS.sub("", shown)
