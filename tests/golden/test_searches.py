"""Searches in a real Codex home find what Codex found."""

from __future__ import annotations

import pytest

from tests.golden.beside import Beside, Json
from tests.golden.differences import BORROWED_IN_FORKS, NAMES, TOOLS

pytestmark = pytest.mark.anyio


async def test_every_search_finds_the_threads_that_codex_finds(beside: Beside) -> None:
    for answer in beside.answers("thread/search"):
        params = answer["params"]
        hits = await _hits(beside, search_term=f'"{params["searchTerm"]}"', archived=params.get("archived", False))
        theirs = {hit["thread"]["id"] for hit in answer["ok"]["data"]}
        assert theirs <= {hit["thread"]["id"] for hit in hits}, answer["label"]
        for hit in hits:
            if hit["thread"]["id"] not in theirs:
                _explain(beside, hit, answer["label"])


async def test_a_search_within_a_thread_finds_the_messages_that_codex_finds(beside: Beside) -> None:
    for answer in beside.answers("thread/searchOccurrences"):
        if "error" in answer:  # Codex has none for legacy threads
            continue
        params = answer["params"]
        hits = await _hits(beside, search_term=f'"{params["searchTerm"]}"', thread_id=params["threadId"])
        passages = [passage for hit in hits for passage in hit["passages"]]
        ours = {(one["turn_id"], one["item_id"]) for one in passages if "item_id" in one}
        assert ours == {(one["turnId"], one["itemId"]) for one in answer["ok"]["data"]}, answer["label"]


async def _hits(beside: Beside, **arguments: object) -> list[Json]:
    hits: list[Json] = []
    cursor = None
    while True:
        page = await beside.call("thread_search", **arguments, limit=100, **({"cursor": cursor} if cursor else {}))
        assert page["incomplete"] == []
        hits += [{**row, "notes": page["notes"]} for row in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            return hits


def _explain(beside: Beside, hit: Json, label: str) -> None:
    """Why we find what Codex doesn't."""
    if any("tool calls" in note for note in hit["notes"]):
        beside.differences.seen.add(TOOLS)
        return
    if not any("item_id" in passage for passage in hit["passages"]):
        beside.differences.seen.add(NAMES)
        return
    assert hit["thread"]["forked_from_id"] is not None, f"{label}: {beside.golden.name_of(hit['thread']['id'])}"
    beside.differences.seen.add(BORROWED_IN_FORKS)
