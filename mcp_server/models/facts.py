"""What is known of a value, as answers show it: nothing null, empty or a default, and times in ISO."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, cast, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET

from mcp_server.models.quoting import beginning
from mcp_server.models.results import EventRow
from mcp_server.models.thread import Thread, ThreadRow, ThreadStatus, spawn_task
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Item, Turn
from mcp_server.models.value import Json, Value

SUMMARY_CHARS = 120
"""A row shows so much of a first message and of a last answer."""

# Codex's own names of times in items, events and turns.
_TIME_FIELDS = frozenset({"created_at", "updated_at", "recency_at", "started_at", "completed_at"})


class _Field(NamedTuple):
    name: str
    default: Any
    is_time: bool
    shown: str


@cache
def _fields(kind: type[Value]) -> list[_Field]:
    hints = get_type_hints(kind, include_extras=True)
    found: list[_Field] = []
    for field in msgspec.structs.fields(kind):
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        extra = _extra(hints[field.name])
        found.append(_Field(field.name, default, "time" in extra, extra.get("shown", "always")))
    return found


def _extra(hint: Any) -> Mapping[str, str]:
    notes = [one.extra or {} for one in getattr(hint, "__metadata__", ()) if isinstance(one, msgspec.Meta)]
    return {key: value for note in notes for key, value in note.items()}


def facts(value: Any, *, detailed: bool) -> Any:
    """What is known of a value, as plain dicts and lists, without what is null, empty or a default."""
    match value:
        case Thread():
            return _thread_facts(value, detailed=detailed)
        case EventRow():
            return _event_facts(value, detailed=detailed)
        case Turn():
            return _turn_facts(value, detailed=detailed)
        case ThreadStatus():
            return value.type
        case Value():
            return _value_facts(value, detailed=detailed)
        case Item():
            return _item_facts(value)
        case dict():
            return _dict_facts(cast("Json", value), detailed=detailed)
        case list() | tuple():
            parts = [facts(part, detailed=detailed) for part in cast("list[Any]", value)]
            return [part for part in parts if not _is_empty(part)]
        case _:
            return value


def _is_empty(value: Any) -> bool:
    return value is None or value is UNSET or (isinstance(value, str | list | dict) and not value)


def _value_facts(value: Value, *, detailed: bool) -> Json:
    found: Json = {}
    for field in _fields(type(value)):
        part = getattr(value, field.name)
        if _is_empty(part) or part == field.default or field.shown == "never":
            continue
        if field.shown == "detailed" and not detailed:
            continue
        shown = _iso(part) if field.is_time else facts(part, detailed=detailed)
        if not _is_empty(shown):
            found[field.name] = shown
    return found


def _thread_facts(thread: Thread, *, detailed: bool) -> Json:
    if not detailed:
        return _value_facts(row_of(thread), detailed=False)
    found = _value_facts(thread, detailed=True)
    if thread.session_id == thread.id:
        del found["session_id"]
    return found


def _turn_facts(turn: Turn, *, detailed: bool) -> Json:
    found = _value_facts(turn, detailed=detailed)
    if not detailed and turn.root_turn_id == turn.id:
        del found["root_turn_id"]
    return found


def row_of(thread: Thread) -> ThreadRow:
    """What a concise answer shows of a thread."""
    return ThreadRow(
        id=thread.id,
        name=thread.name,
        first_message=summary(thread.preview),
        task=None if thread.preview else spawn_task(thread.source),
        last_answer=summary(thread.last_answer or ""),
        cwd=thread.cwd,
        branch=thread.git_info.branch if thread.git_info else None,
        worked_at=thread.recency_at,
        turns=thread.turn_count,
        last_turn=thread.last_turn,
        last_error=thread.last_error,
        running_in=thread.running_in,
        status=thread.status.type,
        parent_thread_id=thread.parent_thread_id,
        nickname=thread.agent_nickname,
        archived=thread.archived,
        forked_from_id=thread.forked_from_id,
        attached_to_thread_id=thread.attached_to_thread_id or None,
        ephemeral=thread.ephemeral,
        section=thread.section,
        tags=thread.tags,
    )


def summary(text: str) -> str | None:
    """The beginning of a text on one line, with its full length if it was cut."""
    return beginning(" ".join(text.split()), SUMMARY_CHARS) or None


def _event_facts(row: EventRow, *, detailed: bool) -> Json:
    """An event; its payload does not repeat the thread's id, and has a thread as a row."""
    payload = {name: part for name, part in row.payload.items() if name != "thread_id"}
    if isinstance(thread := payload.get("thread"), dict):
        payload["thread"] = _stored_thread(cast("Json", thread))
    return _value_facts(msgspec.structs.replace(row, payload=payload), detailed=detailed)


def _stored_thread(thread: Json) -> Any:
    """The thread of an event, which may be of another version."""
    try:
        return msgspec.convert(thread, Thread)
    except msgspec.ValidationError:
        return thread


def _item_facts(item: Item) -> Json:
    """An item. Arguments of tools stand as JSON text: null and empty mean something in them."""
    fields: Json = dict(item)
    if not isinstance(arguments := fields.get("arguments"), str | None):
        fields["arguments"] = msgspec.json.encode(arguments).decode()
    return _dict_facts(fields, detailed=True)


def _dict_facts(value: Json, *, detailed: bool) -> Json:
    found: Json = {}
    for name, part in value.items():
        if isinstance(part, int) and not isinstance(part, bool):
            if name in _TIME_FIELDS:
                part = _iso(part)
            elif name.removesuffix("_ms") in _TIME_FIELDS:
                name, part = name.removesuffix("_ms"), rfc3339(part)
        shown = facts(part, detailed=detailed)
        if not _is_empty(shown):
            found[name] = shown
    return found


def _iso(seconds: int) -> str:
    return rfc3339(seconds * 1000).replace(".000Z", "Z")
