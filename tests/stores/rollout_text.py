"""Rollouts written by hand, for the tests of the stores."""

from __future__ import annotations

import io
import json
from typing import Any

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.files import Description, RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.describe import Parts
from mcp_server.storage.describe import describe as describe_text
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.storage.rollout_text import RolloutText

A = "01a20581-47b4-7322-81ec-5e29ff6d3d2a"
B = "01a20581-4890-7983-8be5-092be3fbf749"
C = "01a20581-4c44-79a1-9c14-fad668f78416"
FOLDER = "sessions/2026/11/22"
PATH_A = f"{FOLDER}/rollout-2026-11-22T23-04-48-{A}.jsonl"
PATH_B = f"{FOLDER}/rollout-2026-11-22T23-04-49-{B}.jsonl"
ARCHIVED_A = PATH_A.replace(FOLDER, "archived_sessions")
START = "2026-11-22T23:04:48.000Z"
START_MS = 1_795_388_688_000

Line = dict[str, Any]


def line(kind: str, payload: Line, at: str = START) -> Line:
    return {"timestamp": at, "type": kind, "payload": payload}


def meta(thread_id: str = A, **fields: Any) -> Line:
    base = {"id": thread_id, "timestamp": START, "cwd": "/w", "originator": "o", "cli_version": "0.169.0"}
    return line("session_meta", {**base, **fields})


def event(kind: str, at: str = START, **fields: Any) -> Line:
    return line("event_msg", {"type": kind, **fields}, at)


def user(text: str, at: str = START, **fields: Any) -> Line:
    return event("user_message", at, message=text, **fields)


def item(content: list[Line], at: str = START, kind: str = "UserMessage") -> Line:
    return event("item_completed", at, thread_id=A, turn_id="t", item={"type": kind, "id": "i", "content": content})


def context(**fields: Any) -> Line:
    return line("turn_context", {"turn_id": "t", **fields})


def text_of(*lines: Line | bytes, end: bytes = b"\n") -> bytes:
    encoded = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in lines]
    return b"\n".join(encoded) + end


def path_of(thread_id: str = A) -> str:
    return f"sessions/2026/11/22/rollout-2026-11-22T23-04-48-{thread_id}.jsonl"


def describe(data: bytes, path: str = path_of(), bases: dict[str, bytes] | None = None) -> Description:
    store = MemoryRollouts()
    store.create(RolloutRef(path), data)
    for thread_id, other in (bases or {}).items():
        store.create(RolloutRef(path_of(thread_id)), other)
    file = store.stat(path)
    assert file is not None
    return store.describe(file)


def thread_of_parts(parts: Parts, *lines: Line | bytes) -> StoredThread:
    """The thread of a rollout that is read in small batches."""
    data, path = text_of(*lines), path_of()
    text = RolloutText(path, io.BytesIO(data), len(data), ReadingBounds(batch_bytes=256))
    return describe_text(RolloutRef(path, FileStamp(len(data), 0)), text, lambda _: None, parts).thread


def thread_of(*lines: Line | bytes) -> StoredThread:
    return (describe(text_of(*lines))).thread


META = text_of(meta())


def all_lines(store: RolloutStore, path: str, start: int = 0, end: int | None = None) -> list[RawLine]:
    return [line for batch in store.lines(RolloutRef(path), start, end) for line in batch]


def content(store: RolloutStore, path: str) -> list[bytes]:
    return [line.data for line in all_lines(store, path)]
