"""How lines of a rollout become turns: their bounds, their order, their ids."""

from __future__ import annotations

from typing import Any

import pytest
from any_lines import ANY_LINES
from hypothesis import given
from hypothesis import strategies as st
from rollout_lines import (
    aborted,
    agent,
    call,
    completed,
    ended,
    event,
    folded,
    ids,
    kinds,
    line,
    output,
    response,
    rolled_back,
    started,
    user,
)

from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.parser import TurnBuilder
from mcp_server.models.history import ParserState
from mcp_server.models.value import Json, plain
from tests.histories import check_types


def test_a_started_and_completed_turn_keeps_its_ids_and_times():
    (turn,) = folded(started("a", root_turn_id="r"), user("hi"), ended("a"))

    assert (turn.id, turn.root_turn_id, turn.status, turn.error) == ("a", "r", "completed", None)
    assert (turn.started_at, turn.completed_at, turn.duration_ms) == (100, 101, 7)


def test_the_newer_names_of_the_delimiters_mean_the_same():
    (turn,) = folded(event("turn_started", turn_id="a"), user("hi"), event("turn_complete", turn_id="a"))

    assert (turn.id, turn.status) == ("a", "completed")


def test_a_turn_that_ends_with_an_error_has_failed():
    error = {"message": "down", "codex_error_info": "internal_server_error", "additional_details": "more"}
    (turn,) = folded(started("a"), user("hi"), ended("a", error=error))

    assert turn.status == "failed"
    assert turn.error is not None
    assert plain(turn.error) == error | {"codex_error_info": "internalServerError"}


def test_a_class_of_error_with_fields_keeps_them():
    error = {"message": "m", "codex_error_info": {"http_connection_failed": {"http_status_code": 503}}}
    (turn,) = folded(started("a"), user("hi"), ended("a", error=error))

    assert turn.error is not None
    assert turn.error.codex_error_info == {"httpConnectionFailed": {"http_status_code": 503}}


def test_an_aborted_turn_is_interrupted_and_over():
    first, second = folded(started("a"), user("hi"), aborted("a", completed_at=5, duration_ms=3), user("again"))

    assert (first.status, first.completed_at, first.duration_ms) == ("interrupted", 5, 3)
    assert (second.id, second.status) == ("rollout-4", "completed")


def test_an_abort_without_a_turn_id_ends_the_turn_that_runs():
    (turn,) = folded(user("hi"), aborted(None))

    assert turn.status == "interrupted"


def test_a_late_end_does_not_undo_an_interruption():
    (turn,) = folded(started("a"), user("hi"), aborted("a"), ended("a"))

    assert turn.status == "interrupted"


def test_a_turn_without_an_end_is_in_progress():
    assert [turn.status for turn in folded(started("a"), user("hi"))] == ["inProgress"]


def test_a_started_turn_is_shown_before_it_has_items():
    assert ids(folded(started("a"))) == [[]]


def test_without_delimiters_each_user_message_opens_a_turn_named_by_its_line():
    first, second = folded(user("one"), agent("re"), user("two"))

    assert (first.id, first.status, kinds(first)) == ("rollout-1", "completed", ["userMessage", "agentMessage"])
    assert (second.id, kinds(second)) == ("rollout-3", ["userMessage"])


def test_a_user_message_inside_a_started_turn_stays_in_it():
    assert ids(folded(started("a"), user("one"), user("steer"), ended("a"))) == [["item-1", "item-2"]]


def test_a_message_after_the_end_of_a_turn_opens_another():
    assert [turn.id for turn in folded(started("a"), user("one"), ended("a"), agent("late"))] == ["a", "rollout-4"]


def test_a_compaction_before_the_first_message_belongs_to_its_turn():
    (turn,) = folded(line("compacted", message="summary"), user("one"))

    assert (turn.id, kinds(turn)) == ("rollout-1", ["userMessage"])


def test_a_rollback_drops_the_last_turns_and_their_numbers():
    turns = folded(user("one"), agent("re"), user("two"), agent("re"), user("three"), rolled_back(2), user("four"))

    assert [turn.id for turn in turns] == ["rollout-1", "rollout-7"]
    assert ids(turns) == [["item-1", "item-2"], ["item-3"]]


def test_a_rollback_of_more_turns_than_there_are_drops_all():
    assert ids(folded(user("one"), rolled_back(9), user("two"))) == [["item-1"]]


@pytest.mark.parametrize("num_turns", [0, -1])
def test_a_rollback_of_no_turns_drops_none(num_turns: int):
    assert len(folded(user("one"), user("two"), rolled_back(num_turns))) == 2


