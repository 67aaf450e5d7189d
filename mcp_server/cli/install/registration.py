"""Registers one client: what is to be done, and doing it."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mcp_server.cli.install import config_file
from mcp_server.cli.install.clients import NAME, Client
from mcp_server.cli.install.config_file import Content
from mcp_server.cli.install.configs.format import Entry, InvalidConfig, as_table, entries
from mcp_server.cli.install.launch import Launch
from mcp_server.cli.install.machine import Machine

_COMMAND_SECONDS = 60

Kind = Literal["add", "change", "remove", "nothing"]


@dataclass(frozen=True)
class Step:
    """What is to be done for a client. `entry` None: its config has none then."""

    client: Client
    kind: Kind
    path: Path
    before: Content
    after: str
    entry: Entry | None
    command: list[str] | None
    """The client's own command, if it has one for this."""


@dataclass(frozen=True)
class Outcome:
    """What was done. `backup`: the copy of what was there. `note`: why it was not done as planned."""

    backup: Path | None
    note: str | None = None


def plan(client: Client, machine: Machine, launch: Launch | None) -> Step:
    """What is to be done so that a client has this launch, or none.

    Raises:
        InvalidConfig: its config can't be read, so nothing is done.
    """
    path = client.config(machine)
    before = config_file.read(path)
    present: Any = entries(client.format.read(before.text), client.section).get(NAME)
    if launch is None:
        kind: Kind = "nothing" if present is None else "remove"
        after = client.format.cut(before.text, client.section, NAME)
        command = _command(client, machine, client.remove)
        return Step(client, kind, path, before, after, None, command)
    entry = _wanted(client, launch, present)
    kind = "add" if present is None else "nothing" if present == entry else "change"
    after = before.text if kind == "nothing" else client.format.put(before.text, client.section, NAME, entry)
    # What a person added to an entry is kept by an edit alone: a command would write the entry anew.
    arguments = client.add(launch) if client.add is not None and kind == "add" else None
    return Step(client, kind, path, before, after, entry, _command(client, machine, arguments))


def carry_out(step: Step, machine: Machine, now: datetime) -> Outcome:
    """Do it: by the client's own command, or else by an edit.

    The command counts if the entry is then as planned, and all comments and line ends are still there. If not, the file
    is edited instead.

    Raises:
        InvalidConfig: the config can't be written, or somebody else has changed it meanwhile.
        OSError: there can be no copy of it.
    """
    backup = config_file.copy_aside(step.path, now)
    note = None
    seen = step.before.data
    if step.command is not None:
        failure = _run(step.command, machine) or _fault(step)
        if failure is None:
            return Outcome(backup)
        note = f"{failure}, so its file was edited"
        seen = config_file.read(step.path).data
    config_file.write(step.path, step.before.bytes_of(step.after), seen=seen)
    return Outcome(backup, note)


def _wanted(client: Client, launch: Launch, present: Any) -> Entry:
    entry, table = client.entry(launch), as_table(present) or {}
    # One that tells of no program, but of an address, is another kind of entry.
    return table | entry if entry.keys() & table.keys() else client.beside | entry


def _command(client: Client, machine: Machine, arguments: list[str] | None) -> list[str] | None:
    program = client.program(machine)
    return [program, *arguments] if program is not None and arguments is not None else None


def _run(command: list[str], machine: Machine) -> str | None:
    """Run a client's command; why it failed, if it did."""
    try:
        done = subprocess.run(
            command,
            cwd=machine.user,
            env=dict(machine.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its command did not end within {_COMMAND_SECONDS} s"
    except OSError as error:
        return f"its command can't be run ({error.strerror})"
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
    return f"its command failed ({lines[-1][:200]})"


def _fault(step: Step) -> str | None:
    """What the client's command has not done as it should, by what its config holds now."""
    form, client = step.client.format, step.client
    try:
        now = config_file.read(step.path)
        entry: Any = entries(form.read(now.text), client.section).get(NAME)
    except InvalidConfig as error:
        return f"after its command, {error}"
    wanted = step.entry
    if (entry is None) != (wanted is None) or (wanted is not None and not _starts_the_same(wanted, entry)):
        return "its command wrote another entry" if entry is not None else "its command wrote no entry"
    lost = Counter(form.comments(step.before.text)) - Counter(form.comments(now.text))
    if lost or now.line_end != step.before.line_end:
        return "its command does not keep comments or line ends"
    return None


def _starts_the_same(wanted: Entry, entry: Any) -> bool:
    table, keys = as_table(entry) or {}, {"command", "args", "cmd"} & wanted.keys()
    return all(table.get(key) == wanted[key] for key in keys)
