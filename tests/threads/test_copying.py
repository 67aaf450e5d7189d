import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex import writer as recording
from mcp_server.codex.fork import HistoryCopy, Numbering, to_legacy
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.errors import TurnNotFound
from mcp_server.models.times import rfc3339
from tests.histories import fork_lines

THEN, NOW = 1_795_388_690_000, 1_795_399_999_000
SOURCE = "01a20581-0000-7000-8000-000000000001"


def text(value: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value}]


def turn(turn_id: str, *, ended: bool = True) -> list[RolloutLine]:
    lines = [
        *recording.turn_started(turn_id, turn_id, THEN),
        *recording.user_message(turn_id, text(f"ask {turn_id}"), THEN),
        *recording.agent_message(turn_id, f"answer {turn_id}", THEN),
    ]
    return lines + recording.turn_completed(turn_id, turn_id, THEN, None, THEN) if ended else lines


def meta(**fields: Any) -> RolloutLine:
    return RolloutLine(type="session_meta", payload={"id": SOURCE, **fields}, timestamp=rfc3339(THEN))


def events(lines: list[RolloutLine], kind: str) -> list[str]:
    return [line.payload.get("message") or line.payload.get("turn_id") or "" for line in lines if line.event == kind]


def copied(source: list[RolloutLine], **bound: str) -> list[RolloutLine]:
    return list(fork_lines(source, SOURCE, NOW, **bound))


def test_a_whole_copy_holds_every_line_with_the_forks_time() -> None:
    source = [meta(cwd="/work", history_mode="legacy"), *turn("a"), *turn("b")]
    copy = copied(source)
    assert [(line.type, line.payload) for line in copy] == [(line.type, line.payload) for line in source]
    assert {line.timestamp for line in copy} == {rfc3339(NOW)}


def test_a_copy_up_to_a_turn_includes_it_and_nothing_after() -> None:
    copy = copied([meta(), *turn("a"), *turn("b"), *turn("c")], last_turn_id="b")
    assert events(copy, "user_message") == ["ask a", "ask b"]
    assert copy[-1].event == "task_complete"


def test_a_copy_before_a_turn_ends_with_the_one_before() -> None:
    copy = copied([meta(), *turn("a"), *turn("b")], before_turn_id="b")
    assert events(copy, "user_message") == ["ask a"]
    assert copy[-1].event == "task_complete"


def test_a_copy_before_the_first_turn_holds_no_turn() -> None:
    assert [line.type for line in copied([meta(), *turn("a")], before_turn_id="a")] == ["session_meta"]


@pytest.mark.parametrize("bound", ["last_turn_id", "before_turn_id"])
def test_a_bound_that_is_no_turn_of_the_source_is_refused(bound: str) -> None:
    with pytest.raises(TurnNotFound) as caught:
        copied([meta(), *turn("a")], **{bound: "nope"})
    assert (caught.value.turn_id, caught.value.thread_id) == ("nope", SOURCE)


@pytest.mark.parametrize("bound", [{}, {"last_turn_id": "b"}])
def test_a_turn_in_progress_is_interrupted_in_the_copy(bound: dict[str, str]) -> None:
    copy = copied([meta(), *turn("a"), *turn("b", ended=False)], **bound)
    assert events(copy, "turn_aborted") == ["b"]
    assert copy[-2].payload["content"][0]["text"] == recording.TURN_ABORTED
    assert copy[-1].payload["started_at"] == THEN // 1000


def test_a_turn_that_crashed_before_the_bound_is_interrupted_where_it_is_the_last() -> None:
    source = [meta(), *turn("a", ended=False), *turn("b")]
    assert events(copied(source, last_turn_id="a"), "turn_aborted") == ["a"]
    assert events(copied(source, before_turn_id="b"), "turn_aborted") == ["a"]
    assert events(copied(source), "turn_aborted") == []


