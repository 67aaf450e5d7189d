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
from mcp_server.threads.search import searcher as verb
from mcp_server.threads.search import state as state_module
from mcp_server.threads.search import texts
from mcp_server.threads.search.bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.search.searcher import Searcher
from mcp_server.threads.search.state import Watch
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
    assert len((searcher.search(SearchParams("words", thread_id=ID, limit=100))).data[0].passages) == 30
    assert 0 < sum(read) < 1.5 * len(data)


def said_in_one_turn(*texts: str) -> Searcher:
    rollouts, state = MemoryRollouts(), MemoryState()
    meta = line("session_meta", id=ID, timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
    data = b"".join(map(encode_line, (meta, started("a"), user("go"), *map(agent, texts), ended("a"))))
    rollouts.create(RolloutRef(rollouts.new(ID, 0).path), data)
    sync(rollouts, state, quiet=True)
    return World(rollouts, state).service().searcher


def test_time_that_is_up_within_a_text_is_said_and_the_next_call_begins_with_that_text() -> None:
    searcher = said_in_one_turn("a needle", "another needle")
    searcher.search(SearchParams("needle", thread_id=ID))  # which indexes it
    searcher.bounds = SearchBounds(seconds=-1, text_seconds=-1)
    cut = searcher.search(SearchParams("needle", thread_id=ID))
    assert (cut.data, cut.total) == ([], None)
    assert any("time was up" in reason for reason in cut.incomplete)
    searcher.bounds = SEARCH_BOUNDS
    whole = searcher.search(SearchParams("needle", thread_id=ID, cursor=cut.next_cursor))
    assert [said.text for said in whole.data[0].passages] == ["another **needle**", "a **needle**"]


def test_a_text_that_takes_all_the_time_there_is_is_named_and_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searcher = said_in_one_turn("a needle" + " x" * 20_000, "an endless needle")
    searcher.search(SearchParams("needle", thread_id=ID))  # which indexes it
    now = 0.0

    def endless(item: Item) -> tuple[list[str], bool]:
        nonlocal now
        now += 1_000 if "endless" in str(item.get("text")) else 0
        return searchable(item)

    monkeypatch.setattr(texts, "searchable", endless)
    clock = SimpleNamespace(monotonic=lambda: now)
    for module in (verb, state_module):
        monkeypatch.setattr(module, "time", clock)
    cut = searcher.search(SearchParams("needle", thread_id=ID))
    assert cut.data == []
    assert any(ID in reason and "too long to be searched" in reason for reason in cut.incomplete)
    rest = searcher.search(SearchParams("needle", thread_id=ID, cursor=cut.next_cursor))
    (row,) = rest.data
    assert [said.text[:12] for said in row.passages] == ["a **needle**"]


def said_in_threads(*texts: str) -> Searcher:
    """Threads that are not indexed yet."""
    rollouts, state = MemoryRollouts(), MemoryState()
    for number, text in enumerate(texts):
        thread_id = f"{ID[:-4]}{number:04}"
        meta = line("session_meta", id=thread_id, timestamp="2026-11-22T10:00:00.000Z", cwd="/w", source="cli")
        rollouts.create(
            RolloutRef(rollouts.new(thread_id, number).path),
            b"".join(map(encode_line, (meta, started("a"), user(text)))),
        )
    sync(rollouts, state, quiet=True)
    return World(rollouts, state).service().searcher


def test_who_waits_is_told_how_many_histories_are_read() -> None:
    told: list[tuple[int, int]] = []
    searcher = said_in_threads(*["some words"] * 3)
    answer = searcher.search(SearchParams("words"), Watch(lambda done, found: told.append((done, found)), patient=True))
    assert (len(answer.data), answer.incomplete) == (3, [])
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_search_that_nobody_waits_for_reads_no_more() -> None:
    done = 0

    def progress(read: int, _found: int) -> None:
        nonlocal done
        done = read

    searcher = said_in_threads(*["some words"] * 9)
    answer = searcher.search(SearchParams("words"), Watch(progress, stopped=lambda: done == 2))
    assert done == 2
    assert answer.incomplete[0].startswith("7 threads are not indexed yet")
