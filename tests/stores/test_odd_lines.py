"""Lines with values at every edge: numbers beyond 64 bits, times at both ends of the calendar, depth, odd bytes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_text import START_MS, A, B, context, describe, event, meta, text_of, thread_of, user

from mcp_server.codex.fields import int_of
from mcp_server.codex.lines import MAX_DEPTH, MalformedLine, decode_line, decode_value
from mcp_server.codex.name_index import name_line, names_in
from mcp_server.config import Config
from mcp_server.models.history_base import MAX_OFFSET, MAX_ORDINAL
from mcp_server.models.times import in_calendar, parse_time, rfc3339

HUGE = (2**63 - 1, 2**63, 2**64, -(2**63), -(2**64), 10**30)
EDGES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "0001-01-01T00:00:00-23:59",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59+23:59",
    "9999-12-31T23:59:59-23:59",
)


_MOST = timedelta(hours=23, minutes=59)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("name", ["end_byte_offset", "end_ordinal_exclusive"])
def test_a_fork_that_claims_to_borrow_more_than_any_file_has_borrows_all_there_is(name: str, number: int) -> None:
    base = {"thread_id": B, "end_ordinal_exclusive": 1, "end_byte_offset": 10} | {name: number}
    thread = thread_of(meta(history_mode="paginated", history_base=base), user("hello"))
    assert thread.history_base is not None
    assert 0 <= thread.history_base.end_byte_offset <= MAX_OFFSET
    assert 0 <= thread.history_base.end_ordinal_exclusive <= MAX_ORDINAL


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_a_number_of_more_than_64_bits_counts_as_missing(number: int) -> None:
    assert int_of(number) is None


# ---------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("time", EDGES)
def test_a_time_at_the_edge_of_the_calendar_is_shown_and_sorted_by(time: str) -> None:
    thread = thread_of(meta(timestamp=time), {**event("task_started"), "timestamp": time}, user("hello"))
    for ms in (thread.created_at_ms, thread.recency_at_ms):
        assert rfc3339(ms).startswith(time[:4])
        assert parse_time(rfc3339(ms)) == ms


@given(st.integers(-(2**70), 2**70))
def test_any_number_of_milliseconds_can_be_written_as_a_time(ms: int) -> None:
    assert parse_time(rfc3339(ms)) == in_calendar(ms)


@given(st.datetimes(), st.timedeltas(min_value=-_MOST, max_value=_MOST))
def test_any_time_with_any_offset_lies_within_the_calendar(moment: datetime, offset: timedelta) -> None:
    told = moment.replace(tzinfo=timezone(offset)).isoformat()
    read = parse_time(told)
    assert read is not None
    assert rfc3339(read)


def test_fractions_of_a_millisecond_are_cut_off_as_in_codex() -> None:
    assert parse_time("2026-11-22T23:04:48.999600Z") == START_MS + 999
    assert parse_time("1969-12-31T23:59:59.999600Z") == -1


# ---------------------------------------------------------------------------------------------- depth


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 200, 300, 900, 1_000, 5_000, 200_000])
def test_a_line_that_is_nested_too_deep_is_malformed_and_says_so(depth: int) -> None:
    data = b'{"timestamp":"","type":"x","payload":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    with pytest.raises(MalformedLine, match="nested deeper than 100 levels"):
        decode_line(data)
    with pytest.raises(MalformedLine, match="nested deeper than 100 levels"):
        decode_value("[" * depth + "]" * depth)


def test_a_line_may_be_nested_as_deep_as_the_bound() -> None:
    line = {"timestamp": "", "type": "x", "payload": nested(MAX_DEPTH)}
    assert decode_line(json.dumps(line).encode()).payload == nested(MAX_DEPTH)
    assert decode_value("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_brackets_in_texts_are_no_depth() -> None:
    line = {"timestamp": "", "type": "x", "payload": {"text": "{[" * 5_000, "list": [[1]] * 500}}
    assert decode_line(json.dumps(line).encode()).payload == line["payload"]


def test_settings_that_are_nested_too_deep_are_skipped_and_reported() -> None:
    deep = context(approval_policy=nested(500))
    description = describe(text_of(meta(), context(model="m"), deep, user("hello")))
    assert (description.thread.preview, description.thread.recorded["model"]) == ("hello", "m")
    assert ["nested deeper" in bad.reason for bad in description.bad_lines] == [True]


# ---------------------------------------------------------------------------------------------- metadata


def test_fields_of_the_metadata_that_are_null_count_as_missing() -> None:
    names = ("originator", "cwd", "cli_version", "timestamp", "source", "history_mode", "git", "model_provider")
    description = describe(text_of(meta(**dict.fromkeys(names)), user("hello")))
    thread = description.thread
    assert (thread.id, thread.preview, thread.originator, thread.history_mode) == (A, "hello", None, "legacy")
    assert description.bad_lines == ()


def test_fields_of_the_metadata_of_another_type_are_left_out_and_reported() -> None:
    description = describe(text_of(meta(originator=5, history_base=["x"], cwd="/w"), user("hello")))
    assert (description.thread.cwd, description.thread.originator) == ("/w", None)
    reasons = [bad.reason for bad in description.bad_lines]
    assert len(reasons) == 2
    assert any("originator is left out" in reason for reason in reasons)
    assert any("history_base is left out" in reason for reason in reasons)


def test_a_byte_of_the_metadata_that_is_no_utf8_is_replaced_and_reported() -> None:
    description = describe(text_of(meta(cwd="/w/XX"), user("hello")).replace(b"XX", b"\xff\xfe"))
    assert (description.thread.preview, description.thread.cwd) == ("hello", "/w/\ufffd\ufffd")
    assert ["utf-8" in bad.reason.lower() for bad in description.bad_lines] == [True]


def test_a_byte_order_mark_is_passed_over() -> None:
    description = describe(b"\xef\xbb\xbf" + text_of(meta(), user("hello")))
    assert (description.thread.id, description.thread.preview, description.bad_lines) == (A, "hello", ())


def test_metadata_whose_line_has_no_time_are_read_all_the_same() -> None:
    description = describe(text_of({**meta(), "timestamp": None, "ordinal": "first"}, user("hello")))
    assert (description.thread.id, description.thread.created_at_ms) == (A, START_MS)
    assert len(description.bad_lines) == 1


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(HUGE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(EDGES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*meta()["payload"].keys() - {"id"}, "history_base", "git"]), _values))
def test_a_thread_is_told_whatever_its_metadata_hold_beside_the_id(fields: dict[str, Any]) -> None:
    thread = (describe(text_of(meta(**fields), user("hello")))).thread
    assert (thread.id, thread.preview) == (A, "hello")
    assert rfc3339(thread.created_at_ms)


# ---------------------------------------------------------------------------------------------- names and settings


DEEP = b'{"id":"x","more":' + b"[" * 5_000 + b"]" * 5_000 + b"}"


@pytest.mark.parametrize("odd", [b"[" * 200_000, DEEP, b"\xff\xfe", b"{}"], ids=["brackets", "deep", "bytes", "empty"])
def test_a_line_of_the_name_index_that_can_not_be_read_costs_no_other_name(odd: bytes) -> None:
    assert names_in(b"\n".join([name_line(A, "one", 0).strip(), odd, name_line(B, "two", 0)])) == {A: "one", B: "two"}


def test_a_byte_order_mark_before_the_name_index_is_passed_over() -> None:
    assert names_in(b"\xef\xbb\xbf" + name_line(A, "one", 0)) == {A: "one"}


def test_a_byte_order_mark_before_the_settings_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf" + b'model = "m"\n')
    assert Config.load(tmp_path).defaults.model == "m"