def test_the_end_of_another_turn_does_not_close_the_running_one() -> None:
    late = recording.turn_completed("gone", "gone", THEN, None, THEN)
    assert events(copied([meta(), *turn("a", ended=False), *late]), "turn_aborted") == ["a"]


def test_turns_that_codex_did_not_mark_are_bounded_by_the_numbers_of_their_lines() -> None:
    source = [meta(), *recording.user_message("", text("one"), THEN)[1:], *recording.agent_message("", "1", THEN)]
    source += recording.user_message("", text("two"), THEN)[1:]
    assert events(copied(source, last_turn_id="rollout-1"), "user_message") == ["one"]
    assert events(copied(source, before_turn_id="rollout-4"), "user_message") == ["one"]
    assert events(copied(source, last_turn_id="rollout-4"), "user_message") == ["one", "two"]
    assert events(copied(source), "turn_aborted") == []


def test_a_steer_inside_a_turn_begins_no_other() -> None:
    steered = turn("a", ended=False) + recording.user_message("a", text("steer"), THEN)
    steered += recording.turn_completed("a", "a", THEN, None, THEN)
    assert events(copied([meta(), *steered, *turn("b")], last_turn_id="a"), "user_message") == ["ask a", "steer"]


def test_a_copy_streams_and_reads_nothing_past_its_bound() -> None:
    def source() -> Iterator[RolloutLine]:
        yield from [meta(), *turn("a")]
        raise AssertionError("read on")

    lines = fork_lines(source(), SOURCE, NOW, last_turn_id="a")
    assert next(lines).type == "session_meta"
    assert [line.event for line in lines][-1] == "task_complete"


def test_a_copy_takes_no_line_after_its_bound() -> None:
    copy = HistoryCopy(SOURCE, NOW, last_turn_id="a")
    for line in turn("a"):
        copy.feed(line)
    assert copy.done
    assert copy.feed(turn("b")[0]) == []
    assert copy.close() == []


def test_a_paginated_source_is_copied_as_legacy_history() -> None:
    numbered = Numbering(SOURCE, 1).number(turn("a"), "a", THEN)
    base = {"thread_id": "x", "end_ordinal_exclusive": 1, "end_byte_offset": 9}
    copy = copied([meta(history_mode="paginated", history_base=base), *numbered])
    assert copy[0].payload == {"id": SOURCE, "history_mode": "legacy"}
    assert [(line.type, line.payload) for line in copy[1:]] == [(line.type, line.payload) for line in turn("a")]
    assert {line.ordinal for line in copy} == {None}


def item(**fields: Any) -> RolloutLine:
    return RolloutLine(type="event_msg", payload={"type": "item_completed", "item": fields}, ordinal=7)


def test_a_copied_item_whose_kind_has_an_event_becomes_that_event() -> None:
    reasoning = item(type="Reasoning", id="r", summary_text=["a", "b"], raw_content=["c"])
    assert [line.payload for line in to_legacy(reasoning)] == [
        {"type": "agent_reasoning", "text": "a"},
        {"type": "agent_reasoning", "text": "b"},
        {"type": "agent_reasoning_raw_content", "text": "c"},
    ]
    assert to_legacy(item(type="ContextCompaction", id="c"))[0].payload == {"type": "context_compacted"}


@pytest.mark.parametrize("kind", ["Plan", "CommandExecution", "CollabAgentToolCall", "SomethingNew"])
def test_a_copied_item_whose_kind_has_no_event_stays_an_item(kind: str) -> None:
    line = item(type=kind, id="x", text="t")
    assert to_legacy(line)[0].payload == line.payload
    assert to_legacy(line)[0].ordinal is None


def test_a_numbered_history_goes_on_counting_line_by_line() -> None:
    numbering = Numbering(SOURCE, 36)
    lines = [*numbering.number(turn("a"), "a", THEN), *numbering.number(turn("b"), "b", THEN)]
    assert [line.ordinal for line in lines] == list(range(36, 36 + len(lines)))


