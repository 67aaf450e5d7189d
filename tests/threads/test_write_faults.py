"""Stopped or failing at any store call: what was acknowledged stays, once; nothing is torn; service goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import decode_line
from mcp_server.errors import StoreFailure
from mcp_server.models.params import Caller, ForkParams, GitPatch, StartParams, ThreadPatch
from mcp_server.sync.reconciler import sync
from mcp_server.threads.service import ThreadService
from tests.faults import Faults, Killed
from tests.histories import read_history
from tests.worlds import World
from tests.worlds import new_world as new_world

CLIENT = Caller(connection="c")


@dataclass
class Story:
    """What a client did, and was told: the texts that were acknowledged, by thread."""

    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    thread_id: str = ""


Step = Callable[[ThreadService, Story], None]


def start(service: ThreadService, story: Story) -> None:
    loaded = service.lifecycle.start(StartParams(name="named"), CLIENT)
    story.thread_id = loaded.thread.id


def first_message(service: ThreadService, story: Story) -> None:
    service.turns.start(story.thread_id, [{"type": "text", "text": "question", "text_elements": []}])
    story.said.setdefault(story.thread_id, []).append("question")


def append(service: ThreadService, story: Story) -> None:
    items = [{"type": "agentMessage", "text": text} for text in ("one", "two")]
    service.turns.append(story.thread_id, items)
    story.said[story.thread_id] += ["one", "two"]


def complete(service: ThreadService, story: Story) -> None:
    service.turns.complete(story.thread_id, "completed", "answer", None)
    story.said[story.thread_id].append("answer")


def name(service: ThreadService, story: Story) -> None:
    service.metadata.update(story.thread_id, ThreadPatch(name="renamed"))


def git(service: ThreadService, story: Story) -> None:
    service.metadata.update(story.thread_id, ThreadPatch(git=GitPatch({"branch": "main"})))


def update(service: ThreadService, story: Story) -> None:
    service.metadata.update(story.thread_id, ThreadPatch("renamed", GitPatch({"branch": "main"}), ["tag"]))


def fork(service: ThreadService, story: Story) -> None:
    forked = service.lifecycle.fork(ForkParams(story.thread_id), CLIENT)
    story.said[forked.thread.id] = list(story.said[story.thread_id])


def leave(service: ThreadService, story: Story) -> None:
    service.lifecycle.unsubscribe(story.thread_id, None, CLIENT)


# Each verb, and the steps that come before it.
VERBS: dict[str, tuple[Step, ...]] = {
    "thread_start": (start,),
    "the first turn_start": (start, first_message),
    "turn_append": (start, first_message, append),
    "turn_complete": (start, first_message, append, complete),
    "thread_update of a fresh thread": (start, name),
    "thread_update of the name": (start, first_message, complete, name),
    "thread_update of git info": (start, first_message, complete, git),
    "thread_update of all parts": (start, first_message, complete, update),
    "thread_fork": (start, first_message, complete, fork),
    "thread_unsubscribe": (start, first_message, leave),
}


def texts(world: World, thread_id: str) -> list[str]:
    """The messages of a thread, each once; every line of its file must decode."""
    stored = world.state.get(thread_id)
    assert stored is not None
    for batch in world.rollouts.lines(RolloutRef(stored.path)):
        for raw in batch:
            assert raw.whole
            decode_line(raw.data)
    history = read_history(world.rollouts, stored, world.state.get)
    assert history.bad_lines == ()
    found: list[str] = []
    for item in (item for turn in history.turns for item in turn.items):
        found.append(item["text"] if "text" in item else item["content"][0]["text"])
    return found


def check(world: World, story: Story) -> None:
    """A fresh start: rows follow the files, and the files hold what was acknowledged, in order, at most one more."""
    sync(world.rollouts, world.state)
    files = {file.thread_id: file.stamp for file in world.rollouts.walk()}
    assert {thread_id: one.stamp for thread_id, one in world.state.known_rollouts().items()} == files
    for thread_id, said in story.said.items():
        found = texts(world, thread_id)
        assert found[: len(said)] == said
        assert found[len(said) :] in ([], ["question"], ["one", "two"], ["answer"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_any_store_call_loses_nothing_acknowledged(new_world: Callable[[], World], verb: str) -> None:
    stops = 0
    while True:
        stops += 1
        world, story = new_world(), Story()
        faults = Faults()
        service = world.service(faults)
        *before, last = VERBS[verb]
        for step in before:
            step(service, story)
        faults.at = len(faults.calls) + stops
        try:
            last(service, story)
        except Killed:
            check(world, story)
            continue
        check(world, story)
        break
    assert stops > 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_at_any_store_call_leaves_nothing_half_done_and_service_goes_on(
    new_world: Callable[[], World], verb: str
) -> None:
    stops = 0
    while True:
        stops += 1
        world, story = new_world(), Story()
        faults = Faults(error=lambda: StoreFailure("no space left on device"))
        service = world.service(faults)
        *before, last = VERBS[verb]
        for step in before:
            step(service, story)
        begun = len(faults.calls)
        faults.at = begun + stops
        failed = fails(last, service, story)
        hit = len(faults.calls) >= faults.at
        faults.at = 0
        if failed:
            last(service, story)  # the cause is gone: the same call succeeds
        service.lifecycle.close_all()
        check(world, story)
        assert (said_exactly(world, story)) or verb == "thread_unsubscribe"
        if not hit:
            break
    assert stops > 1


def fails(step: Step, service: ThreadService, story: Story) -> bool:
    try:
        step(service, story)
    except StoreFailure:
        return True
    return False


def said_exactly(world: World, story: Story) -> bool:
    return all(texts(world, thread_id) == said for thread_id, said in story.said.items())
