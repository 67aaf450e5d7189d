"""A real Codex home, served and compared with what the real Codex answered, field by field.

Three ways: with Codex's databases beside the files, with the files alone and our state DB, and with the files alone and
no state DB. Every difference stands in one of the tables below, with its reason; an entry that no longer occurs fails.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from mcp import Client

from mcp_server.config import Config
from mcp_server.handlers.errors import failure_code
from mcp_server.server import build_server

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
Databases = Literal["kept", "removed", "no-state"]

# Fields of Codex's Thread that ours has not: null, or kept for Codex's own interface.
DROPPED_THREAD_FIELDS = {
    "environments": "where Codex would run commands; this server runs none",
    "extra": "always null",
    "attached_to_thread_id": "Codex's own interface",
    "section": "Codex's own interface",
    "section_entered_at": "Codex's own interface",
    "project_id": "Codex's own interface",
    "can_accept_direct_input": "Codex's own interface",
    "daybreak_enabled": "Codex's own interface",
}
DROPPED_ITEM_FIELDS = {
    "client_id": "null in every stored item",
    "moderation": "null in every stored item",
    "memory_citation": "null in every stored item",
    "delivery": "null in every stored item",
    "questions": "null in every stored item",
    "plugin_id": "null in these items",
    "script_path": "null in these items",
    "misalignment": "null in these errors",
}
# Fields that differ in value, by name: the reason, and when the difference is the intended one.
Same = Callable[[Any, Any], bool]
DIFFERENT_VALUES: dict[str, tuple[str, Same]] = {
    "session_id": (
        "Codex shows an unloaded sub-agent's own id; ours is the root's, as its rollout records it",
        lambda ours, theirs: isinstance(ours, str) and ours != theirs,
    ),
    "thread_source": (
        "Codex loses it in some answers; ours is what the rollout records",
        lambda ours, theirs: theirs is None and ours == "subagent",
    ),
    "forked_from_id": ("Codex's list leaves it out", lambda ours, theirs: theirs is None and ours is not None),
    "updated_at": (
        "rebuilding its database, Codex keeps equal times apart by milliseconds, here over the second",
        lambda ours, theirs: theirs - ours == 1,
    ),
    "recency_at": (
        "without its database Codex takes the file's mtime; ours is the start of the last turn",
        lambda ours, theirs: ours <= theirs,
    ),
    "preview": (
        "without its database Codex shows a fork's own first message; ours is the thread's, which it borrows",
        lambda ours, theirs: theirs == "golden in fork" and ours == "golden three: first",
    ),
}
EXTRA_ITEMS = {"dynamicToolCall": "Codex hides the tool calls of legacy histories; ours shows them"}


@dataclass
class Differences:
    """What differed as intended; anything else fails at once."""

    seen: set[str] = field(default_factory=set[str])

    def compare(self, ours: Json, theirs: Json, where: str) -> None:
        for name, value in theirs.items():
            if name in (*DROPPED_THREAD_FIELDS, *DROPPED_ITEM_FIELDS) and name not in ours:
                assert value in (None, {}, False) or name in DROPPED_THREAD_FIELDS, f"{where}.{name}: {value}"
                self.seen.add(name)
            elif name == "turns":
                self._turns(ours["turns"], value, where)
            elif ours.get(name) != value:
                assert name in DIFFERENT_VALUES, f"{where}.{name}: {ours.get(name)!r} is not {value!r}"
                reason, intended = DIFFERENT_VALUES[name]
                assert intended(ours.get(name), value), f"{where}.{name}: {ours.get(name)!r} is not {value!r} {reason}"
                self.seen.add(name)

    def _turns(self, ours: list[Json], theirs: list[Json], where: str) -> None:
        if not theirs and ours:
            self.seen.add("turns of paginated threads")
            return
        assert [turn["id"] for turn in ours] == [turn["id"] for turn in theirs], where
        for mine, codex in zip(ours, theirs, strict=True):
            self._turn(mine, codex, f"{where}.{mine['id']}")

    def _turn(self, ours: Json, theirs: Json, where: str) -> None:
        items = [item for item in ours["items"] if item["type"] not in EXTRA_ITEMS or _has(theirs, item["id"])]
        if len(items) < len(ours["items"]):
            self.seen.update(EXTRA_ITEMS)
        for name in ("status", "root_turn_id", "items_view", "started_at", "completed_at", "duration_ms"):
            assert ours[name] == theirs[name], f"{where}.{name}"
        if theirs["error"] is not None:
            self.compare(ours["error"], theirs["error"], f"{where}.error")
        assert [item["id"] for item in items] == [item["id"] for item in theirs["items"]], where
        for mine, codex in zip(items, theirs["items"], strict=True):
            self.compare(mine, codex, f"{where}.{mine['id']}")


def _has(turn: Json, item_id: str) -> bool:
    return any(item["id"] == item_id for item in turn["items"])


def snake(value: Any) -> Any:
    """Codex's answer with our field names. Keys that are ids stay, and so do those inside Codex's own objects."""
    if isinstance(value, list):
        return [snake(part) for part in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("Json", value)
    return {re.sub(r"(?<=[a-z])([A-Z])", lambda m: "_" + m[1].lower(), k): snake(v) for k, v in fields.items()}


@dataclass
class Served:
    """Our server on the copy, beside Codex's answers."""

    client: Client
    home: Path
    answers: dict[str, Json]
    ids: dict[str, str]
    databases: Databases
    differences: Differences

    async def call(self, tool: str, **arguments: Any) -> Json:
        result = await self.client.call_tool(tool, arguments)
        return dict(result.structured_content or {})

    def codex(self, label: str) -> Json:
        return self.answers[label]["ok"]

    def thread(self, wire: Json) -> Json:
        thread = snake(wire)
        thread["path"] = str(thread["path"]).replace("/golden/home", str(self.home))
        thread["source"] = wire["source"]
        return thread

    def same_threads(self, ours: list[Json], theirs: list[Json], where: str) -> None:
        assert [thread["id"] for thread in ours] == [thread["id"] for thread in theirs], where
        for mine, codex in zip(ours, theirs, strict=True):
            self.differences.compare(mine, self.thread(codex), f"{where}: {mine['id']}")


