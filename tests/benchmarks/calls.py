"""Cases that look: lists, search, reading. The bare server's call is in every round: what is above it is our own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from tests.benchmarks.homes import ABSENT, COMMON, RARE
from tests.benchmarks.lab import Case, Lab
from tests.benchmarks.measure import Target, below, faster, flat, near, own
from tests.benchmarks.sides import Failed, Json
from tests.benchmarks.table import CASES, HITS, HUNDRED, PAGE, TURNS, Operations, Sides, bare, case, check, ready

READ_LONG = f"thread_read, {TURNS} turns of a long thread"

Given = Callable[[Lab], Any]
_LOOK_SECONDS = 2.0
OWN_MS = 3.0
"""What a tool may do itself where it reads no file."""


@dataclass(frozen=True, slots=True)
class Deep:
    """A cursor that each side gives for itself: the oldest hundred end where the last two pages of a descending list
    begin."""

    key: str


async def prepare_lists(lab: Lab) -> None:
    for key in ("created_at", "updated_at"):
        page = await lab.ours.call("thread_list", limit=100, sort_key=key, sort_direction="asc")
        lab.memo[key] = page["next_cursor"] or ""
        if lab.codex_home is not None:
            page = await lab.codex.request("thread/list", limit=100, sortKey=key, sortDirection="asc")
            lab.memo[f"codex {key}"] = page["nextCursor"] or ""


async def prepare_searches(lab: Lab) -> None:
    """Until all histories are indexed, as they are a few minutes after the first start on a home."""
    while (await lab.ours.call("store_status", deep=False))["histories"]["unread"]:  # noqa: ASYNC110 - it tells nobody
        await anyio.sleep(_LOOK_SECONDS)


def tree_root(lab: Lab) -> str:
    return lab.ours_home.tree[0]


def unique_text(lab: Lab) -> str:
    """A piece of one thread's preview that no other has."""
    threads = lab.ours_home.threads
    return threads[len(threads) // 2][-6:]


# ---------------------------------------------------------------------------------------------- lists


_ONLY_OURS = {"since"}


def list_case(name: str, rows: int = PAGE, **arguments: Any) -> None:
    """The same list from Codex by its default, and from its database alone. A function gives an argument by home."""

    def given(lab: Lab, side: str = "") -> Json:
        cursors = {key: lab.memo.get(f"{side}{value.key}") or None for key, value in deep.items()}
        return {key: value(lab) if callable(value) else value for key, value in arguments.items()} | cursors

    deep = {key: value for key, value in arguments.items() if isinstance(value, Deep)}

    def operations(lab: Lab, number: int) -> Sides:
        ours = given(lab)
        theirs = {camel(key): value for key, value in given(lab, "codex ").items() if key not in _ONLY_OURS}
        least = min(rows, PAGE if lab.size >= 1_000 else 1)
        sides: Sides = {
            "ours": lambda: check(lab.ours.call("thread_list", limit=PAGE, **ours), least),
            "unchecked": lambda: check(lab.ours.call_unchecked("thread_list", limit=PAGE, **ours), least),
            "bare": bare(lab),
            "ready": ready(lab, "thread_list", limit=PAGE, **ours),
            "codex": lambda: check(lab.codex.request("thread/list", limit=PAGE, **theirs), least),
            "codex_db": lambda: check(
                lab.codex.request("thread/list", limit=PAGE, useStateDbOnly=True, **theirs), least
            ),
        }
        if (small := lab.small) is not None:
            asked = given(small)
            sides["small"] = lambda: check(small.ours.call("thread_list", limit=PAGE, **asked))
        return sides

    targets = (faster("codex", 10, at=HUNDRED), faster("codex_db", 5, at=HUNDRED), flat(1.5, at=HUNDRED), own(OWN_MS))
    CASES.append(Case(f"thread_list, {name}", operations, targets))


list_case("default")
list_case("oldest first", sort_direction="asc")
list_case("by updated_at", sort_key="updated_at")
list_case("by recency_at", sort_key="recency_at")
list_case("deepest page", cursor=Deep("created_at"))
list_case("deepest page by updated_at", sort_key="updated_at", cursor=Deep("updated_at"))
list_case("one cwd of ten", cwd="/srv/proj3")
list_case("one cwd, deepest page", 1, cwd="/srv/proj3", cursor=Deep("created_at"))
list_case("by provider", model_providers=["mock"])
list_case("by source", source_kinds=["vscode"])
list_case("sub-agents", source_kinds=["subAgent"])
list_case("archived", archived=True)
list_case("since", 1, since="2026-09-15T00:00:00Z")
list_case("search_term, one match", 1, search_term=unique_text)
list_case("search_term, no match", 0, search_term=ABSENT)
list_case("search_term, all match", search_term="turn 0")
list_case("below an ancestor", ancestor_thread_id=tree_root)
list_case("of a parent", 4, parent_thread_id=tree_root)


# ---------------------------------------------------------------------------------------------- search


def camel(name: str) -> str:
    """A parameter as Codex spells it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


RARE_MS = 1.5 * 5.0
"""Before words were indexed a search for a rare one took 5 ms."""
QUESTION_MS = 100.0


def search_case(name: str, term: str, rows: int, *targets: Target) -> None:
    def operations(lab: Lab, number: int) -> Sides:
        least = min(rows, lab.size // 2 or 1) if rows else 0
        return {
            "ours": lambda: _search(lab.ours.call, term, least),
            "unchecked": lambda: _search(lab.ours.call_unchecked, term, least),
            "bare": bare(lab),
            "ready": ready(lab, "thread_search", search_term=term, limit=HITS),
            "codex": lambda: check(lab.codex.request("thread/search", searchTerm=term, limit=HITS), least),
        }

    CASES.append(Case(f"thread_search, {name}", operations, targets))


async def _search(call: Callable[..., Awaitable[Json]], term: str, rows: int) -> None:
    """Search to the end of what is there, or of the page."""
    found = 0
    cursor: Json = {}
    while True:
        answer = await call("thread_search", search_term=term, limit=HITS, **cursor)
        found += len(answer.get("data", []))
        if found >= max(rows, 1) or not answer.get("next_cursor"):
            break
        cursor = {"cursor": answer["next_cursor"]}
    if found < rows or (rows == 0 and found):
        raise Failed(f"expected {rows} hits, got {found}")


search_case("rare term", RARE, 1, faster("codex", 300, at=HUNDRED), below(RARE_MS, at=HUNDRED))
search_case("absent term", ABSENT, 0, faster("codex", 300, at=HUNDRED))
search_case("common term", COMMON, HITS, faster("codex", 50, at=HUNDRED))
search_case("three common words", f"{COMMON} parser index", HITS, below(QUESTION_MS, at=HUNDRED))


# ---------------------------------------------------------------------------------------------- one thread


def read_turns(thread_of: Callable[[Lab], str]) -> Operations:
    def operations(lab: Lab, number: int) -> Sides:
        thread_id = thread_of(lab)

        asked: Json = {"thread_id": thread_id, "include_turns": True, "limit": TURNS, "response_format": "detailed"}

        async def read(answered: Awaitable[Json]) -> None:
            answer = await answered
            turns = answer.get("turns") or answer["thread"].get("turns", [])  # within the thread before 0.2
            if len(turns) != TURNS:
                raise Failed(f"expected {TURNS} turns, got {len(turns)}")

        return {
            "ours": lambda: read(lab.ours.call("thread_read", **asked)),
            "unchecked": lambda: read(lab.ours.call_unchecked("thread_read", **asked)),
            "bare": bare(lab),
            "ready": ready(lab, "thread_read", **asked),
            "codex": lambda: check(lab.codex.request("thread/turns/list", threadId=thread_id, limit=TURNS), TURNS),
        }

    return operations


case(READ_LONG, faster("codex", 10))(read_turns(lambda lab: lab.ours_home.long[-1]))
case(f"{READ_LONG}, beside a huge one", faster("codex", 10), home="large")(
    read_turns(lambda lab: lab.ours_home.long[-1])
)
case(
    f"thread_read, {TURNS} turns of a huge thread",
    faster("codex", 10),
    near(f"{READ_LONG}, beside a huge one", 2),
    home="large",
)(read_turns(lambda lab: lab.huge))


# ---------------------------------------------------------------------------------------------- other tools


def tool_case(
    name: str,
    tool: str,
    arguments: Callable[[Lab], Json],
    codex: Callable[[Lab], Awaitable[Json]] | None = None,
    *,
    reads: bool = False,
) -> None:
    """A tool that is only asked for how little it does itself; if it `reads` a file, not even that."""

    def operations(lab: Lab, number: int) -> Sides:
        sides: Sides = {
            "ours": lambda: check(lab.ours.call(tool, **arguments(lab))),
            "unchecked": lambda: check(lab.ours.call_unchecked(tool, **arguments(lab))),
            "bare": bare(lab),
            "ready": ready(lab, tool, **arguments(lab)),
        }
        if codex is not None:
            asked = codex
            sides["codex"] = lambda: check(asked(lab))
        return sides

    CASES.append(Case(name, operations, () if reads else (own(OWN_MS),)))


def _middle(lab: Lab) -> str:
    return lab.ours_home.threads[len(lab.ours_home.threads) // 3]


tool_case("thread_list, a page as it comes by default", "thread_list", lambda _: {})
tool_case(
    "thread_loaded_list",
    "thread_loaded_list",
    lambda _: {},
    lambda lab: lab.codex.request("thread/loaded/list"),
)
tool_case(
    "thread_read, metadata",
    "thread_read",
    lambda lab: {"thread_id": _middle(lab)},
    lambda lab: lab.codex.request("thread/read", threadId=_middle(lab)),
)
tool_case("thread_items, 25 of a short thread", "thread_items", lambda lab: {"thread_id": _middle(lab)}, reads=True)
tool_case(
    "thread_items, 25 of a long thread", "thread_items", lambda lab: {"thread_id": lab.ours_home.long[-1]}, reads=True
)
tool_case("thread_tree, of a tree", "thread_tree", lambda lab: {"thread_id": lab.ours_home.tree[0]})
tool_case("events_read", "events_read", lambda _: {})
