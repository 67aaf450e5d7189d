"""What a search reads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rollout_lines import agent, ended, line, started, user

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import encode_line
from mcp_server.codex.texts import searchable
from mcp_server.models.params import SearchParams
from mcp_server.models.turn import Item
from mcp_server.storage.memory.index import MemoryState
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.sync.reconciler import sync
from mcp_server.threads import search
from mcp_server.threads.search import Searcher
from tests.worlds import World

ID = "01a20581-0000-7000-8000-000000000001"


def test_a_turn_is_read_once_however_many_texts_of_it_answer() -> None:
    rollouts, state = MemoryRollouts(), MemoryState()
    meta = line("session_meta", id=ID, timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
    said = (agent(f"words {n} {'x' * 20_000}") for n in range(30))  # a piece of the index each
    data = b"".join(map(encode_line, (meta, started("a"), user("go"), *said, ended("a"))))
    rollouts.create(RolloutRef(rollouts.new(ID, 0).path), data)
    sync(rollouts, state, quiet=True)
    searcher = World(rollouts, state).service().searcher
    searcher.search(SearchParams("words"))  # which indexes it
    read: list[int] = []
    original = rollouts.read

    def seen(rollout: RolloutRef, ranges: list[tuple[int, int]]) -> list[bytes]:
        found = original(rollout, ranges)
        read.extend(map(len, found))
        return found

    rollouts.read = seen  # type: ignore[method-assign, assignment]
    assert len((searcher.search(SearchParams("words", limit=100))).data) == 30
    assert 0 < sum(read) < 1.5 * len(data)


def said_in_one_turn(*texts: str) -> Searcher:
    rollouts, state = MemoryRollouts(), MemoryState()
    meta = line("session_meta", id=ID, timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
    data = b"".join(map(encode_line, (meta, started("a"), user("go"), *map(agent, texts), ended("a"))))
    rollouts.create(RolloutRef(rollouts.new(ID, 0).path), data)
    sync(rollouts, state, quiet=True)
    return World(rollouts, state).service().searcher


def test_time_that_is_up_within_a_text_is_said_and_the_next_call_begins_with_that_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher = said_in_one_turn("a needle", "another needle")
    searcher.search(SearchParams("needle"))  # which indexes it
    monkeypatch.setattr(search, "_SECONDS", -1.0)
    monkeypatch.setattr(search, "_TEXT_SECONDS", -1.0)
    cut = searcher.search(SearchParams("needle"))
    assert (cut.data, cut.total) == ([], None)
    assert any("time was up" in reason for reason in cut.incomplete)
    monkeypatch.undo()
    whole = searcher.search(SearchParams("needle", cursor=cut.next_cursor))
    assert [hit.snippet for hit in whole.data] == ["another **needle**", "a **needle**"]


def test_a_text_that_takes_all_the_time_there_is_is_named_and_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher = said_in_one_turn("a needle" + " x" * 20_000, "an endless needle")
    searcher.search(SearchParams("needle"))  # which indexes it
    now = 0.0

    def endless(item: Item) -> tuple[list[str], bool]:
        nonlocal now
        now += 1_000 if "endless" in str(item.get("text")) else 0
        return searchable(item)

    monkeypatch.setattr(search, "searchable", endless)
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(search, "time", clock)
    cut = searcher.search(SearchParams("needle"))
    assert cut.data == []
    assert any(ID in reason and "too long to be searched" in reason for reason in cut.incomplete)
    rest = searcher.search(SearchParams("needle", cursor=cut.next_cursor))
    assert len(rest.data) == 1
    assert rest.data[0].snippet.startswith("a **needle**")
