"""Our turns against those that the real Codex 0.169.0 answered for the same rollouts."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from mcp_server.codex.lines import RolloutLine, decode_line, decode_meta
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.models.value import Json, plain
from mcp_server.storage.files.rollouts import RolloutFiles
from tests.histories import read_history

_CHECKOUT = Path(__file__).parents[2]
GOLDEN = Path(os.environ.get("THREADSTORE_SHARED", _CHECKOUT.parent / "shared")) / "golden"

NOT_IN_ROLLOUTS = {"unmaterialized": "it has no rollout", "ephemeral": "it was never written"}

ADDED = {
    ("l_two_turns_shell", "dynamicToolCall"): "the model's own shell call, of which legacy Codex shows nothing",
    ("l_fork", "dynamicToolCall"): "the same call, copied by the fork",
}
"""Items that we show and Codex does not, by thread and type, with the reason. Nothing else may differ."""


@cache
def expected() -> Json:
    path = GOLDEN / "expected.json"
    if not path.is_file():
        pytest.skip("the golden home is not here; THREADSTORE_SHARED names the folder that holds it")
    return json.loads(path.read_text("utf-8"))


def names() -> list[str]:
    path = GOLDEN / "expected.json"
    threads = json.loads(path.read_text("utf-8"))["ids"] if path.is_file() else ["no golden home"]
    return [name for name in threads if name not in NOT_IN_ROLLOUTS]


def snake(value: Any) -> Any:
    """Codex's answer with our field names; a null field is a missing one."""
    if isinstance(value, list):
        return [snake(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("Json", value).items()
        return {
            re.sub("[A-Z]", lambda c: "_" + c[0].lower(), name): snake(each)
            for name, each in fields
            if each is not None
        }
    return value


def thread_of(thread_id: str) -> StoredThread:
    (file,) = (GOLDEN / "home").glob(f"*sessions/**/*{thread_id}.jsonl")
    meta = decode_meta(first_line(file).payload)
    return StoredThread(
        id=thread_id,
        path=file.relative_to(GOLDEN / "home").as_posix(),
        stamp=FileStamp(0, 0),
        archived=False,
        created_at_ms=0,
        updated_at_ms=0,
        recency_at_ms=0,
        history_mode=meta.history_mode,
        history_base=meta.history_base,
    )


def first_line(file: Path) -> RolloutLine:
    return decode_line(file.read_bytes().split(b"\n", 1)[0])


def answered(name: str) -> list[Json]:
    label = f"read turns {name}"
    (answer,) = (call for call in expected()["cold"] if call["label"] == label)
    return snake(answer["ok"]["thread"]["turns"])


@pytest.mark.parametrize("name", names())
def test_turns_are_those_that_codex_shows(name: str):
    thread = thread_of(expected()["ids"][name])
    history = read_history(RolloutFiles(GOLDEN / "home"), thread, thread_of)

    ours = [snake(plain(turn)) for turn in history.turns]
    for turn in ours:
        turn["items"] = [item for item in turn["items"] if (name, item["type"]) not in ADDED]
    assert ours == answered(name)
    assert history.bad_lines == ()


@pytest.mark.parametrize(("name", "kind"), ADDED)
def test_items_that_only_we_show_are_in_the_golden_histories(name: str, kind: str):
    thread = thread_of(expected()["ids"][name])
    history = read_history(RolloutFiles(GOLDEN / "home"), thread, thread_of)

    added = [item for turn in history.turns for item in turn.items if item.type == kind]
    assert [(item["tool"], item["status"]) for item in added] == [("exec_command", "completed")]


def test_the_fork_of_the_golden_home_borrows_its_source():
    thread = thread_of(expected()["ids"]["p_fork"])

    assert isinstance(thread.history_base, HistoryBase)
    assert thread.history_base.thread_id == expected()["ids"]["p_three_turns_shell"]
