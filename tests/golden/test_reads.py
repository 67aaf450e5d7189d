"""Threads, turns and items of a real Codex home are those that Codex showed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.beside import Beside, Json, snake

pytestmark = pytest.mark.anyio


async def test_every_thread_is_read_as_codex_reads_it(beside: Beside) -> None:
    for answer in beside.answers("thread/read"):
        thread_id, include = answer["params"]["threadId"], answer["params"].get("includeTurns", False)
        if "error" in answer:  # unmaterialised and ephemeral threads ended with the Codex that held them
            refusal = await beside.refusal("thread_read", thread_id=thread_id, include_turns=include)
            assert refusal == "thread_not_found", answer["label"]
            continue
        turns = {"items_view": "full", "sort_direction": "asc"} if include else {}
        ours = await beside.call("thread_read", thread_id=thread_id, include_turns=include, **turns)
        theirs = beside.thread(answer["ok"]["thread"])
        beside.differences.thread({**ours["thread"], "turns": ours["turns"]}, theirs, answer["label"])


async def test_pages_of_turns_are_those_of_codex(beside: Beside) -> None:
    for answer in beside.answers("thread/turns/list"):
        arguments: Json = {"thread_id": answer["params"]["threadId"], "include_turns": True}
        if "error" in answer:
            assert await beside.refusal("thread_read", **arguments) == "thread_not_found", answer["label"]
            continue
        page = await beside.call("thread_read", **arguments, limit=answer["params"]["limit"])
        beside.differences.turns(page["turns"], snake(answer["ok"]["data"]), answer["label"])


async def test_items_are_those_of_codex(beside: Beside) -> None:
    for answer in beside.answers("thread/items/list"):
        if "error" in answer:  # Codex has none for legacy threads
            continue
        theirs = snake(answer["ok"]["data"])
        ours = await _items(beside, answer["params"]["threadId"], answer["params"].get("limit"))
        if not theirs and beside.databases != "kept":
            continue  # they went with Codex's databases
        assert [entry["turn_id"] for entry in ours] == [entry["turn_id"] for entry in theirs], answer["label"]
        beside.differences.items(
            [entry["item"] for entry in ours], [entry["item"] for entry in theirs], answer["label"]
        )


async def test_every_thread_has_turns_whatever_became_of_the_databases(beside: Beside) -> None:
    told = {
        answer["params"]["threadId"]: answer["ok"]["thread"]["turns"]
        for answer in beside.golden.answers("kept")
        if answer["method"] == "thread/read" and "ok" in answer and answer["params"].get("includeTurns")
    }
    for thread_id, theirs in told.items():
        ours = await beside.call("thread_read", thread_id=thread_id, include_turns=True, sort_direction="asc")
        shown = [(turn["id"], turn["status"]) for turn in ours["turns"]]
        assert shown == [(turn["id"], turn["status"]) for turn in theirs], beside.golden.name_of(thread_id)


async def _items(beside: Beside, thread_id: str, limit: int | None) -> list[Any]:
    """One page, or all of them where no limit is named."""
    found: list[Any] = []
    arguments: Json = {"thread_id": thread_id, "max_chars": 50_000}
    while True:
        page = await beside.call("thread_items", **arguments, limit=limit or 100)
        found += page["data"]
        if limit is not None or page["next_cursor"] is None:
            return found
        arguments["cursor"] = page["next_cursor"]
