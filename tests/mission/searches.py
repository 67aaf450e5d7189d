"""Calls of thread_search, and rollouts of Codex to search in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_server.codex.lines import RolloutLine, encode_line
from tests.mission.conftest import Json, Tools, rollouts
from tests.threads.rollout_lines import completed, line


async def search(tools: Tools, term: str, **arguments: Any) -> list[Json]:
    """The rows of all threads that answer, over as many pages as it takes; nothing may be left out."""
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        page = await tools("thread_search", search_term=term, cursor=cursor, **arguments)
        assert page["incomplete"] == []
        rows += page["data"]
        if (cursor := page["next_cursor"]) is None:
            return rows


async def threads(tools: Tools, term: str, **arguments: Any) -> list[str]:
    return [row["thread"]["id"] for row in await search(tools, term, **arguments)]


async def passages(tools: Tools, term: str, **arguments: Any) -> list[Json]:
    return [passage for row in await search(tools, term, **arguments) for passage in row["passages"]]


async def snippets(tools: Tools, term: str, **arguments: Any) -> list[str]:
    return [passage["text"] for passage in await passages(tools, term, **arguments)]


async def closed(tools: Tools, *messages: str, **arguments: Any) -> list[str]:
    """Threads with one turn each, none of them loaded."""
    ids = [await tools.written(message, **arguments) for message in messages]
    for thread_id in ids:
        await tools("thread_unsubscribe", thread_id=thread_id)
    return ids


ONE, TWO = "01a20581-0000-7000-8000-000000000001", "01a20581-0000-7000-8000-000000000002"


def put(home: Path, thread_id: str, *lines: RolloutLine, **meta: Any) -> int:
    """A rollout as Codex leaves it; returns its size."""
    folder = home / "sessions/2026/11/22"
    folder.mkdir(parents=True, exist_ok=True)
    fields: Json = {"id": thread_id, "cwd": "/work", "originator": "codex", "cli_version": "0", "source": "cli"}
    path = folder / f"rollout-2026-11-22T10-00-00-{thread_id}.jsonl"
    first = line("session_meta", timestamp="2026-11-22T10:00:00.000Z", **(fields | meta))
    return path.write_bytes(joined([first, *lines]))


def add(home: Path, thread_id: str, *lines: RolloutLine) -> None:
    (path,) = (path for path in rollouts(home) if thread_id in path.name)
    with path.open("ab") as file:
        file.write(joined(lines))


def joined(lines: Sequence[RolloutLine]) -> bytes:
    return b"".join(map(encode_line, lines))


def asked(turn_id: str, text: str) -> RolloutLine:
    """A user message of a paginated history."""
    content = [{"type": "text", "text": text}]
    return completed(turn_id, {"type": "UserMessage", "id": f"u-{turn_id}", "content": content})
