"""One run of `threadstore install`: what is found, what is shown, what is asked."""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from mcp_server.cli.install.clients import CLIENTS, NAME, Client
from mcp_server.cli.install.configs.format import InvalidConfig
from mcp_server.cli.install.launch import Launch
from mcp_server.cli.install.machine import Machine
from mcp_server.cli.install.registration import Step, carry_out, plan
from mcp_server.errors import InvalidArgument

_DONE = {"add": "added", "change": "changed", "remove": "removed"}


@dataclass(frozen=True)
class Session:
    """`launch` None: the entries are to go."""

    machine: Machine
    clients: Sequence[Client]
    """Those that are looked at."""
    named: bool
    """Whether a person has named them."""
    launch: Launch | None
    home: Path | None
    """The home that is served by what is launched."""
    console: Console

    @classmethod
    def here(cls, names: Sequence[str], launch: Launch | None, home: Path | None) -> Session:
        """On this machine.

        Raises:
            InvalidArgument: there is no client of such a name.
        """
        by_id = {client.id: client for client in CLIENTS}
        for name in names:
            if name not in by_id:
                raise InvalidArgument("--client", name, "no client has this name", f"use one of {', '.join(by_id)}")
        clients = [by_id[name] for name in dict.fromkeys(names)] or CLIENTS
        machine = Machine(Path.home(), sys.platform, os.environ)
        return cls(machine, clients, bool(names), launch, home, Console(highlight=False, soft_wrap=True, markup=False))

    def run(self, *, dry_run: bool, yes: bool) -> int:
        """Show the plan, ask and carry it out; returns the exit code."""
        if self.launch is not None:
            self._say(f"Register: {shlex.join(self.launch.words)}")
        if self.home is not None:
            self._say(self._home_note(self.home))
        found = [client for client in self.clients if self.named or client.is_on(self.machine)]
        steps, refused = self._plans(found)
        if absent := [client.title for client in self.clients if client not in found]:
            self._say(f"Not found on this machine: {', '.join(absent)}")
        if not found:
            self._say(f"No client was found; name one with --client ({', '.join(c.id for c in CLIENTS)}).")
            return 1
        to_do = [step for step in steps if step.kind != "nothing"]
        if not to_do:
            return 1 if refused else 0
        if dry_run:
            self._say("Nothing was written (--dry-run).")
            return 1 if refused else 0
        if not yes and not self._confirmed():
            self._say("Nothing was written.")
            return 1
        done = [step for step in to_do if self._carry_out(step)]
        for step in done if self.launch is not None else ():
            self._say(f'Restart {step.client.title}, then ask it: "list my last threads".')
        return 1 if refused or len(done) < len(to_do) else 0

    def _home_note(self, home: Path) -> str:
        shown = self.machine.shown(home)
        if home.is_dir():
            return f"It serves the threads in {shown}."
        if self.launch is not None and "--home" in self.launch.args:
            return f"Warning: there is no {shown}. The server begins it, without threads; check the path."
        return f"It serves the threads in {shown}, which it begins."

    def _plans(self, found: Sequence[Client]) -> tuple[list[Step], bool]:
        steps, refused = list[Step](), False
        for client in found:
            try:
                step = plan(client, self.machine, self.launch)
            except InvalidConfig as error:
                refused = True
                self._refuse(client, error)
            else:
                steps.append(step)
                self._show(step)
        return steps, refused

    def _show(self, step: Step) -> None:
        title, path = step.client.title, self.machine.shown(step.path)
        if step.kind == "nothing":
            state = "is not registered" if self.launch is None else "is registered already"
            self._say(f"{title}: {state} ({path})")
        elif step.command is not None:
            self._say(f"{title}: {step.kind}, in {path}, by its own command")
            self._say(f"    {shlex.join(step.command)}")
        else:
            self._say(f"{title}: {step.kind}, in {path}")
            for line in _difference(step):
                self._say(f"    {line}")

    def _carry_out(self, step: Step) -> bool:
        client, path = step.client, self.machine.shown(step.path)
        try:
            outcome = carry_out(step, self.machine, datetime.now().astimezone())
        except InvalidConfig as error:
            self._refuse(client, error)
            return False
        except OSError as error:
            self._refuse(client, InvalidConfig(f"no copy of it can be made ({error.strerror})"))
            return False
        kept = f"; before: {self.machine.shown(outcome.backup)}" if outcome.backup is not None else ""
        self._say(f"{client.title}: {_DONE[step.kind]} in {path}{kept}")
        if outcome.note is not None:
            self._say(f"    {outcome.note}")
        return True

    def _refuse(self, client: Client, error: InvalidConfig) -> None:
        path = self.machine.shown(client.config(self.machine))
        by_hand = "" if self.launch is None else ", or add this to it yourself:"
        self._say(f"{client.title}: left as it is: {path}: {error}; correct that and call this again{by_hand}")
        if self.launch is not None:
            entry = client.beside | client.entry(self.launch)
            for line in client.format.put("", client.section, NAME, entry).splitlines():
                self._say(f"    {line}")

    def _confirmed(self) -> bool:
        if not sys.stdin.isatty():
            self._say("There is no terminal to ask on: pass --yes to write this.")
            return False
        return self.console.input("Write this? [Y/n] ").strip().lower() in ("", "y", "yes")

    def _say(self, text: str) -> None:
        self.console.print(text)


def _difference(step: Step) -> list[str]:
    """The lines that go and that come, with three lines around them."""
    lines = difflib.unified_diff(step.before.text.splitlines(), step.after.splitlines(), lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
