"""Builds the events of verbs. Their payloads are Codex's notifications in snake_case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from mcp_server.models.event import ThreadEvent
from mcp_server.models.thread import StoredThread, Thread
from mcp_server.models.turn import Item, Turn
from mcp_server.models.value import plain
from mcp_server.threads.loaded import LoadedThread
from mcp_server.threads.views import cut_texts

# Events carry no longer texts than this: the rollout keeps them whole.
_EVENT_TEXT_CHARS = 2_000


def started(thread: Thread) -> ThreadEvent:
    """As Codex's: the thread of the answer without its turns."""
    return ThreadEvent("thread/started", thread.id, {"thread": plain(thread) | {"turns": []}})


def status_changed(loaded: LoadedThread) -> ThreadEvent:
    payload = {"thread_id": loaded.thread.id, "status": plain(loaded.status)}
    return ThreadEvent("thread/status/changed", loaded.thread.id, payload)


def not_loaded(thread_id: str) -> ThreadEvent:
    return ThreadEvent("thread/status/changed", thread_id, {"thread_id": thread_id, "status": {"type": "notLoaded"}})


def closed(thread_id: str) -> ThreadEvent:
    return ThreadEvent("thread/closed", thread_id, {"thread_id": thread_id})


def deleted(thread_id: str) -> ThreadEvent:
    return ThreadEvent("thread/deleted", thread_id, {"thread_id": thread_id})


def name_updated(thread: StoredThread) -> ThreadEvent:
    return ThreadEvent("thread/name/updated", thread.id, {"thread_id": thread.id, "thread_name": thread.name})


def tags_updated(thread_id: str, tags: Sequence[str]) -> ThreadEvent:
    """Ours: Codex knows no tags."""
    return ThreadEvent("thread/tags/updated", thread_id, {"thread_id": thread_id, "tags": sorted(tags)})


def turn_started(thread_id: str, turn: Turn) -> ThreadEvent:
    return ThreadEvent("turn/started", thread_id, {"thread_id": thread_id, "turn": _bare(turn)})


def turn_completed(thread_id: str, turn: Turn) -> ThreadEvent:
    return ThreadEvent("turn/completed", thread_id, {"thread_id": thread_id, "turn": _bare(turn)})


def item_completed(thread_id: str, turn_id: str, item: Item) -> ThreadEvent:
    shown, truncated = cut_texts(item, 0, _EVENT_TEXT_CHARS)
    payload: dict[str, Any] = {"thread_id": thread_id, "turn_id": turn_id, "item": shown}
    if truncated:
        payload["truncated"] = truncated
    return ThreadEvent("item/completed", thread_id, payload)


def _bare(turn: Turn) -> dict[str, Any]:
    return plain(replace(turn, items=[], items_view="notLoaded"))
