"""Agents that show tools only after a search find the right one by the words of people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.agents import Agent, ToolCall, one_after_another, run
from tests.clients.scripted_model import Step
from tests.clients.tasks.driving import AGENTS

WORDS = {
    "continue an old conversation": "thread_resume",
    "what did my sub-agents do and which failed": "thread_tree",
    "archive old threads of a project": "thread_archive",
    "hand over a thread, summary": "thread_brief",
    "where did it go wrong in this thread": "thread_outline",
    "fork a thread before the wrong turn": "thread_fork",
    "the last error, output in full": "thread_items",
    "record a run": "turn_start",
    "start a new thread to record work": "thread_start",
    "wait for a sub-agent": "events_read",
    "how many tokens in a repository this week": "thread_stats",
    "undo an archive": "thread_unarchive",
    "delete test threads": "thread_delete",
    "rename a thread": "thread_update",
}
SEARCHING = ("Claude Code", "Codex")

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SEARCHING])
def test_words_of_people_find_the_tool_that_is_meant(name: str, tmp_path: Path) -> None:
    calls = [ToolCall("", {}, words) for words in WORDS]
    seen = run(_only_searching(AGENTS[name]), one_after_another(calls), tmp_path / "threads", tmp_path / "agent")
    assert len(seen.exchanges) == len(WORDS), seen.printed[-2000:]
    missed = {one.call.words: one.got.text[:300] for one in seen.exchanges if WORDS[one.call.words] not in one.got.text}
    assert missed == {}


def _only_searching(agent: Agent) -> Agent:
    def steps(call: ToolCall, found: str) -> list[Step]:
        return agent.steps(call, "")[:1]  # of a tool that is not found yet: the look-up

    return replace(agent, steps=steps)
