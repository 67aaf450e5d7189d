"""The lines that we write into rollouts, in Codex's legacy form.

Codex shows clients the turns that `event_msg` lines record; on resume the model gets its context from `response_item`
lines. So what both must know is written twice. `now_ms` is the timestamp of the lines, in Unix milliseconds. Shapes are
those of Codex 0.169.0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import uuid_utils

from mcp_server.codex import messages
from mcp_server.codex.fields import mappings_of
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.sandbox import permission_profile, sandbox_to_rollout
from mcp_server.models.thread import GitInfo, Settings
from mcp_server.models.times import rfc3339
from mcp_server.models.value import Json

TURN_ABORTED = (
    "<turn_aborted>\n"
    "The user interrupted the previous turn on purpose. Any running unified exec processes may still be running in the "
    "background. If any tools/commands were aborted, they may have partially executed.\n"
    "</turn_aborted>"
)


NOT_RECORDED = ("skill", "mention")
"""Parts of a user's input that Codex's legacy histories can't hold."""


def new_id() -> str:
    """A UUIDv7, as Codex gives to threads, turns and items."""
    return str(uuid_utils.uuid7())


def spawn_source(
    parent_thread_id: str, depth: int, agent_nickname: str | None = None, agent_role: str | None = None
) -> Json:
    """The source of a sub-agent. Codex rebuilds its tree of spawned threads from this field alone."""
    spawn = {
        "parent_thread_id": parent_thread_id,
        "depth": depth,
        "agent_path": None,
        "agent_nickname": agent_nickname,
        "agent_role": agent_role,
    }
    return {"subagent": {"thread_spawn": spawn}}


def session_meta(
    thread_id: str,
    *,
    session_id: str,
    created_at_ms: int,
    cwd: str,
    originator: str,
    cli_version: str,
    source: Any,
    model_provider: str,
    base_instructions: Json | str | None,
    parent_thread_id: str | None = None,
    forked_from_id: str | None = None,
    thread_source: str | None = None,
    agent_nickname: str | None = None,
    agent_role: str | None = None,
    git: GitInfo | None = None,
    now_ms: int | None = None,
) -> RolloutLine:
    """The first line. A sub-agent needs both `parent_thread_id`, which Codex shows, and a `spawn_source`, from which
    it builds the tree. The line is written at `now_ms`, or at `created_at_ms` if that is None."""
    if isinstance(base_instructions, str):
        base_instructions = {"text": base_instructions, "provenance": {"type": "custom"}}
    payload = {
        "session_id": session_id,
        "id": thread_id,
        "forked_from_id": forked_from_id,
        "parent_thread_id": parent_thread_id,
        "timestamp": rfc3339(created_at_ms),
        "cwd": cwd,
        "originator": originator,
        "cli_version": cli_version,
        "source": source,
        "thread_source": thread_source,
        "agent_nickname": agent_nickname,
        "agent_role": agent_role,
        "model_provider": model_provider,
        "base_instructions": base_instructions,
        "history_mode": "legacy",
        "git": _git(git) if git is not None else None,
    }
    return _line("session_meta", _given(payload), created_at_ms if now_ms is None else now_ms)


def git_updated(meta: Json, git: GitInfo, now_ms: int) -> RolloutLine:
    """The line that `thread/metadata/update` appends: the newest session metadata of the thread again, with this git
    state. A git state without any value is an empty object."""
    payload = {**meta, "memory_mode": meta.get("memory_mode", "enabled"), "git": _git(git)}
    return _line("session_meta", payload, now_ms)


def settings_applied(thread_id: str, settings: Settings, now_ms: int) -> list[RolloutLine]:
    """The settings in force from here on. Codex uses them when it resumes the thread."""
    payload = {
        "model": settings.model,
        "model_provider_id": settings.model_provider,
        "approval_policy": settings.approval_policy,
        "approvals_reviewer": "user",
        "permission_profile": permission_profile(settings.sandbox, settings.cwd),
        # Our own field: Codex skips it, and reads the sandbox from the profile.
        "sandbox_policy": sandbox_to_rollout(settings.sandbox),
        "cwd": settings.cwd,
        "reasoning_effort": settings.reasoning_effort,
        "collaboration_mode": _collaboration_mode(settings),
    }
    return [_event("thread_settings_applied", now_ms, thread_id=thread_id, thread_settings=_given(payload))]


