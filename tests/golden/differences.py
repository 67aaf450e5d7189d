"""Where our answers differ from Codex's on purpose: each difference once, with its reason. Anything else fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tests.golden.beside import Databases, GoldenHome

Json = dict[str, Any]

THREAD_FIELDS_NOT_SHOWN = {
    "environments": "where Codex would run commands; this server runs none",
    "extra": "always null",
    "project_id": "Codex's own interface",
    "can_accept_direct_input": "Codex's own interface",
    "daybreak_enabled": "Codex's own interface",
}
EMPTY_FIELDS_LEFT_OUT = {
    "client_id": "null, but where a queue of Codex's own wrote the message",
    "moderation": "null in every stored item",
    "memory_citation": "null in every stored item",
    "delivery": "null in every stored item",
    "questions": "null in every stored item",
    "plugin_id": "null in these items",
    "script_path": "null in these items",
    "misalignment": "null in these errors",
    "mcp_app_ui": "null in these items",
    "app_context": "null in these items",
    "read_only_hint": "null in these items",
    "environment_id": "null in these items",
    "model": "null in these items",
    "reasoning_effort": "null in these items",
    "attached_to_thread_id": "null but in attached threads",
    "section": "null but where the thread is in one",
    "section_entered_at": "null but where the thread is in a section",
}
OTHER_VALUES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "session_id": (
        "Codex shows an unloaded sub-agent's own id; ours is the root's, as its rollout records it",
        lambda ours, theirs: isinstance(ours, str) and ours != theirs,
    ),
    "thread_source": (
        "Codex loses it in some answers; ours is what the rollout records",
        lambda ours, theirs: theirs is None and ours == "subagent",
    ),
}
SAID_ELSEWHERE = {
    "forked_from_id": "Codex's list leaves it out",
    "preview": "Codex shows a rollout's own first message, where it lists all of a thread's or has no database",
    "name": "without its database Codex forgets the names of paginated threads",
    "git_info": "without its database Codex forgets it of paginated threads",
    "section": "without its database Codex knows no sections",
    "section_entered_at": "without its database Codex knows no sections",
    "recency_at": "without its database Codex takes the file's mtime; ours is the start of the last turn",
    "updated_at": "of a compressed thread Codex shows the file's time in lists, and its database's in a read",
}
"""Codex's own answers differ here; ours is one of them, or tells nothing where all its databases are gone."""
REBUILT_BY_CODEX: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "updated_at": (
        "rebuilding its database, Codex keeps equal times apart by milliseconds",
        lambda ours, theirs: 0 <= theirs - ours <= 1,
    ),
}
"""Of Codex's answers without its databases."""

TURNS_OF_PAGINATED = "without its database of turns Codex shows none of a paginated thread"
WORK_OF_LEGACY = "Codex hides what the agent did where no event tells of it; ours shows it"
WORK = ("dynamicToolCall", "commandExecution", "webSearch", "imageGeneration")
SEGMENTS_OF_REVERTED = "Codex lists each rollout of a reverted thread; ours lists the thread once"
BORROWED_IN_FORKS = "Codex searches the lines of a rollout; ours what its thread shows, which a fork borrows in part"
TOOLS = "Codex searches messages alone; ours also what tools said, where no message fits"
NAMES = "Codex looks for names in lists alone; ours does in searches too"
NOT_OFFERED = {
    "threadSection/list": "a thread tells its section",
    "project/list": "Codex's own interface",
    "thread/goal/get": "Codex's own interface",
    "thread/attachment/list": "Codex's own interface",
}
FILTERS_NOT_OFFERED = {"projectId": "Codex's own interface"}

TABLES = (THREAD_FIELDS_NOT_SHOWN, EMPTY_FIELDS_LEFT_OUT, OTHER_VALUES, SAID_ELSEWHERE, REBUILT_BY_CODEX)


def facts_of(value: Any) -> Any:
    """A value without what says nothing, inside it too: null and what is empty. None if nothing is left."""
    if isinstance(value, list):
        return [told for part in cast("list[Any]", value) if (told := facts_of(part)) is not None] or None
    if isinstance(value, dict):
        told = {name: facts_of(part) for name, part in cast("Json", value).items()}
        return {name: part for name, part in told.items() if part is not None} or None
    return None if value == "" else value


@dataclass
class Differences:
    """Compares answers, and notes which of the differences above were met."""

    golden: GoldenHome
    databases: Databases
    seen: set[str] = field(default_factory=set[str])

    def threads(self, ours: list[Json], theirs: list[Json], where: str) -> None:
        assert [thread["id"] for thread in ours] == [thread["id"] for thread in theirs], where
        for mine, codex in zip(ours, theirs, strict=True):
            self.thread(mine, codex, f"{where}: {self.golden.name_of(mine['id'])}")

    def thread(self, ours: Json, theirs: Json, where: str) -> None:
        for name, value in theirs.items():
            if name == "turns":
                self.turns(ours.get("turns", []), value, where)
            elif name in THREAD_FIELDS_NOT_SHOWN:
                assert name not in ours, f"{where}: {name} is shown, after all"
                self.seen.add(name)
            else:
                self._value(name, ours, value, theirs["id"], where)

    def turns(self, ours: list[Json], theirs: list[Json], where: str) -> None:
        if ours and not theirs and self.databases != "kept":
            self.seen.add(TURNS_OF_PAGINATED)
            return
        assert [turn["id"] for turn in ours] == [turn["id"] for turn in theirs], where
        for mine, codex in zip(ours, theirs, strict=True):
            self._turn(mine, codex, f"{where}, turn {codex['id']}")

    def _turn(self, ours: Json, theirs: Json, where: str) -> None:
        for name in ("status", "root_turn_id", "items_view", "started_at", "completed_at", "duration_ms"):
            assert ours[name] == theirs[name], f"{where}.{name}"
        assert (ours["error"] is None) == (theirs["error"] is None), where
        if theirs["error"] is not None:
            self._fields(ours["error"], theirs["error"], f"{where}.error")
        shown = {item["id"] for item in theirs["items"]}
        work = {item["id"] for item in ours["items"] if item["type"] in WORK} - shown
        if work:
            self.seen.add(WORK_OF_LEGACY)
        self.items([item for item in ours["items"] if item["id"] not in work], theirs["items"], where)

    def items(self, ours: list[Json], theirs: list[Json], where: str) -> None:
        assert [item["id"] for item in ours] == [item["id"] for item in theirs], where
        for mine, codex in zip(ours, theirs, strict=True):
            self._fields(mine, codex, f"{where}, item {codex['id']}")

    def _fields(self, ours: Json, theirs: Json, where: str) -> None:
        for name, value in theirs.items():
            self._value(name, ours, value, None, where)

    def _value(self, name: str, ours: Json, theirs: Any, thread_id: str | None, where: str) -> None:
        mine = ours.get(name)
        if name not in ours and name in EMPTY_FIELDS_LEFT_OUT:
            assert theirs is None, f"{where}.{name}: {theirs!r} is left out"
            self.seen.add(name)
            return
        if facts_of(mine) == facts_of(theirs):
            return
        told = f"{where}.{name}: {mine!r} is not {theirs!r}"
        tables = OTHER_VALUES if self.databases == "kept" else OTHER_VALUES | REBUILT_BY_CODEX
        if name in tables and tables[name][1](mine, theirs):
            self.seen.add(name)
            return
        assert name in SAID_ELSEWHERE, told
        assert thread_id is not None, told
        assert mine in self.golden.values(thread_id, name), told
        self.seen.add(name)
