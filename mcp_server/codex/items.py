"""Items of a turn as Codex's ThreadItem, made of what a rollout records: `item_completed` and legacy events.

Types and enum-like values become Codex's wire values (`commandExecution`, `inProgress`); field names are snake_case.
No payload raises an error. Shapes observed on Codex 0.169.0.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from mcp_server.codex.binary import left_out, without_base64
from mcp_server.codex.fields import int_of, list_of, mapping_of, part_texts, text_of, texts_of
from mcp_server.models.turn import HEAD, Item, TurnError
from mcp_server.models.value import Json

_REVIEW_REQUESTED = "Review requested."
_REVIEW_FAILED = "Reviewer failed to output a response."
_MCP_DETAILS = frozenset({"app_context", "environment_id", "mcp_app_ui", "plugin_id", "read_only_hint"})

# ---------------------------------------------------------------------------------------------- values


def camel(value: Any) -> Any:
    """`unified_exec_startup` -> `unifiedExecStartup`. Any other value than a text is returned as it is."""
    if not isinstance(value, str):
        return value
    head, *rest = value.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda capital: "_" + capital[0].lower(), name)


def _milliseconds(duration: Any) -> int | None:
    """The milliseconds of a recorded `{secs, nanos}`."""
    seconds, nanos = int_of(duration, "secs"), int_of(duration, "nanos")
    return None if seconds is None else int_of(seconds * 1000 + (nanos or 0) // 1_000_000)


def _local_path(value: Any) -> Any:
    """The plain path of a `file://` URL. Any other value is returned as it is."""
    if isinstance(value, str) and value.startswith("file://"):
        return unquote(value.removeprefix("file://"))
    return value


def new_item(kind: str, item_id: str, fields: Json, started: Any = None, completed: Any = None) -> Item:
    item = Item(type=kind, id=item_id, started_at_ms=int_of(started), completed_at_ms=int_of(completed))
    item.update((name, value) for name, value in fields.items() if name not in HEAD)
    return item


def turn_error(value: Any) -> TurnError | None:
    """The error that a `task_complete` records, if any. Its class becomes Codex's wire value, such as
    `internalServerError` or `{"httpConnectionFailed": {"http_status_code": 503}}`."""
    error = mapping_of(value)
    if not error:
        return None
    info = error.get("codex_error_info")
    named = {camel(name): detail for name, detail in mapping_of(info).items()}
    return TurnError(
        message=text_of(error, "message") or "",
        codex_error_info=named or camel(info),
        additional_details=text_of(error, "additional_details"),
    )


# ---------------------------------------------------------------------------------------------- item_completed


def completed_item(payload: Json) -> Item | None:
    """The item of an `item_completed` event, None if it has no type or id. An item of an unknown type keeps its fields,
    with names in snake_case, and its type begins with a small letter."""
    item = mapping_of(payload, "item")
    kind, item_id = text_of(item, "type"), text_of(item, "id")
    if not kind or not item_id:
        return None
    fields = _SHAPES.get(kind, _other)(item)
    times = payload.get("started_at_ms"), payload.get("completed_at_ms")
    return new_item(kind[0].lower() + kind[1:], item_id, fields, *times)


def _other(item: Json) -> Json:
    kept = without_base64(item)
    fields = {_snake(name): value for name, value in kept.items() if name not in ("type", "id", "duration")}
    if "status" in fields:
        fields["status"] = camel(fields["status"])
    if "duration" in item:
        fields["duration_ms"] = _milliseconds(item["duration"])
    return fields


def _user_message(item: Json) -> Json:
    fields: Json = {"content": [_user_input(part) for part in list_of(item, "content")]}
    return fields | _present(item, "client_id")


def _user_input(part: Any) -> Any:
    """Codex's UserInput for a recorded part: `image_url` is `url` on the wire, `local_image` is `localImage`."""
    match part:
        case {"type": "text"}:
            return {"text_elements": list[Any]()} | mapping_of(part)
        case {"type": "image", "image_url": url}:
            return {"type": "image", "url": url} | _present(mapping_of(part), "detail")
        case {"type": str(kind)}:
            return mapping_of(part) | {"type": camel(kind)}
        case _:
            return part


