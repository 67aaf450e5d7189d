"""One of our servers on a copy of a real Codex home, asked what Codex was asked."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from mcp import Client

from mcp_server.handlers.errors import failure_code
from mcp_server.handlers.faces import Format
from tests.answers import check_faces, takes_format, whole
from tests.golden.differences import FILTERS_NOT_OFFERED, SEGMENTS_OF_REVERTED, Differences

Json = dict[str, Any]
Databases = Literal["kept", "removed", "no-state"]

# What Codex lists where no sources are named; ours lists all but sub-agents. The golden homes hold no others.
INTERACTIVE = ["cli", "vscode"]
SECTIONS_WITH_DATABASES = ("cold", "more_cold")


@dataclass(frozen=True)
class GoldenHome:
    """A real home, and what the real binary answered on it."""

    name: str
    expected: Json

    @staticmethod
    def folder_of(name: str) -> Path:
        shared = os.environ.get("THREADSTORE_SHARED", Path(__file__).parents[3] / "shared")
        return Path(shared) / name

    def copy_to(self, home: Path, *, databases: Databases = "kept") -> Path:
        """The home as it was: copies lose mtimes and may be read-only."""
        shutil.copytree(self.folder_of(self.name) / "home", home)
        for path in (home, *home.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
        for name, mtime in self.expected["mtimes"].items():
            os.utime(home / name, (mtime, mtime))
        if databases != "kept":
            for path in home.glob("*.sqlite*"):
                path.unlink()
        return home

    @property
    def ids(self) -> dict[str, str]:
        return self.expected["ids"]

    def name_of(self, thread_id: str) -> str:
        return next((name for name, known in self.ids.items() if known == thread_id), thread_id)

    def answers(self, databases: Databases) -> list[Json]:
        sections = SECTIONS_WITH_DATABASES if databases == "kept" else ("cold_nodb",)
        return [answer for section in sections for answer in self.expected.get(section, [])]

    def values(self, thread_id: str, name: str) -> list[Any]:
        """All that Codex ever said, with its databases, of one field of a thread."""
        return [thread[name] for thread in self._told.get(thread_id, [])]

    @cached_property
    def _told(self) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        for answer in self.answers("kept"):
            told: Json = answer.get("ok", {}) if answer["method"] in ("thread/list", "thread/read") else {}
            threads: list[Json] = [told["thread"]] if "thread" in told else told.get("data", [])
            for thread in threads:
                found.setdefault(thread["id"], []).append(snake(thread))
        return found


@dataclass
class Beside:
    """Our server on the copy, beside Codex's answers."""

    client: Client
    golden: GoldenHome
    home: Path
    databases: Databases
    differences: Differences

    async def call(self, tool: str, **arguments: Any) -> Json:
        """The answer, detailed where the tool has such, with its defaults again."""
        form: Format = "detailed" if takes_format(tool) else "concise"
        if form == "detailed":
            arguments["response_format"] = form
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, f"{tool} {arguments}: {result.content}"
        return whole(tool, check_faces(tool, result, form))

    async def refusal(self, tool: str, **arguments: Any) -> str | None:
        """The code of the error, None of an answer."""
        return failure_code(await self.client.call_tool(tool, arguments))

    def answers(self, method: str) -> Iterator[Json]:
        for answer in self.golden.answers(self.databases):
            if answer["method"] == method and not FILTERS_NOT_OFFERED.keys() & answer["params"].keys():
                yield answer

    def threads(self, wire: Collection[Json]) -> list[Json]:
        return [self.thread(thread) for thread in wire]

    def thread(self, wire: Json) -> Json:
        thread = snake(wire)
        thread["path"] = str(thread["path"]).replace(self.golden.expected["home"], str(self.home))
        thread["source"] = wire["source"]  # its keys are Codex's own, and snake_case already
        return thread

    def once(self, theirs: list[Json], ours: Collection[Json]) -> list[Json]:
        """Codex's list without the rollouts of a thread that are not the one that we show."""
        paths = {thread["id"]: thread["path"] for thread in ours}
        ids = [thread["id"] for thread in theirs]
        kept = [t for t in theirs if ids.count(t["id"]) == 1 or paths.get(t["id"]) in (None, t["path"])]
        if len(kept) < len(theirs):
            self.differences.seen.add(SEGMENTS_OF_REVERTED)
        return kept


def list_arguments(params: Json) -> Json:
    """What `thread_list` is called with for a request of Codex's."""
    arguments = {_snaked(name): value for name, value in params.items() if name not in ("useStateDbOnly", "cursor")}
    if not {"parent_thread_id", "ancestor_thread_id"} & arguments.keys():
        arguments.setdefault("source_kinds", INTERACTIVE)
    return arguments


def snake(value: Any) -> Any:
    """Codex's answer with our field names."""
    if isinstance(value, list):
        return [snake(part) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_snaked(name): snake(part) for name, part in cast("Json", value).items()}
    return value


def _snaked(name: str) -> str:
    # Ids are keys too, and stay.
    return re.sub(r"(?<=[a-z])([A-Z])", lambda capital: "_" + capital[1].lower(), name)
