"""What a fresh server must find after a process was struck."""

from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

from mcp_server.codex.lines import MalformedLine, decode_line
from tests.codex_database import row_of, rows_of
from tests.mission.conftest import Tools, rollouts
from tests.struck.process import End, seen
from tests.struck.verbs import Story, Verb, standing


def done_or_undone(home: Path, verb: Verb, end: End) -> str:
    """How the operation stands after a kill, and that all is in order."""
    outcome = stands_in_order(home, verb, end.story, torn=end.at == "half of a write")
    if verb.codex:
        codex_agrees(home, end.story)
    return outcome


def stands_in_order(home: Path, verb: Verb, story: Story, *, torn: bool, cut: bool = True) -> str:
    """How the operation stands, in a fresh server: `done` or `undone`, and nothing else."""

    async def look(tools: Tools) -> str:
        await in_order(tools)
        outcome = await _outcome(tools, verb, story, torn=torn)
        await _goes_on(tools, story)
        return outcome

    outcome = seen(home, look)
    whole_lines(home, torn=torn or not cut)
    return outcome


def codex_agrees(home: Path, story: Story) -> None:
    """Codex's rows tell where the files lie, and the name and git info that a server shows."""
    rows = rows_of(home)
    place = ("id", "rollout_path", "archived")
    assert [{key: row[key] for key in place} for row in rows.values()] == sorted(
        (row_of(path) for path in rollouts(home) if path.stem[-36:] in rows), key=itemgetter("id")
    )

    async def look(tools: Tools) -> str:
        thread: dict[str, Any] = (await tools("thread_read", thread_id=story.ids[-1]))["thread"]
        return json.dumps([thread["name"], thread["git_info"]])

    row = rows[story.ids[-1]]
    name, git_info = json.loads(seen(home, look))
    assert (row["title"] == "renamed") == (name == "renamed")
    assert row["git_branch"] == (git_info["branch"] if git_info else None)


async def in_order(tools: Tools) -> None:
    status = await tools("store_status", deep=True)
    counts = status["counts"]
    assert (counts["missing"], counts["stale"], counts["duplicate"], counts["running_operations"]) == (0, 0, 0, 0)
    assert (counts["rows_active"], counts["rows_archived"]) == (counts["files_active"], counts["files_archived"])
    assert [lock for lock in status["locks"] if lock["holder"] != "this server"] == []


async def _outcome(tools: Tools, verb: Verb, story: Story, *, torn: bool) -> str:
    stands = await standing(tools)
    done = story.acknowledged
    if verb.tree is not None:
        before, after = verb.tree
        now = {stands.get(thread_id) for thread_id in story.ids}
        assert now in ({before}, {after}), f"half of the tree: {stands}"
        done = now == {after}
        assert await told(tools, story, after) == (sorted(story.ids) if done else [])
    gone = set(story.ids) if verb.tree is not None and done and verb.tree[1] is None else set[str]()
    for thread_id in {*story.said, *(i for i in story.ids if i in stands)} - gone:
        texts = await texts_of(tools, thread_id)
        said = story.said.get(thread_id, [])
        assert texts[: len(said)] == said, "what was acknowledged is missing"
        more = texts[len(said) :]
        # A write that the kernel was stopped in leaves its first whole lines.
        assert more in ([], list(verb.says)) or (torn and more == list(verb.says)[: len(more)]), more
        done = done or bool(more)
    if verb.shows is not None:
        done = await shows(tools, story.ids[-1], verb.shows)
    assert done or not story.acknowledged
    return "done" if done else "undone"


async def shows(tools: Tools, thread_id: str, fields: dict[str, object]) -> bool:
    thread: dict[str, Any] = (await tools("thread_read", thread_id=thread_id))["thread"]
    there = {_is_like(thread.get(field), value) for field, value in fields.items()}
    assert len(there) == 1, f"half of the update: {thread}"
    return there == {True}


def _is_like(shown: object, value: object) -> bool:
    if isinstance(value, dict):
        return isinstance(shown, dict) and value.items() <= shown.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return shown == value


async def told(tools: Tools, story: Story, after: bool | None) -> list[str]:
    kind = {True: "thread/archived", False: "thread/unarchived", None: "thread/deleted"}[after]
    events = await tools("events_read", types=[kind], limit=100)
    return sorted(event["thread_id"] for event in events["data"] if event["thread_id"] in story.ids)


async def texts_of(tools: Tools, thread_id: str) -> list[str]:
    read: dict[str, Any] = await tools(
        "thread_read", thread_id=thread_id, include_turns=True, items_view="full", sort_direction="asc"
    )
    items = [item for turn in read["turns"] for item in turn["items"]]
    return [item["text"] if "text" in item else item["content"][0]["text"] for item in items]


async def _goes_on(tools: Tools, story: Story) -> None:
    """Service goes on: the thread that was struck is resumed and written to, and what comes new is kept too."""
    stands = await standing(tools)
    for thread_id in [i for i in story.ids[-1:] if i in stands]:
        if stands[thread_id]:
            await tools("thread_unarchive", thread_id=thread_id, include_descendants="none")
        before = await texts_of(tools, thread_id)
        await tools("thread_resume", thread_id=thread_id)
        await tools("turn_start", thread_id=thread_id, input="and on")
        await tools("turn_complete", thread_id=thread_id, message="so it does")
        assert await texts_of(tools, thread_id) == [*before, "and on", "so it does"]


def whole_lines(home: Path, *, torn: bool, written_since: bool = True) -> None:
    """No torn line is glued to a new one: at most one line can't be used, and nothing follows on it. A torn end stays
    until something is written."""
    bad: list[bytes] = []
    for path in rollouts(home):
        data = path.read_bytes()
        assert data.endswith(b"\n") or not written_since
        bad += [line for line in data.split(b"\n") if line and not _usable(line)]
    assert len(bad) <= torn, bad
    assert all(line.count(b'{"timestamp"') == 1 for line in bad), bad


def _usable(line: bytes) -> bool:
    try:
        decode_line(line)
    except MalformedLine:
        return False
    return True