def _agent_message(item: Json) -> Json:
    return {"text": "".join(part_texts(item, "content")), "phase": text_of(item, "phase")}


def _plan(item: Json) -> Json:
    return {"text": text_of(item, "text") or ""}


def _reasoning(item: Json) -> Json:
    return {"summary": list_of(item, "summary_text"), "content": list_of(item, "raw_content")}


def _command_execution(item: Json) -> Json:
    cwd = _local_path(item.get("cwd"))
    return {
        "command": shlex.join(texts_of(item, "command")),
        "cwd": cwd,
        "process_id": item.get("process_id"),
        "source": camel(item.get("source")),
        "status": camel(item.get("status")),
        "command_actions": [_command_action(mapping_of(action), cwd) for action in list_of(item, "parsed_cmd")],
        "aggregated_output": without_base64(text_of(item, "aggregated_output")) or None,
        "exit_code": int_of(item, "exit_code"),
        "duration_ms": _milliseconds(item.get("duration")),
    }


def _command_action(action: Json, cwd: Any) -> Json:
    wire = {"command" if name == "cmd" else name: value for name, value in action.items()}
    wire["type"] = camel(action.get("type"))
    path = action.get("path")
    if wire["type"] == "read" and isinstance(path, str) and isinstance(cwd, str):
        wire["path"] = posixpath.join(cwd, path)
    return wire


def _file_change(item: Json) -> Json:
    changes = sorted(mapping_of(item, "changes").items())
    updates = [_update(path, mapping_of(change)) for path, change in changes]
    return {"changes": updates, "status": camel(item.get("status"))}


def _update(path: str, change: Json) -> Json:
    kind: Json = {"type": camel(change.get("type"))}
    diff = text_of(change, "content") or text_of(change, "unified_diff") or ""
    if kind["type"] == "update":
        kind["move_path"] = change.get("move_path")
        if kind["move_path"]:
            diff = f"{diff}\n\nMoved to: {kind['move_path']}"
    return {"path": path, "kind": kind, "diff": diff}


def _mcp_tool_call(item: Json) -> Json:
    return {
        "server": item.get("server"),
        "tool": item.get("tool"),
        "status": camel(item.get("status")),
        "arguments": without_base64(item.get("arguments")),
        "result": _mcp_result(item.get("result")),
        "error": item.get("error"),
        "duration_ms": _milliseconds(item.get("duration")),
    } | {name: value for key, value in item.items() if (name := _snake(key)) in _MCP_DETAILS}


def _mcp_result(value: Any) -> Json | None:
    result = mapping_of(without_base64(value))
    if not result:
        return None
    structured = result.get("structured_content", result.get("structuredContent"))
    return {"content": list_of(result, "content"), "structured_content": structured} | _present(result, "_meta")


def _collab_agent_tool_call(item: Json) -> Json:
    states = mapping_of(item, "agents_states")
    return {
        "tool": camel(item.get("tool")),
        "status": camel(item.get("status")),
        "sender_thread_id": item.get("sender_thread_id"),
        "receiver_thread_ids": list_of(item, "receiver_thread_ids"),
        "prompt": item.get("prompt"),
        "model": item.get("model"),
        "reasoning_effort": item.get("reasoning_effort"),
        "agents_states": {thread_id: _agent_state(state) for thread_id, state in states.items()},
    }


def _agent_state(state: Any) -> Json:
    """`"pending_init"` or `{"completed": "message"}`, as Codex records them."""
    status, message = next(iter(mapping_of(state).items()), (state, None))
    return {"status": camel(status), "message": message}


def web_search(item: Json) -> Json:
    action = mapping_of(item, "action")
    wire = action | {"type": camel(action.get("type"))} if action else None
    return without_base64({"query": text_of(item, "query") or "", "action": wire} | _present(item, "results"))


def image_generation(item: Json) -> Json:
    fields = _present(item, "status", "revised_prompt", "result")
    picture = text_of(fields, "result")
    return fields | {"result": left_out("base64", len(picture))} if picture else fields


def _image_view(item: Json) -> Json:
    return {"path": _local_path(item.get("path"))}


