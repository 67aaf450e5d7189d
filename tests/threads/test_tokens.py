"""Tokens: counted turn by turn from the counts in a rollout, summed over a thread and a tree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.tokens import token_count
from mcp_server.models.params import ReadParams, StatsParams
from mcp_server.models.tokens import TokenCount, TokenUsage
from mcp_server.sync.reconciler import sync
from tests.stores.rollout_text import START_MS, event, meta, text_of, user
from tests.threads.conftest import Home, spawned_by

Json = dict[str, Any]
THREAD, CHILD, FORK = (f"01a20581-0000-7000-8000-{number:012x}" for number in (1, 2, 3))


def count(total: int, window: int = 0) -> Json:
    usage = {"input_tokens": total, "cached_input_tokens": total // 2, "output_tokens": total // 10}
    last = {"last_token_usage": {"total_tokens": window}, "model_context_window": 9_000}
    return event("token_count", info={"total_token_usage": usage, **last})


def turn(turn_id: str, *counts: Json, started: int = START_MS // 1000) -> list[Json]:
    return [
        event("task_started", turn_id=turn_id, started_at=started),
        user(f"asked in {turn_id}"),
        *counts,
        event("task_complete", turn_id=turn_id),
    ]


def plant(home: Home, thread_id: str, *lines: Json, **fields: Any) -> None:
    path = home.rollouts.new(thread_id, START_MS).path
    home.rollouts.create(RolloutRef(path), text_of(meta(thread_id, **fields), *lines))
    sync(home.rollouts, home.state, quiet=True)


def test_each_turn_has_what_was_counted_since_the_turn_before(home: Home) -> None:
    plant(
        home,
        THREAD,
        *turn("t1", event("token_count", info=None), count(100, 80)),
        *turn("t2", count(100, 80), count(250, 150), count(300, 190)),
        *turn("t3"),
        *turn("t4", count(340, 60)),
    )
    read = home.service().reader.read(ReadParams(THREAD))
    used = {turn.id: turn.tokens.input if turn.tokens else None for turn in read.turns}
    assert used == {"t1": 100, "t2": 200, "t3": None, "t4": 40}
    assert read.tokens
    assert (read.tokens.input, read.tokens.cached, read.tokens.output) == (340, 170, 34)
    assert (read.tokens.window, read.tokens.window_size) == (60, 9_000)


def test_a_page_of_last_turns_counts_from_the_turn_before_it(home: Home) -> None:
    plant(home, THREAD, *turn("t1", count(100)), *turn("t2", count(250)))
    (last,) = home.service().reader.read(ReadParams(THREAD, limit=1)).turns
    assert last.tokens
    assert last.tokens.input == 150


def test_a_thread_that_grows_is_counted_on(home: Home) -> None:
    plant(home, THREAD, *turn("t1", count(100)), *turn("t2"))
    service = home.service()
    service.reader.read(ReadParams(THREAD))
    (rollout,) = home.rollouts.locate(THREAD)
    home.rollouts.append(rollout, text_of(*turn("t3", count(130))))
    used = {turn.id: turn.tokens for turn in service.reader.read(ReadParams(THREAD)).turns}
    assert used["t2"] is UNSET
    assert used["t3"] == TokenUsage(input=30, cached=15, output=3)


def test_a_count_that_begins_anew_is_not_taken_for_less(home: Home) -> None:
    plant(home, THREAD, *turn("t1", count(500)), *turn("t2", count(100)))
    used = {turn.id: turn.tokens for turn in home.service().reader.read(ReadParams(THREAD)).turns}
    assert used["t2"] == TokenUsage(input=100, cached=50, output=10)


def test_a_tree_sums_its_threads_and_leaves_out_what_a_fork_copied(home: Home) -> None:
    plant(home, THREAD, *turn("t1", count(100)))
    plant(home, CHILD, *turn("c1", count(40)), **spawned_by(THREAD))
    before = START_MS // 1000 - 3_600
    plant(home, FORK, *turn("t1", count(100), started=before), *turn("f1", count(110)), forked_from_id=THREAD)
    service = home.service()
    for thread_id in (THREAD, CHILD, FORK):
        service.reader.read(ReadParams(thread_id))
    shown = service.tree.show(THREAD)
    assert {node.thread_id: node.tokens.input for node in shown.nodes if node.tokens} == {THREAD: 100, CHILD: 40}
    assert shown.tokens == TokenUsage(input=140, cached=70, output=14)
    assert [(fork.thread_id, fork.forked_from_id) for fork in shown.forks or ()] == [(FORK, THREAD)]
    total = service.stats.show(StatsParams()).total
    assert total.tokens == TokenUsage(input=150, cached=75, output=15)
    assert (total.threads, total.turns) == (3, 3)


def test_a_thread_without_counts_has_no_tokens(home: Home) -> None:
    plant(home, THREAD, *turn("t1"))
    read = home.service().reader.read(ReadParams(THREAD))
    assert (read.tokens, read.turns[0].tokens) == (UNSET, UNSET)


@pytest.mark.parametrize("info", [None, 5, [], {}, {"total_token_usage": "many"}, {"total_token_usage": {}}])
def test_an_event_without_a_count_tells_nothing(info: Any) -> None:
    assert token_count({"type": "token_count", "info": info}) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_no_payload_raises_an_error(value: Any) -> None:
    fields = {"total_token_usage": {"input_tokens": value, "output_tokens": value}, "last_token_usage": value}
    found = token_count({"info": {**fields, "model_context_window": value}})
    assert isinstance(found, TokenCount)
    assert found.total.input >= 0
