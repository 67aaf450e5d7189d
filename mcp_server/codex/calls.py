"""Calls in the model's own history (`response_item` lines): tools with their outputs, searches, commands.

Codex 0.169.0 does not show a call that no event records. We show it, since it is what the agent did.
"""

from __future__ import annotations

import html
import re
import shlex
from typing import Any

from mcp_server.codex import items as shapes
from mcp_server.codex.binary import without_base64
from mcp_server.codex.fields import int_of, list_of, mapping_of, part_texts, text_of, texts_of
from mcp_server.codex.items import camel
from mcp_server.codex.lines import decoded_or_text
from mcp_server.codex.messages import message_text
from mcp_server.models.turn import Item
from mcp_server.models.value import Json

OUTPUTS = (
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "tool_search_output",
)
AWAIT_OUTPUT = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call")
_CALLS = (*AWAIT_OUTPUT, "web_search_call", "image_generation_call")

UNNAMED_SEARCH = "tool-search-"
"""Prefix of the ids that we give to the provider's tool searches: neither their call nor their output records an id."""

_HOOK_PROMPT = re.compile(r'<hook_prompt hook_run_id="([^"]*)">(.*)</hook_prompt>', re.DOTALL)
_USER_SHELL = re.compile(
    r"<user_shell_command>\s*<command>\n?(?P<command>.*?)\n?</command>\s*"
    r"(?:<result>\n?(?P<result>.*?)\n?</result>\s*)?</user_shell_command>",
    re.DOTALL,
)
_REPORT = re.compile(
    r"(?:Exit code: (?P<code>-?\d{1,9})\n)?(?:(?:Duration|Wall time): (?P<seconds>\d{1,9}(?:\.\d{1,9})?) seconds\n)?"
    r"(?:Total output lines: \d+\n)?Output:\n(?P<output>.*)",
    re.DOTALL,
)


def call_of(payload: Json, line: int) -> Item | None:
    """The item for a response item that is a call; None for any other. It is in progress if a later line holds its
    output. Where Codex records no id (searches), the number of the `line` makes one."""
    kind = payload.get("type")
    if kind not in _CALLS:
        return None
    call_id = text_of(payload, "call_id") or text_of(payload, "id")
    match kind:
        case "function_call" | "custom_tool_call":
            written = payload.get("arguments" if kind == "function_call" else "input")
            name = text_of(payload, "name") or ""
            return _tool_call(call_id, name, decoded_or_text(written), payload) if call_id else None
        case "tool_search_call":
            return _tool_call(call_id or f"{UNNAMED_SEARCH}{line}", "tool_search", payload.get("arguments"), payload)
        case "local_shell_call":
            return _local_shell(call_id or f"shell-{line}", payload)
        case "web_search_call":
            return _web_search(call_id or f"web-search-{line}", payload)
        case _:
            return shapes.new_item("imageGeneration", call_id or f"image-{line}", shapes.image_generation(payload))


def _tool_call(call_id: str, tool: str, arguments: Any, payload: Json) -> Item:
    fields: Json = {"tool": tool, "arguments": without_base64(arguments)}
    if (namespace := payload.get("namespace")) is not None:
        fields["namespace"] = namespace
    return shapes.new_item(
        "dynamicToolCall", call_id, fields | {"status": "inProgress", "content_items": None, "success": None}
    )


def _local_shell(call_id: str, payload: Json) -> Item:
    action = mapping_of(payload, "action")
    recorded = {"status": camel(payload.get("status")), "cwd": text_of(action, "working_directory")}
    return _command(call_id, shlex.join(texts_of(action, "command")), "agent", recorded)


def _command(call_id: str, command: str, source: str, recorded: Json) -> Item:
    fields: Json = {
        "command": without_base64(command),
        "cwd": None,
        "process_id": None,
        "source": source,
        "status": "completed",
        "command_actions": [],
        "aggregated_output": None,
        "exit_code": None,
        "duration_ms": None,
    }
    return shapes.new_item("commandExecution", call_id, fields | recorded)