def turn_context(
    turn_id: str, settings: Settings, now_ms: int, *, root_turn_id: str | None = None
) -> list[RolloutLine]:
    """The settings that a turn runs with."""
    payload = {
        "turn_id": turn_id,
        "root_turn_id": root_turn_id or turn_id,
        "cwd": settings.cwd,
        "approval_policy": settings.approval_policy,
        "approvals_reviewer": "user",
        "permission_profile": permission_profile(settings.sandbox, settings.cwd),
        "sandbox_policy": sandbox_to_rollout(settings.sandbox),
        "model": settings.model,
        "effort": settings.reasoning_effort,
        "collaboration_mode": _collaboration_mode(settings),
        "summary": "auto",
    }
    return [_line("turn_context", _given(payload), now_ms)]


def developer_message(text: str, now_ms: int) -> list[RolloutLine]:
    """Developer instructions. The model sees them, clients don't."""
    return [_message("developer", [{"type": "input_text", "text": text}], None, now_ms)]


def turn_started(turn_id: str, root_turn_id: str, now_ms: int) -> list[RolloutLine]:
    return [
        _event(
            "task_started",
            now_ms,
            turn_id=turn_id,
            root_turn_id=root_turn_id,
            started_at=now_ms // 1000,
            model_context_window=None,
            collaboration_mode_kind="default",
        )
    ]


def user_message(turn_id: str, content: Iterable[Json], now_ms: int) -> list[RolloutLine]:
    """A user's input: Codex's UserInput list of `text`, `image` and `localImage`. `NOT_RECORDED` parts are left out.

    The file of a `localImage` is not read: the model gets its path. (Codex gives it the picture.)
    """
    parts = list(content)
    lines = [user_event(parts, now_ms)]
    if model_input := _model_input(parts):
        lines.insert(0, _message("user", model_input, turn_id, now_ms))
    return lines


def user_event(parts: Iterable[Json], now_ms: int) -> RolloutLine:
    """The event of a user's input. The texts are joined, and the byte ranges of their elements shifted to match."""
    message = ""
    elements: list[Json] = []
    images: list[str] = []
    local_images: list[str] = []
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)}:
                elements += _elements(part, len(message.encode()))
                message += text
            case {"type": "image", "url": str(url)}:
                images.append(url)
            case {"type": "localImage", "path": str(path)}:
                local_images.append(path)
            case _:
                pass
    return _event(
        "user_message", now_ms, message=message, images=images, local_images=local_images, text_elements=elements
    )


def preview_of_input(content: Iterable[Json]) -> str:
    """The preview that a thread gets from a user's input."""
    event = user_event(content, 0).payload
    return messages.preview_of(event["message"], bool(event["images"] or event["local_images"]))


def agent_message(turn_id: str, text: str, now_ms: int) -> list[RolloutLine]:
    return [
        _event("agent_message", now_ms, message=text, phase=None, memory_citation=None),
        _message("assistant", [{"type": "output_text", "text": text}], turn_id, now_ms),
    ]


def reasoning(turn_id: str, text: str, now_ms: int) -> list[RolloutLine]:
    """Reasoning, which only clients see. If it were also a response item, Codex would send it to the provider without
    `encrypted_content`, and a provider that stores nothing refuses that."""
    return [_event("agent_reasoning", now_ms, text=text)]


def plan(turn_id: str, thread_id: str, text: str, now_ms: int) -> list[RolloutLine]:
    """A proposed plan, the only kind that legacy histories record as `item_completed`. The model sees it in Codex's
    plan tags."""
    item = {"type": "Plan", "id": new_id(), "text": text}
    tagged = f"<proposed_plan>\n{text.rstrip()}\n</proposed_plan>"
    return [
        item_completed(item, thread_id, turn_id, now_ms),
        _message("assistant", [{"type": "output_text", "text": tagged}], turn_id, now_ms),
    ]


def tool_call(turn_id: str, call_id: str, name: str, arguments: Any, now_ms: int) -> list[RolloutLine]:
    """A function call. `arguments` is a JSON text, or a value to be written as one."""
    payload = {"type": "function_call", "name": name, "arguments": _text(arguments), "call_id": call_id}
    return [_response_item(payload, turn_id, now_ms)]


def tool_output(turn_id: str, call_id: str, output: Any, success: bool | None, now_ms: int) -> list[RolloutLine]:
    """The output of a function call. `success` is ours: Codex neither reads it nor shows it to the model."""
    payload = {"type": "function_call_output", "call_id": call_id, "output": _text(output), "success": success}
    return [_response_item(_given(payload), turn_id, now_ms)]


