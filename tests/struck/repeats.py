"""A call that was killed is repeated with its request id on the next server: it is never done twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.mission.conftest import Refused, Tools
from tests.struck.checks import codex_agrees, in_order, shows, texts_of, told, whole_lines
from tests.struck.process import End, WithRequestId, seen
from tests.struck.verbs import Story, Verb, standing

_UNKNOWN = [
    (tool, "outcome_unknown")
    for tool in ("turn_start", "turn_append", "turn_complete", "thread_fork", "thread_export", "thread_import")
]
"""The answers where the claim alone of a call is on record that can't be done again without harm."""
_GONE = ("thread_not_found", "thread_not_loaded")
"""How a call for a thread is refused that was in the killed process's memory alone."""


def done_at_most_once(home: Path, verb: Verb, end: End) -> str:
    """What the repeated call is answered: `done`, and then it was done once, or why not."""
    story = end.before

    async def look(tools: Tools) -> str:
        before = {*story.ids, *story.said}
        outcome = await _repeat(tools, verb, story)
        there = {*await standing(tools), *await tools.loaded()}
        if outcome in _GONE:
            assert not end.story.acknowledged
            assert there == set()
            return "gone"
        await in_order(tools)
        await _once(tools, verb, story, done=outcome == "done")
        made = {*story.ids, *story.said} - before if outcome == "done" else there - before
        assert len(made) <= 1
        assert there - before <= made, "a second thread"
        return outcome

    outcome = seen(home, look)
    torn = end.at == "half of a write"
    whole_lines(home, torn=torn, written_since=not torn)
    if verb.codex:
        codex_agrees(home, story)
    return outcome


async def _repeat(tools: Tools, verb: Verb, story: Story) -> str:
    repeating = WithRequestId(tools.client)
    try:
        for step in verb.again:
            await step(tools, story)
        await verb.call(repeating, story)
    except Refused as refused:
        outcome = (repeating.tool, refused.code)
        if outcome == ("thread_unarchive", "archived_thread_not_found"):
            return "done"  # by the killed call
        if refused.code in _GONE or outcome in _UNKNOWN:
            return refused.code
        raise AssertionError(outcome) from refused
    return "done"


async def _once(tools: Tools, verb: Verb, story: Story, *, done: bool) -> None:
    if verb.tree is not None:
        after = verb.tree[1]
        stands = await standing(tools)
        assert {stands.get(thread_id) for thread_id in story.ids} == {after}
        assert await told(tools, story, after) == sorted(story.ids)
    if verb.shows is not None:
        assert await shows(tools, story.ids[-1], verb.shows)
    gone = set(story.ids) if verb.tree is not None and verb.tree[1] is None else set[str]()
    for thread_id in story.said.keys() - gone:
        texts, said = Counter(await texts_of(tools, thread_id)), Counter(story.said[thread_id])
        assert said <= texts, "what was acknowledged is missing"
        # What is not known to be done may be there, once, or the first whole lines of it.
        assert texts - said <= (Counter() if done else Counter(verb.says)), "done twice"