def test_synthetic_numbers_go_on_after_the_items_that_codex_counts():
    turns = folded(
        started("a"),
        user("one"),
        call("c"),
        event("web_search_end", call_id="w", query="q", action={"type": "open_page", "url": "u"}),
        ended("a"),
        started("b"),
        ended("b"),
        rolled_back(1),
        user("two"),
    )

    assert ids(turns) == [["item-1", "c", "w"], ["item-3"]]


def test_session_metadata_copied_from_the_source_of_a_fork_changes_nothing():
    copied = line("session_meta", id="source", history_mode="paginated")

    assert ids(folded(copied, user("one"), agent("re"))) == [["item-1", "item-2"]]


# ---------------------------------------------------------------------------------------------- tool calls


def test_a_call_and_its_output_are_one_item():
    (turn,) = folded(started("a"), user("one"), call("c", namespace="n"), output("c", "files"), agent("re"), ended("a"))

    assert [item.id for item in turn.items] == ["item-1", "c", "item-2"]
    assert turn.items[1] == {
        "type": "dynamicToolCall",
        "id": "c",
        "started_at_ms": None,
        "completed_at_ms": None,
        "tool": "exec",
        "namespace": "n",
        "arguments": {"cmd": "ls"},
        "status": "completed",
        "content_items": [{"type": "inputText", "text": "files"}],
        "success": None,
    }


def test_a_call_without_output_is_in_progress():
    (turn,) = folded(started("a"), user("one"), call("c"))

    assert (turn.items[1]["status"], turn.items[1]["content_items"]) == ("inProgress", None)


@pytest.mark.parametrize(
    ("recorded", "fields"),
    [("no", {"success": False}), ({"content": "no", "success": False}, {})],
    ids=["beside the output", "inside the output"],
)
def test_an_output_without_success_makes_the_call_failed(recorded: Any, fields: Json):
    (turn,) = folded(user("one"), call("c"), output("c", recorded, **fields))

    assert (turn.items[1]["status"], turn.items[1]["success"]) == ("failed", False)
    assert turn.items[1]["content_items"] == [{"type": "inputText", "text": "no"}]


def test_arguments_that_are_not_json_stay_text():
    patch = response("custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="c")
    (turn,) = folded(user("one"), patch, response("custom_tool_call_output", call_id="c", output="done"))

    assert turn.items[1]["arguments"] == "*** Begin Patch"
    assert turn.items[1]["status"] == "completed"


def test_an_output_in_parts_keeps_them():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]
    (turn,) = folded(user("one"), call("c"), output("c", parts))

    assert [part["type"] for part in turn.items[1]["content_items"]] == ["inputText", "inputImage"]


def test_an_output_after_the_end_of_the_turn_still_reaches_its_call():
    (turn,) = folded(started("a"), user("one"), call("c"), ended("a"), output("c", "late"))

    assert turn.items[1]["status"] == "completed"


@pytest.mark.parametrize("paginated", [False, True])
def test_a_call_that_has_an_item_of_its_own_is_not_shown_twice(paginated: bool):
    done = completed("a", {"type": "CommandExecution", "id": "c", "command": ["ls"], "status": "completed"})
    (turn,) = folded(started("a"), call("c"), done, output("c", "files"), call("c"), ended("a"), paginated=paginated)

    assert kinds(turn) == ["commandExecution"]


def test_a_call_id_used_again_in_a_later_turn_is_that_turns_item():
    turns = folded(
        started("a"), user("one"), call("c"), output("c", "1"), started("b"), user("two"), call("c"), output("c", "2")
    )

    assert ids(turns) == [["item-1", "c"], ["item-2", "c"]]
    assert [turn.items[1]["content_items"][0]["text"] for turn in turns] == ["1", "2"]


def test_a_recorded_id_that_looks_synthetic_replaces_nothing():
    (turn,) = folded(started("a"), user("one"), call("item-1"), call("item-2"), agent("re"))

    assert [item.id for item in turn.items] == ["item-1", "item-1~2", "item-2", "item-2~2"]


def test_a_parser_that_begins_inside_a_thread_goes_on_with_the_given_item_number():
    builder = TurnBuilder(begin=ParserState(item=5))
    for each in (started("a"), user("one"), call("c")):
        builder.feed(each)

    assert ids(builder.turns()) == [["item-5", "c"]]
    assert builder.next_item == 6


# ---------------------------------------------------------------------------------------------- any lines


@given(ANY_LINES, st.booleans())
def test_any_lines_fold_without_an_error_into_well_typed_turns_with_ids_unique_in_each(
    lines: list[RolloutLine], paginated: bool
):
    turns = folded(*lines, paginated=paginated)

    assert all(len({item.id for item in turn.items}) == len(turn.items) for turn in turns)
    for turn in turns:
        check_types(turn)
