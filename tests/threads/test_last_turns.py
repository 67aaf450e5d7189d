"""What a first look at a file tells of its last turn is what the index of its turns tells later, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_lines import aborted, agent, ended, event, folded, rolled_back, started, user

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.models.thread import ANSWER_CHARS, ERROR_CHARS, FileStamp, LastTurn, last_turn
from mcp_server.storage.memory.rollouts import MemoryRollouts

KEY = "01a20581-47b4-7322-81ec-5e29ff6d3d2a"
PATH = f"sessions/2026/11/22/rollout-2026-11-22T23-04-48-{KEY}.jsonl"


def described(*lines: RolloutLine, mode: str = "legacy", torn: bytes = b"") -> LastTurn | None:
    home = MemoryRollouts()
    head = RolloutLine("session_meta", {"id": KEY, "history_mode": mode}, "2026-11-22T10:00:00.000Z")
    text = b"".join(map(encode_line, (head, *lines))) + torn
    home._files[PATH] = (text, 0)  # pyright: ignore[reportPrivateUsage]
    return home.describe(RolloutRef(PATH, FileStamp(len(text), 0))).thread.last_turn


def turn(turn_id: str, end: str, message: str | None) -> list[RolloutLine]:
    """A turn as Codex records it."""
    said = [] if message is None else [agent(message)]
    ends = {
        "completed": [ended(turn_id, last_agent_message=message)],
        "failed": [ended(turn_id, last_agent_message=message, error={"message": f"why {turn_id}"})],
        "interrupted": [aborted(turn_id)],
        "inProgress": [],
    }
    return [started(turn_id), user("go"), *said, *ends[end]]


TURNS = st.lists(st.tuples(st.sampled_from(["completed", "failed", "interrupted", "inProgress"]), st.booleans()))


@given(TURNS)
def test_of_turns_as_codex_records_them_the_look_tells_what_the_index_tells(turns: list[tuple[str, bool]]) -> None:
    lines = [one for n, (end, _) in enumerate(turns) for one in turn(f"t{n}", end, None)]
    whole = folded(*lines)
    told = described(*lines)
    assert (told and told.status) == (whole[-1].status if whole else None)
    assert (told and told.error) == (f"why t{len(turns) - 1}" if turns and turns[-1][0] == "failed" else None)


def test_the_answer_is_the_last_one_that_a_turn_has_ended_with() -> None:
    lines = [*turn("a", "completed", "first"), *turn("b", "completed", "second"), *turn("c", "interrupted", None)]
    assert described(*lines) == LastTurn("interrupted", None, "second")
    assert described(*lines, started("d")) == LastTurn("inProgress", None, "second")


UNSURE: dict[str, list[RolloutLine]] = {
    "no event": [],
    "a message outside of turns": [*turn("a", "failed", None), user("and")],
    "turns that were rolled back": [*turn("a", "completed", None), *turn("b", "failed", None), rolled_back(1)],
    "the late end of another turn": [*turn("a", "inProgress", None), *turn("b", "completed", None), ended("a")],
    "an end without its start": [ended("a")],
}


@pytest.mark.parametrize("lines", UNSURE.values(), ids=UNSURE)
def test_where_the_events_leave_doubt_nothing_is_told(lines: list[RolloutLine]) -> None:
    assert described(*lines) is None


def test_a_paginated_thread_rolls_nothing_back() -> None:
    assert described(*turn("a", "completed", None), rolled_back(1), mode="paginated") == LastTurn("completed")


def test_an_end_that_is_not_written_to_its_end_is_none() -> None:
    torn = encode_line(ended("a"))[:-9]
    assert described(started("a"), torn=torn) == LastTurn("inProgress")


def test_an_end_in_another_layout_than_codexs_counts_too() -> None:
    told: dict[str, Any] = {"error": {"message": "no quota"}}
    spaced = encode_line(event("task_complete", turn_id="a", **told)).replace(b'"payload":', b' "x": 1, "payload" :')
    assert described(started("a"), torn=spaced) == LastTurn("failed", "no quota")


def test_texts_are_on_one_line_cut_and_fit_for_any_store() -> None:
    told = last_turn("failed", "x" * 1_000, "  many\n\n words " + "y" * 200)
    assert (len(told.error or ""), (told.error or "")[-1]) == (ERROR_CHARS, "…")
    assert (told.answer or "").startswith("many words yyy")
    assert len(told.answer or "") == ANSWER_CHARS
    assert last_turn("completed", " \n", "half \ud800") == LastTurn("completed", None, "half ?")