@pytest.fixture(params=["kept", "removed", "no-state"])
def databases(request: pytest.FixtureRequest) -> Databases:
    return request.param


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Literal["auto", "legacy"]:
    return request.param


def forget_databases(home: Path) -> None:
    for path in home.glob("*.sqlite*"):
        path.unlink()


@pytest.fixture
async def served(
    golden_home: Path, expected: Json, databases: Databases, era: Literal["auto", "legacy"]
) -> AsyncIterator[Served]:
    if databases != "kept":
        forget_databases(golden_home)
    config = Config.load(golden_home, state=databases != "no-state")
    section = "cold" if databases == "kept" else "cold_nodb"
    answers = {answer["label"]: answer for answer in expected[section]}
    async with Client(build_server(replace(config, watch=False)), mode=era) as client:
        yield Served(client, golden_home, answers, expected["ids"], databases, Differences())


# Codex lists the sources vscode and cli, and the configured provider; the golden home holds no other.
INTERACTIVE = ["cli", "vscode"]
SPAWNED = ["subAgentThreadSpawn"]
LISTS: dict[str, Json] = {
    "list": {"source_kinds": INTERACTIVE},
    "list asc": {"source_kinds": INTERACTIVE, "sort_direction": "asc"},
    "list updated": {"source_kinds": INTERACTIVE, "sort_key": "updated_at"},
    "list recency": {"source_kinds": INTERACTIVE, "sort_key": "recency_at"},
    "list archived": {"source_kinds": INTERACTIVE, "archived": True},
    "list archived sub": {"source_kinds": SPAWNED, "archived": True},
    "list sub": {"source_kinds": SPAWNED},
    "list search": {"source_kinds": INTERACTIVE, "search_term": "legacy"},
    "list search name": {"source_kinds": INTERACTIVE, "search_term": "Golden Name"},
    "list search nocase": {"source_kinds": INTERACTIVE, "search_term": "golden name"},
    "list parent": {"parent_thread_id": "tree_root"},
    "list ancestor": {"ancestor_thread_id": "tree_root"},
    "list ancestor archived": {"ancestor_thread_id": "tree_archived_root", "archived": True},
    "list cwd": {"source_kinds": INTERACTIVE, "cwd": "/golden/project", "limit": 1},
    "list provider": {"model_providers": ["nope"]},
}
# Without its databases Codex has other names and times, and so finds and sorts differently.
UNLIKE_WITHOUT_DATABASES = {
    "list recency": "Codex sorts by mtime there",
    "list search name": "Codex loses the name of a paginated thread there; ours is in session_index.jsonl",
    "list search nocase": "as above",
}