@pytest.mark.parametrize(("success", "status"), [(True, "completed"), (False, "failed"), (None, "completed")])
def test_a_numbered_history_records_a_tool_call_as_one_item_beside_the_models_lines(
    success: bool | None, status: str
) -> None:
    numbering = Numbering(SOURCE, 5)
    call = numbering.number(recording.tool_call("a", "c1", "tool", {"n": 1}, THEN), "a", THEN)
    output = numbering.number(recording.tool_output("a", "c1", "out", success, THEN), "a", THEN)
    assert [line.payload["type"] for line in call + output] == [
        "function_call",
        "item_completed",
        "function_call_output",
        "item_completed",
    ]
    begun = {"type": "DynamicToolCall", "id": "c1", "tool": "tool", "arguments": {"n": 1}}
    assert call[1].payload["item"] == {**begun, "status": "in_progress"}
    ended = {
        "status": status,
        "content_items": [{"type": "inputText", "text": "out"}],
        "success": success is not False,
    }
    assert output[1].payload["item"] == {**begun, **ended}


def test_an_output_whose_call_is_not_of_this_turn_is_for_the_model_alone() -> None:
    numbering = Numbering(SOURCE, 5)
    numbering.number(recording.tool_call("a", "c1", "tool", "no json", THEN), "a", THEN)
    numbering.number(recording.turn_completed("a", "a", THEN, None, THEN), "a", THEN)
    late = numbering.number(recording.tool_output("b", "c1", "out", True, THEN), "b", THEN)
    assert [line.payload["type"] for line in late] == ["function_call_output"]


def test_a_numbered_history_records_messages_as_items_with_ids_of_their_own() -> None:
    parts = [*text("look"), {"type": "image", "url": "data:x"}, {"type": "localImage", "path": "/a.png"}]
    lines = recording.user_message("a", parts, THEN) + recording.reasoning("a", "hm", THEN)
    lines += recording.agent_message("a", "ho", THEN)
    made = Numbering(SOURCE, 5).number(lines, "a", THEN)
    items = [line.payload["item"] for line in made if line.event == "item_completed"]
    assert items == [
        {
            "type": "UserMessage",
            "id": "item-6",
            "content": [
                {"type": "text", "text": "look", "text_elements": []},
                {"type": "image", "image_url": "data:x"},
                {"type": "local_image", "path": "/a.png"},
            ],
        },
        {"type": "Reasoning", "id": "item-7", "summary_text": ["hm"], "raw_content": []},
        {"type": "AgentMessage", "id": "item-8", "content": [{"type": "Text", "text": "ho"}]},
    ]
    assert {line.payload["turn_id"] for line in made if line.event == "item_completed"} == {"a"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=5,
)
KINDS = st.sampled_from(["task_started", "turn_aborted", "task_complete", "user_message", "item_completed", "new"])
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["UserMessage", "AgentMessage", "Reasoning", "ContextCompaction", "Odd"])},
    optional={"content": JSON, "summary_text": JSON, "raw_content": JSON},
)
PAYLOADS = st.fixed_dictionaries({"type": KINDS}, optional={"turn_id": JSON, "item": ITEMS | JSON, "message": JSON})


@given(ITEMS)
def test_an_item_of_an_odd_shape_becomes_lines_that_can_be_written(odd: dict[str, Any]) -> None:
    for line in to_legacy(item(**odd)):
        assert json.loads(encode_line(line))["type"] == "event_msg"


@given(st.lists(PAYLOADS, max_size=8))
def test_a_copy_of_odd_lines_is_still_a_rollout(payloads: list[dict[str, Any]]) -> None:
    source = [meta(), *(RolloutLine(type="event_msg", payload=payload) for payload in payloads)]
    for line in copied(source):
        assert json.loads(encode_line(line))["timestamp"] == rfc3339(NOW)
