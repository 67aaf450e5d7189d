"""Each task as a person asks for it and as a model does it: it knows what the person says and what answers tell it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.clients.agents import ToolCall
from tests.clients.scripted_model import Got
from tests.clients.tasks import home

_NAME = r"(?<![A-Za-z_]){}\\*\"?: ?"
_VALUE = r"\\*\"?([\w.@+-]+)"
_WHOLE_ID = re.compile(_NAME.format("id") + r"\\*\"?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def ids(answer: Got) -> list[str]:
    """The ids of all rows, in either face."""
    return list(dict.fromkeys(_WHOLE_ID.findall(answer.text)))


def value(answer: Got, name: str, *, before: str | None = None) -> str:
    """The first value of a field, or the last one before a text that the answer holds.

    Raises:
        LookupError: the answer has none.
    """
    text = answer.text if before is None else answer.text.partition(before)[0]
    found = re.findall(_NAME.format(name) + _VALUE, text)
    if not found or (before is not None and before not in answer.text):
        raise LookupError(f"no {name} before {before}: {answer.text}")
    return found[0 if before is None else -1]


def _cursor(answer: Got) -> str:
    found = re.search(_NAME.format("next_cursor") + r"\\*\"?([^\s\"\\]+)", answer.text)
    assert found
    return found[1]


Playing = Generator[ToolCall, Got]


@dataclass
class Memory:
    """What a model keeps of one task for another."""

    operation_id: str = ""
    waiting_agent: str = ""


@dataclass(frozen=True)
class Task:
    """`needs` is what a model must have been sent to do as it was asked."""

    asked: str
    play: Callable[[Memory], Playing]
    needs: list[str] = field(default_factory=list[str])


def call(tool: str, words: str, **arguments: Any) -> ToolCall:
    return ToolCall(tool, arguments, words)


def all_tasks(before: Callable[[ToolCall], None]) -> Playing:
    """One task after the other. `before` is told of each call before it is made, perhaps several times."""
    memory = Memory()
    for task in TASKS:
        playing, answer = task.play(memory), None
        while (asked := _next(playing, answer)) is not None:
            before(asked)
            answer = yield replace(asked, task=task.asked)


def _next(playing: Playing, answer: Got | None) -> ToolCall | None:
    try:
        return next(playing) if answer is None else playing.send(answer)
    except StopIteration:
        return None


def _carry_on(memory: Memory) -> Playing:
    found = yield call("thread_search", "search past threads", search_term="payment retry idempotency key")
    thread_id = value(found, "id", before="Payment retries")
    yield call("thread_resume", "continue an old thread", thread_id=thread_id, turns=1)
    yield call("turn_start", "record work turn", thread_id=thread_id, input="Go on with the refunds.")
    yield call("turn_complete", "record work turn", thread_id=thread_id, message="Refunds have a key now.")
    yield call("thread_unsubscribe", "let go of a thread", thread_id=thread_id)


def _sub_agents(memory: Memory) -> Playing:
    brief = yield call("thread_brief", "summary of a thread and its sub-agents", thread_id="Release 2.4")
    memory.waiting_agent = value(brief, "thread_id", before="Dora")


def _archive(memory: Memory) -> Playing:
    listed = yield call("thread_list", "list threads", cwd="legacy-api", until="30d", named=False)
    receipt = yield call("thread_archive", "archive old threads", thread_ids=ids(listed))
    memory.operation_id = value(receipt, "operation_id")


def _yesterday(memory: Memory) -> Playing:
    day = {"since": "yesterday", "until": "yesterday"}
    listed = yield call("thread_list", "list threads", **day)
    while "next_cursor" in listed.text:
        listed = yield call("thread_list", "list threads", **day, cursor=_cursor(listed))


def _crash(memory: Memory) -> Playing:
    listed = yield call("thread_list", "list threads", last_turn=["crashed", "running"])
    yield call("thread_brief", "summary of a thread", thread_id=value(listed, "id", before="search index"))


def _hand_over(memory: Memory) -> Playing:
    yield call("thread_brief", "hand over a thread", thread_id="Invoices to PostgreSQL")


def _fork(memory: Memory) -> Playing:
    outline = yield call("thread_outline", "find where a thread went wrong", thread_id="Rate limiter")
    turn_id = value(outline, "turn_id", before=home.WRONG_TURN)
    yield call("thread_fork", "fork a thread", thread_id="Rate limiter", before_turn_id=turn_id, name="Limiter again")


def _last_error(memory: Memory) -> Playing:
    brief = yield call("thread_brief", "summary of a thread", thread_id="Nightly export")
    turn_id = value(brief, "turn_id", before="SchemaMismatch")
    yield call("thread_items", "tool output in full", thread_id="Nightly export", turn_id=turn_id, text_offset=-2000)


def _record(memory: Memory) -> Playing:
    started = yield call("thread_start", "record work", name="Load test", cwd=home.METRICS)
    thread_id = value(started, "id")
    yield call("turn_start", "record work turn", thread_id=thread_id, input="Run the load test")
    items = [
        {"type": "toolCall", "call_id": "c1", "name": "shell", "arguments": {"command": "make load"}},
        {"type": "toolOutput", "call_id": "c1", "output": "p99 212 ms", "success": True},
    ]
    yield call("turn_append", "record work turn", thread_id=thread_id, items=items)
    yield call("turn_complete", "record work turn", thread_id=thread_id, message="The p99 is 212 ms.")
    yield call("thread_unsubscribe", "let go of a thread", thread_id=thread_id)


def _wait(memory: Memory) -> Playing:
    asked = {"thread_id": memory.waiting_agent, "until": "turn_end", "wait_seconds": 50}
    yield call("events_read", "wait until the turn of a thread ends", after="now", **asked)


def _how_much(memory: Memory) -> Playing:
    yield call("thread_stats", "how many tokens were used this week", cwd="metrics", since="7d")


def _undo(memory: Memory) -> Playing:
    yield call("thread_unarchive", "undo an archive", operation_id=memory.operation_id)


def _delete(memory: Memory) -> Playing:
    listed = yield call("thread_list", "list threads", search_term="test thread")
    found = ids(listed)
    answer = yield call("thread_delete", "delete threads", thread_ids=found, confirm_thread_ids=found)
    if "offer thread_archive" in answer.text:  # the agent can ask a person, and nobody was there to say yes
        yield call("thread_archive", "archive old threads", thread_ids=found)


TASKS = (
    Task("find a thread and carry on", _carry_on, ["src/refunds.py", "/work/atlas/checkout", "fix/double-charge"]),
    Task(
        "what did my sub-agents do and which failed",
        _sub_agents,
        ["Ada", "31 entries", "Bob", home.AGENT_ERROR, "Cleo"],
    ),
    Task("archive a project's threads older than a month but the named ones", _archive),
    Task("yesterday over all projects", _yesterday, [*home.YESTERDAY, "context is full"]),
    Task("what was running before the crash", _crash, ["crashed", "rebuild it without the old versions"]),
    Task(
        "hand over",
        _hand_over,
        [
            "without a stop",
            "logical decoding",
            "ids stay",
            "migrate/replicate.py",
            "counts differ",
            "Switch the writers",
        ],
    ),
    Task("fork before the wrong turn", _fork, ["Limiter again"]),
    Task("the last error in full", _last_error, ["step_1.py", "2026-w12, 18 rows"]),
    Task("record a run", _record),
    Task("wait for a sub-agent", _wait, [home.WAITED_FOR]),
    Task("how much in repository Y this week", _how_much, ["144000"]),
    Task("undo an archive", _undo),
    Task("delete test threads", _delete),
)
