"""Metadata of rollouts from before September 2025: bare response items, and the documents of the TypeScript CLI."""

from __future__ import annotations

import pytest
from rollout_text import START, START_MS, A, Line, describe, text_of, thread_of, thread_of_parts

from mcp_server.errors import DamagedRollout
from mcp_server.models.thread import GitInfo
from mcp_server.storage.describe import Parts

OLD_HEAD: Line = {"id": A, "timestamp": START, "instructions": None, "git": {"branch": "b", "commit_hash": "c"}}


def said(text: str, role: str = "user") -> Line:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def test_a_bare_rollout_tells_its_thread_by_its_head_and_its_items() -> None:
    context = said("<environment_context>\n  <cwd>/work</cwd>\n</environment_context>")
    thread = thread_of(OLD_HEAD, {"record_type": "state"}, context, said("re", "assistant"), said("do it"))
    assert (thread.id, thread.created_at_ms, thread.preview) == (A, START_MS, "do it")
    assert (thread.cwd, thread.source, thread.history_mode) == ("/work", "cli", "bare")
    assert thread.git == GitInfo(sha="c", branch="b")


def test_a_bare_rollout_that_lost_its_head_is_known_by_its_name() -> None:
    described = describe(text_of(b"{nope", {"record_type": "state"}, said("do it")))
    assert (described.thread.id, described.thread.preview) == (A, "do it")
    assert [bad.offset for bad in described.bad_lines] == [0]
    with pytest.raises(DamagedRollout, match="is in the format of before September 2025"):
        describe(text_of(said("do it")), "sessions/rollout-nameless.jsonl")


def test_only_the_head_of_a_large_bare_rollout_is_read() -> None:
    answers = (said("y" * 100, "assistant") for _ in range(100))
    thread = thread_of_parts(Parts(whole=1_000), OLD_HEAD, said("do it"), *answers)
    assert thread.preview == "do it"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "old format"),
        (b'{"session": {}}', "old format"),
        (b'{"session": {"id": "x"}, "items": {}}', "old format"),
        (b'{"session": [], "items": []}', "session metadata|no readable line"),
        (b"[" * 100_000, "old format"),
    ],
)
def test_a_document_that_is_no_session_is_told_to_be_none(document: bytes, reason: str) -> None:
    with pytest.raises(DamagedRollout, match=reason):
        describe(document, f"sessions/rollout-2025-04-20-{A}.json")