@pytest.mark.parametrize("label", LISTS)
async def test_a_list_is_what_codex_lists(served: Served, label: str) -> None:
    arguments = {k: served.ids.get(v, v) if isinstance(v, str) else v for k, v in LISTS[label].items()}
    ours = await served.call("thread_list", **arguments)
    if served.databases != "kept" and label in UNLIKE_WITHOUT_DATABASES:
        assert {t["id"] for t in ours["data"]} >= {t["id"] for t in served.codex(label)["data"]}
        return
    theirs = served.codex(label)
    if served.databases != "kept":
        theirs = {**theirs, "data": [_with_name(thread, ours["data"]) for thread in theirs["data"]]}
    served.same_threads(ours["data"], theirs["data"], label)


async def test_pages_of_two_visit_what_codex_visits(served: Served) -> None:
    first = await served.call("thread_list", source_kinds=INTERACTIVE, limit=2)
    second = await served.call("thread_list", source_kinds=INTERACTIVE, limit=2, cursor=first["next_cursor"])
    for ours, label in ((first, "list limit2"), (second, "list limit2 p2")):
        assert [t["id"] for t in ours["data"]] == [t["id"] for t in served.codex(label)["data"]]
    back = await served.call(
        "thread_list", source_kinds=INTERACTIVE, sort_direction="asc", cursor=second["backwards_cursor"]
    )
    assert [t["id"] for t in back["data"]] == [t["id"] for t in (second["data"][0], *first["data"][::-1])]


async def test_every_thread_is_read_as_codex_reads_it(served: Served) -> None:
    for name, thread_id in served.ids.items():
        theirs = served.answers[f"read {name}"]
        if "error" in theirs:  # unmaterialised and ephemeral threads ended with the Codex that held them
            result = await served.client.call_tool("thread_read", {"thread_id": thread_id})
            assert failure_code(result) == "thread_not_found"
            continue
        for label, include in ((f"read {name}", False), (f"read turns {name}", True)):
            ours = await served.call(
                "thread_read", thread_id=thread_id, include_turns=include, items_view="full", sort_direction="asc"
            )
            wire = _with_name(served.codex(label)["thread"], [ours["thread"]])
            served.differences.compare(ours["thread"], served.thread(wire), label)


async def test_every_thread_has_turns_whatever_became_of_the_databases(served: Served, expected: Json) -> None:
    full = {answer["label"]: answer for answer in expected["cold"]}
    for name, thread_id in served.ids.items():
        if "ok" not in full[f"read turns {name}"]:
            continue
        ours = await served.call("thread_read", thread_id=thread_id, include_turns=True, sort_direction="asc")
        theirs = full[f"read turns {name}"]["ok"]["thread"]["turns"]
        assert [(t["id"], t["status"]) for t in ours["thread"]["turns"]] == [(t["id"], t["status"]) for t in theirs]


async def test_nothing_is_loaded(served: Served) -> None:
    ours = await served.call("thread_loaded_list")
    assert (ours["data"], ours["next_cursor"]) == ([], None) == tuple(served.codex("loaded").values())


async def test_a_search_finds_the_thread_that_codex_finds(served: Served) -> None:
    ours = await served.call("thread_search", search_term="golden three")
    theirs = served.codex("search")["data"]
    assert {hit["thread"]["id"] for hit in ours["data"]} >= {hit["thread"]["id"] for hit in theirs}


async def test_every_intended_difference_still_occurs(golden_home: Path, expected: Json) -> None:
    """An entry of the tables that no answer needs is a lie about Codex or about us."""
    differences = Differences()
    for section in ("cold", "cold_nodb"):
        answers = {answer["label"]: answer for answer in expected[section]}
        async with Client(build_server(replace(Config.load(golden_home), watch=False))) as client:
            served = Served(client, golden_home, answers, expected["ids"], "kept", differences)
            for label in ("list", "list sub", "list archived", "list ancestor archived"):
                arguments = {k: served.ids.get(v, v) if isinstance(v, str) else v for k, v in LISTS[label].items()}
                ours = await served.call("thread_list", **arguments)
                theirs = [_with_name(thread, ours["data"]) for thread in served.codex(label)["data"]]
                served.same_threads(ours["data"], theirs, label)
            await test_every_thread_is_read_as_codex_reads_it(served)
    tables = {*DROPPED_THREAD_FIELDS, *DROPPED_ITEM_FIELDS, *DIFFERENT_VALUES, *EXTRA_ITEMS}
    assert tables - differences.seen == set()


def _with_name(wire: Json, ours: list[Json]) -> Json:
    """Codex forgets a paginated thread's name with its database; ours stays, in session_index.jsonl."""
    if wire["name"] is not None:
        return wire
    kept = {thread["id"]: thread["name"] for thread in ours}
    assert kept.get(wire["id"]) in (None, "Golden Name P")
    return {**wire, "name": kept.get(wire["id"])}