def turn_completed(
    turn_id: str,
    root_turn_id: str,
    started_at_ms: int,
    last_agent_message: str | None,
    now_ms: int,
    error: Json | None = None,
) -> list[RolloutLine]:
    return [
        _event(
            "task_complete",
            now_ms,
            **_turn(turn_id, root_turn_id),
            last_agent_message=last_agent_message,
            **_given({"error": error}),
            **_duration(started_at_ms, now_ms),
        )
    ]


def turn_failed(
    turn_id: str,
    root_turn_id: str,
    started_at_ms: int,
    message: str,
    now_ms: int,
    *,
    last_agent_message: str | None = None,
) -> list[RolloutLine]:
    """The end of a turn that failed. `message` says why; Codex's class of the error is `other`."""
    error = {"message": message, "codex_error_info": "other"}
    return turn_completed(turn_id, root_turn_id, started_at_ms, last_agent_message, now_ms, error=error)


def turn_interrupted(turn_id: str, root_turn_id: str, started_at_ms: int, now_ms: int) -> list[RolloutLine]:
    """The end of an interrupted turn: a message in the user's role tells the model, an event tells clients."""
    return [
        interruption_note(turn_id, now_ms),
        _event(
            "turn_aborted",
            now_ms,
            **_turn(turn_id, root_turn_id),
            reason="interrupted",
            **_duration(started_at_ms, now_ms),
        ),
    ]


def interruption_note(turn_id: str, now_ms: int) -> RolloutLine:
    """The message that tells the model that a turn was interrupted."""
    return _message("user", [{"type": "input_text", "text": TURN_ABORTED}], turn_id, now_ms)


def item_completed(item: Json, thread_id: str, turn_id: str, now_ms: int) -> RolloutLine:
    return _event(
        "item_completed",
        now_ms,
        thread_id=thread_id,
        turn_id=turn_id,
        item=item,
        started_at_ms=now_ms,
        completed_at_ms=now_ms,
    )


# ---------------------------------------------------------------------------------------------- shapes


def _line(kind: str, payload: Json, now_ms: int) -> RolloutLine:
    return RolloutLine(type=kind, payload=payload, timestamp=rfc3339(now_ms))


def _event(kind: str, now_ms: int, **fields: Any) -> RolloutLine:
    return _line("event_msg", {"type": kind, **fields}, now_ms)


def _response_item(payload: Json, turn_id: str | None, now_ms: int) -> RolloutLine:
    # Codex names the turn of an item here. It sends the field to its own backend only.
    passthrough = {} if turn_id is None else {"internal_chat_message_metadata_passthrough": {"turn_id": turn_id}}
    return _line("response_item", {**payload, **passthrough}, now_ms)


def _message(role: str, content: list[Json], turn_id: str | None, now_ms: int) -> RolloutLine:
    return _response_item({"type": "message", "role": role, "content": content}, turn_id, now_ms)


def _turn(turn_id: str, root_turn_id: str) -> Json:
    return {"turn_id": turn_id, "root_turn_id": root_turn_id}


def _duration(started_at_ms: int, now_ms: int) -> Json:
    return {
        "started_at": started_at_ms // 1000,
        "completed_at": now_ms // 1000,
        "duration_ms": max(0, now_ms - started_at_ms),
    }


def _model_input(parts: list[Json]) -> list[Json]:
    found: list[Json] = []
    images = 0
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)}:
                found.append({"type": "input_text", "text": text})
            case {"type": "image", "url": str(url)}:
                images += 1
                found.append({"type": "input_image", "image_url": url, "detail": "high"})
            case {"type": "localImage", "path": str(path)}:
                images += 1
                found.append({"type": "input_text", "text": f'<image name=[Image #{images}] path="{path}">'})
                found.append({"type": "input_text", "text": "</image>"})
            case _:
                pass
    return found


def _elements(part: Json, before: int) -> list[Json]:
    found: list[Json] = []
    for element in mappings_of(part, "text_elements"):
        match element:
            case {"byteRange": {"start": int(start), "end": int(end)}}:
                pass
            case {"byte_range": {"start": int(start), "end": int(end)}}:
                pass
            case _:
                continue
        moved = {"start": start + before, "end": end + before}
        found.append({"byte_range": moved, "placeholder": element.get("placeholder")})
    return found


def _collaboration_mode(settings: Settings) -> Json:
    values = {
        "model": settings.model,
        "reasoning_effort": settings.reasoning_effort,
        "developer_instructions": None,
    }
    return {"mode": "default", "settings": values}


def _git(git: GitInfo) -> Json:
    return _given({"commit_hash": git.sha, "branch": git.branch, "repository_url": git.origin_url})


def _given(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
