"""Metadata from rollouts that are damaged, big, or borrow from another one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_text import (
    START,
    START_MS,
    A,
    B,
    C,
    Line,
    context,
    describe,
    event,
    item,
    line,
    meta,
    path_of,
    text_of,
    thread_of,
    thread_of_parts,
    user,
)

from mcp_server.codex.metadata import may_hold_metadata
from mcp_server.errors import DamagedRollout
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import FileStamp
from mcp_server.storage.describe import Parts

# ---------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("data", [b"", b"\n \n\n"])
def test_an_empty_rollout_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedRollout, match="is empty"):
        describe(data)


@pytest.mark.parametrize(
    "first",
    [
        user("hello"),
        line("session_meta", {"timestamp": START}),
        meta("no uuid"),
        line("new_kind", {}),
    ],
)
def test_a_rollout_that_does_not_start_with_session_metadata_is_damaged(first: Line) -> None:
    with pytest.raises(DamagedRollout, match="does not start with session metadata"):
        describe(text_of(first, meta()))


def test_bad_json_before_the_metadata_is_skipped_and_reported() -> None:
    description = describe(text_of(b"{bad", meta(), user("hello")))
    assert (description.thread.id, description.thread.preview) == (A, "hello")
    assert [(bad.path, bad.offset) for bad in description.bad_lines] == [(path_of(), 0)]


def test_a_rollout_of_bad_lines_alone_is_damaged() -> None:
    with pytest.raises(DamagedRollout, match="holds no readable line"):
        describe(b"{bad\n[]\n")


def test_bad_and_blank_lines_in_the_middle_are_skipped_and_reported() -> None:
    before = text_of(meta(), b"", user("hello"))
    description = describe(before + text_of(b"{bad", b'{"no":"shape"}', event("task_started")))
    assert description.thread.preview == "hello"
    assert [bad.offset for bad in description.bad_lines] == [len(before), len(before) + len(b"{bad\n")]


def test_a_torn_last_line_is_tolerated() -> None:
    description = describe(text_of(meta(), user("hello"), b'{"timestamp":"2026', end=b""))
    assert (description.thread.preview, description.bad_lines) == ("hello", ())


def test_a_last_line_without_newline_counts() -> None:
    assert (describe(text_of(meta(), user("hello"), end=b""))).thread.preview == "hello"


def test_unknown_kinds_and_fields_are_passed_over() -> None:
    """load_rollout_items_skips_legacy_ghost_snapshot_lines"""
    ghost = line("response_item", {"type": "ghost_snapshot", "ghost_commit": {}})
    description = describe(text_of(meta(more=1), line("new_kind", {}), event("new_event"), ghost, user("x")))
    assert (description.thread.preview, description.bad_lines) == ("x", ())


def test_lines_laid_out_in_another_order_are_read_too() -> None:
    message = {"payload": {"message": "hello", "type": "user_message"}, "type": "event_msg", "timestamp": START}
    assert (thread_of(meta(), message)).preview == "hello"


def test_only_lines_that_may_hold_metadata_are_decoded() -> None:
    compact = [json.dumps(entry, separators=(",", ":")).encode() for entry in (user("x"), meta(), context())]
    assert all(may_hold_metadata(data) for data in compact)
    output = line("response_item", {"type": "function_call_output", "output": '"user_message" "session_meta"'})
    assert not may_hold_metadata(json.dumps({**output, "ordinal": 3}).encode())
    assert not may_hold_metadata(json.dumps(event("agent_message", message='"type":"user_message"')).encode())
    assert not may_hold_metadata(json.dumps(item([], kind="AgentMessage")).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_described_or_refused(data: bytes) -> None:
    try:
        thread = (describe(text_of(meta()) + data)).thread
    except DamagedRollout:
        pytest.fail("the metadata is there")
    assert thread.id == A


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=5,
)


FIELDS = ("id", "message", "images", "item", "git", "thread_settings", "cwd", "model", "effort", "collaboration_mode")


@given(
    kind=st.sampled_from(["turn_context", "event_msg", "session_meta"]),
    event_kind=st.sampled_from(["user_message", "item_completed", "thread_settings_applied", "task_started"]),
    fields=st.dictionaries(
        st.sampled_from(
            [
                "id",
                "message",
                "images",
                "item",
                "git",
                "thread_settings",
                "cwd",
                "model",
                "effort",
                "collaboration_mode",
            ]
        ),
        json_values,
    ),
)
def test_fields_of_any_type_do_no_harm(kind: str, event_kind: str, fields: dict[str, Any]) -> None:
    thread = thread_of(meta(), line(kind, {**fields, "type": event_kind}))
    assert isinstance(thread.preview, str)


# big files


SMALL = Parts(whole=2000, head=1000, tail=500)


def filler(size: int) -> list[Line]:
    return [line("response_item", {"type": "message", "text": "x" * 50}) for _ in range(size // 130)]


@pytest.mark.parametrize("last_turn_bytes", [100, 400, 5000, 50_000])
def test_a_big_rollout_is_described_from_its_head_and_its_last_turn(last_turn_bytes: int) -> None:
    thread = thread_of_parts(
        SMALL,
        meta(),
        event("task_started"),
        context(model="old"),
        user("first"),
        *filler(20_000),
        event("task_started", "2026-11-22T23:04:58.000Z"),
        context(model="new"),
        user("last"),
        *filler(last_turn_bytes),
    )
    assert (thread.preview, thread.recorded["model"]) == ("first", "new")
    assert thread.recency_at_ms == START_MS + 10_000


def test_a_big_rollout_with_metadata_longer_than_the_head_is_still_described() -> None:
    thread = thread_of_parts(SMALL, meta(base_instructions="x" * 3000), *filler(3000), user("late", images=[]))
    assert (thread.id, thread.preview) == (A, "late")


# forks by history_base


def base_of(thread_id: str, data: bytes) -> Line:
    return {"thread_id": thread_id, "end_ordinal_exclusive": 9, "end_byte_offset": len(data)}


def test_a_fork_by_history_base_takes_preview_and_settings_from_its_base() -> None:
    borrowed = text_of(meta(B), context(model="base", cwd="/base"), user("from the base"))
    source = borrowed + text_of(context(model="later", cwd="/later"))
    applied = event("thread_settings_applied", thread_settings={"model": "own"})
    fork = text_of(meta(history_base=base_of(B, borrowed), forked_from_id=B), applied, user("from the fork"))
    thread = (describe(fork, bases={B: source})).thread
    assert thread.preview == "from the base"
    assert thread.recorded == {"model": "own", "cwd": "/base", "reasoning_effort": None}
    assert thread.history_base == HistoryBase(B, 9, len(borrowed))


def test_a_fork_of_a_fork_takes_the_preview_of_the_first_base() -> None:
    first = text_of(meta(C), user("the very first"))
    second = text_of(meta(B, history_base=base_of(C, first)), user("in between"))
    fork = text_of(meta(history_base=base_of(B, second)), user("own"))
    assert (describe(fork, bases={B: second, C: first})).thread.preview == "the very first"


@pytest.mark.parametrize("base", [None, b"", b"garbage\n"])
def test_a_fork_whose_base_is_missing_or_damaged_shows_its_own_preview(base: bytes | None) -> None:
    fork = text_of(meta(history_base=base_of(B, b"x" * 100)), user("own"))
    thread = (describe(fork, bases={} if base is None else {B: base})).thread
    assert thread.preview == "own"


def test_forks_that_borrow_from_each_other_end_somewhere() -> None:
    one = text_of(meta(history_base=base_of(B, b"x" * 1000)))
    two = text_of(meta(B, history_base=base_of(A, b"x" * 1000)), user("found"))
    assert (describe(one, bases={B: two})).thread.preview == "found"


def test_the_stamp_of_a_description_is_that_of_the_listing() -> None:
    description = describe(text_of(meta()))
    assert isinstance(description.thread.stamp, FileStamp)
    assert description.thread.stamp.size == len(text_of(meta()))