def _entered_review(item: Json) -> Json:
    review = text_of(item, "review") or text_of(item, "user_facing_hint")
    return {"review": review or _REVIEW_REQUESTED}


def _exited_review(item: Json) -> Json:
    explanation = text_of(item, "review_output", "overall_explanation") or ""
    return {"review": explanation.strip() or text_of(item, "review") or _REVIEW_FAILED}


def _nothing(_: Json) -> Json:
    return {}


def _present(item: Json, *names: str) -> Json:
    return {name: item[name] for name in names if item.get(name) is not None}


_SHAPES: dict[str, Callable[[Json], Json]] = {
    "UserMessage": _user_message,
    "AgentMessage": _agent_message,
    "Plan": _plan,
    "Reasoning": _reasoning,
    "CommandExecution": _command_execution,
    "FileChange": _file_change,
    "McpToolCall": _mcp_tool_call,
    "CollabAgentToolCall": _collab_agent_tool_call,
    "WebSearch": web_search,
    "ImageView": _image_view,
    "EnteredReviewMode": _entered_review,
    "ExitedReviewMode": _exited_review,
    "ContextCompaction": _nothing,
}

# ---------------------------------------------------------------------------------------------- legacy events


def legacy_item(event: str, payload: Json, item_id: str) -> Item | None:
    """The item of a legacy event that has no id of its own. None where Codex shows nothing (an empty message)."""
    match event:
        case "user_message":
            return new_item("userMessage", item_id, _legacy_user_message(payload))
        case "agent_message" if text := text_of(payload, "message"):
            return new_item("agentMessage", item_id, {"text": text, "phase": text_of(payload, "phase")})
        case "agent_reasoning" if text := text_of(payload, "text"):
            return new_item("reasoning", item_id, {"summary": [text], "content": []})
        case "agent_reasoning_raw_content" if text := text_of(payload, "text"):
            return new_item("reasoning", item_id, {"summary": [], "content": [text]})
        case "context_compacted":
            return new_item("contextCompaction", item_id, {})
        case "entered_review_mode":
            return new_item("enteredReviewMode", item_id, _entered_review(payload))
        case "exited_review_mode":
            return new_item("exitedReviewMode", item_id, _exited_review(payload))
        case _:
            return None


def merge_reasoning(first: Item, second: Item) -> Item:
    """Two reasoning items in a row are one, as Codex shows them."""
    parts = {name: [*list_of(first.get(name)), *list_of(second.get(name))] for name in ("summary", "content")}
    return first.changed(**parts)


def _legacy_user_message(payload: Json) -> Json:
    content: list[Json] = []
    message = text_of(payload, "message") or ""
    if message.strip():
        content.append({"type": "text", "text": message, "text_elements": list_of(payload, "text_elements")})
    content += [{"type": "image", "url": url} for url in list_of(payload, "images")]
    content += [{"type": "localImage", "path": path} for path in list_of(payload, "local_images")]
    return {"content": content} | _present(payload, "client_id")


def ended_item(event: str, payload: Json) -> Item | None:
    """The item of a legacy event that carries a `call_id`: the end of a patch, an MCP call, a web search, an image."""
    call_id = text_of(payload, "call_id")
    if not call_id:
        return None
    match event:
        case "patch_apply_end":
            return new_item("fileChange", call_id, _file_change(payload))
        case "mcp_tool_call_end":
            return new_item("mcpToolCall", call_id, _ended_mcp_call(payload))
        case "web_search_end":
            return new_item("webSearch", call_id, web_search(payload))
        case "image_generation_end":
            return new_item("imageGeneration", call_id, image_generation(payload))
        case _:
            return None


def _ended_mcp_call(payload: Json) -> Json:
    outcome, invocation = mapping_of(payload, "result"), mapping_of(payload, "invocation")
    result, failure = mapping_of(outcome, "Ok"), outcome.get("Err")
    failed = failure is not None or result.get("isError") is True or result.get("is_error") is True
    return _mcp_tool_call(
        {name: value for name, value in payload.items() if name in _MCP_DETAILS}
        | invocation
        | {"status": "failed" if failed else "completed", "duration": payload.get("duration"), "result": result}
        | {"error": None if failure is None else {"message": failure}}
    )