def _web_search(call_id: str, payload: Json) -> Item:
    """The query is what the search was for: one or several queries, or the page that was opened."""
    action = mapping_of(payload, "action")
    query = text_of(action, "query") or ", ".join(texts_of(action, "queries")) or text_of(action, "url")
    return shapes.new_item("webSearch", call_id, shapes.web_search({"action": action, "query": query}))


def turn_id_of(payload: Json) -> str | None:
    """The turn that a response item names, if any."""
    return text_of(payload, "internal_chat_message_metadata_passthrough", "turn_id")


def twin_key(item: Item) -> str | None:
    """A key that both records of one action share. An event and the model's history may record a search, or a command
    of the user, under different ids. None for all other items: both records have the same id."""
    if item.type == "webSearch":
        return repr(item.get("action") or item.get("query"))
    return "!" if item.is_users_command else None


# ---------------------------------------------------------------------------------------------- outputs


def with_output(call: Item, payload: Json) -> Item:
    """The call with its output. `success` is None where the output doesn't record it."""
    if call.type == "commandExecution":
        return call.changed(**_command_output(payload.get("output")))
    if payload.get("type") == "tool_search_output":
        return call.changed(status="completed", content_items=[_found_tools(payload)])
    output = payload.get("output")
    success = payload.get("success", mapping_of(output).get("success"))
    output = without_base64(mapping_of(output).get("content", output))
    parts = [{"type": "input_text", "text": output}] if isinstance(output, str) else list_of(output)
    return call.changed(
        status="failed" if success is False else "completed",
        content_items=[mapping_of(part) | {"type": camel(mapping_of(part).get("type"))} for part in parts],
        success=success if isinstance(success, bool) else None,
    )


def _found_tools(payload: Json) -> Json:
    names = [name for tool in list_of(payload, "tools") if (name := text_of(tool, "name"))]
    return {"type": "inputText", "text": "\n".join(names)}


def _command_output(output: Any) -> Json:
    """The fields that a command's output records. The output is JSON with metadata (2025), a report with header lines,
    or bare text."""
    report = decoded_or_text(output)
    metadata = mapping_of(report, "metadata")
    text = text_of(report, "output") or text_of(report, "content")
    code, seconds = int_of(metadata, "exit_code"), metadata.get("duration_seconds")
    if text is None:
        text = output if isinstance(output, str) else "\n".join(part_texts(output))
        if match := _REPORT.fullmatch(text):
            code = None if match["code"] is None else int(match["code"])
            seconds = None if match["seconds"] is None else float(match["seconds"])
            text = match["output"]
    return {
        "status": "failed" if code else "completed",
        "aggregated_output": without_base64(text) or None,
        "exit_code": code,
        "duration_ms": round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 1e12 else None,
    }


# ---------------------------------------------------------------------------------------------- messages


def user_shell(payload: Json, item_id: str) -> Item | None:
    """The command that a user ran from the prompt (`!ls`). Codex tells the model in a message with the user's role."""
    match = _USER_SHELL.fullmatch(message_text(payload).strip()) if payload.get("role") == "user" else None
    if match is None:
        return None
    return _command(item_id, match["command"], "userShell", _command_output(match["result"] or ""))


def hook_prompt(payload: Json, default_id: str) -> Item | None:
    """Codex's `hookPrompt` item, for a user message that consists of hook prompts; None for any other line."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return None
    texts = [text_of(part, "text") or "" for part in list_of(payload, "content")]
    found = [_HOOK_PROMPT.fullmatch(text.strip()) for text in texts]
    fragments = [{"text": html.unescape(hit[2]), "hook_run_id": html.unescape(hit[1])} for hit in found if hit]
    if not fragments or len(fragments) < len(found):
        return None
    return shapes.new_item("hookPrompt", text_of(payload, "id") or default_id, {"fragments": fragments})
