"""What stands above a conversation: its title and the facts of its thread. Each text that people read lays them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mcp_server.models.thread import StoredThread, Thread, spawn_task
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Turn

AnyThread = Thread | StoredThread


class Fact(NamedTuple):
    name: str
    text: str


def title_of(thread: AnyThread, length: int | None = None) -> str:
    """Name, else first message, else what a sub-agent's task is called, on one line; cut if longer than `length`."""
    told = thread.name or thread.preview or spawn_task(thread.source) or ""
    title = " ".join(told.split()) or "(no message yet)"
    return title if length is None else shortened(title, length)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def title_line(thread: AnyThread) -> str:
    """For a heading."""
    return title_of(thread, 120)


def short_title(thread: AnyThread) -> str:
    """For a row."""
    return title_of(thread, 60)


def minute(at: int) -> str:
    """A Unix time in seconds."""
    return f"{rfc3339(at * 1000)[:16].replace('T', ' ')} UTC"


def facts_of(thread: AnyThread, time: Callable[[int], str] = minute) -> list[Fact]:
    """Who worked where, and when. Without what is not known."""
    git = thread.git_info
    facts = (
        Fact("Sub-agent", " ".join(part for part in (thread.agent_nickname, thread.agent_role) if part)),
        Fact("Parent", thread.parent_thread_id or ""),
        Fact("Folder", thread.cwd),
        Fact("Branch", (git and git.branch) or ""),
        Fact("Commit", (git and git.sha) or ""),
        Fact("Begun", time(thread.created_at)),
        Fact("Last worked on", time(thread.recency_at)),
        Fact("Model", thread.model or ""),
        Fact("Recorded by", " ".join(part for part in (thread.originator, thread.cli_version) if part)),
        Fact("Tags", ", ".join(thread.tags or ())),
        Fact("State", "archived" if thread.archived else ""),
        Fact("Thread", thread.id),
    )
    return [fact for fact in facts if fact.text]


def turn_line(number: int, turn: Turn) -> str:
    """The head of a turn."""
    begun = f" · {minute(turn.started_at)}" if turn.started_at is not None else ""
    ended = f" · {turn.status}" if turn.status != "completed" else ""
    return f"Turn {number}{begun}{ended}"
