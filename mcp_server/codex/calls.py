"""Items that the model's own history tells (`response_item` lines): calls with their outputs, searches, commands.

Codex 0.169.0 shows nothing of these where no event tells of the same; we do, since they are what the agent did.
"""

from __future__ import annotations

import html
import re
import shlex
from typing import Any

from mcp_server.codex import items as shapes
from mcp_server.codex.binary import without_base64
from mcp_server.codex.items import camel
from mcp_server.codex.lines import MalformedLine, decode_value
from mcp_server.models.loose import dict_of, int_of, list_of, text_of
from mcp_server.models.turn import Item
from mcp_server.models.value import Json

OUTPUTS = (
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "tool_search_output",
)
AWAIT_OUTPUT = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call")

UNNAMED_SEARCH = "tool-search-"
"""How the ids begin that a tool search gets where the provider made it: neither it nor its output has one."""

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
    """The item of a response item that is a call, in progress where its output is a line of its own. `line` names what
    has no id: Codex leaves out the ids of searches, and a tool search by the provider has no call id."""
    kind = payload.get("type")
    call_id = text_of(payload.get("call_id")) or text_of(payload.get("id"))
    match kind:
        case "function_call" | "custom_tool_call":
            written = payload.get("arguments" if kind == "function_call" else "input")
            name = text_of(payload.get("name")) or ""
            return _tool_call(call_id, name, _decoded(written), payload) if call_id else None
        case "tool_search_call":
            return _tool_call(call_id or f"{UNNAMED_SEARCH}{line}", "tool_search", payload.get("arguments"), payload)
        case "local_shell_call":
            return _local_shell(call_id or f"shell-{line}", payload)
        case "web_search_call":
            return _web_search(call_id or f"web-search-{line}", payload)
        case "image_generation_call":
            return shapes.new_item("imageGeneration", call_id or f"image-{line}", shapes.image_generation(payload))
        case _:
            return None


def _tool_call(call_id: str, tool: str, arguments: Any, payload: Json) -> Item:
    fields: Json = {"tool": tool, "arguments": without_base64(arguments)}
    if (namespace := payload.get("namespace")) is not None:
        fields["namespace"] = namespace
    return shapes.new_item(
        "dynamicToolCall", call_id, fields | {"status": "inProgress", "content_items": None, "success": None}
    )


def _local_shell(call_id: str, payload: Json) -> Item:
    action = dict_of(payload.get("action"))
    command = [word for word in list_of(action.get("command")) if isinstance(word, str)]
    told = {"status": camel(payload.get("status")), "cwd": text_of(action.get("working_directory"))}
    return _command(call_id, shlex.join(command), "agent", told)


def _command(call_id: str, command: str, source: str, told: Json) -> Item:
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
    return shapes.new_item("commandExecution", call_id, fields | told)


def _web_search(call_id: str, payload: Json) -> Item:
    """The query is what the search was for: one or several queries, or the page that was opened."""
    action = dict_of(payload.get("action"))
    queries = [query for query in list_of(action.get("queries")) if isinstance(query, str)]
    query = text_of(action.get("query")) or ", ".join(queries)
    fields = {"action": action, "query": query or text_of(action.get("url"))}
    return shapes.new_item("webSearch", call_id, shapes.web_search(fields))


def turn_id_of(payload: Json) -> str | None:
    """The turn that a response item names, where it does."""
    return text_of(dict_of(payload.get("internal_chat_message_metadata_passthrough")).get("turn_id"))


def twin_key(item: Item) -> str | None:
    """What a search and a user's command have in common with the item that an event tells of the same, which may have
    another id. None for all other items."""
    if item.type == "webSearch":
        return repr(item.get("action") or item.get("query"))
    return "!" if item.is_users_command else None


# ---------------------------------------------------------------------------------------------- outputs


def with_output(call: Item, payload: Json) -> Item:
    """The call with what its output says. `success` is None where the output doesn't record it."""
    if call.type == "commandExecution":
        return call.changed(**_reported(payload.get("output")))
    if payload.get("type") == "tool_search_output":
        return call.changed(status="completed", content_items=[_found_tools(payload)])
    output = payload.get("output")
    success = payload.get("success", dict_of(output).get("success"))
    output = without_base64(dict_of(output).get("content", output))
    parts = [{"type": "input_text", "text": output}] if isinstance(output, str) else list_of(output)
    return call.changed(
        status="failed" if success is False else "completed",
        content_items=[dict_of(part) | {"type": camel(dict_of(part).get("type"))} for part in parts],
        success=success if isinstance(success, bool) else None,
    )


def _found_tools(payload: Json) -> Json:
    names = [text_of(dict_of(tool).get("name")) for tool in list_of(payload.get("tools"))]
    return {"type": "inputText", "text": "\n".join(name for name in names if name)}


def _reported(output: Any) -> Json:
    """What the output of a command tells: JSON with metadata (2025), a report with head lines, or the output alone."""
    told = dict_of(_decoded(output))
    metadata = dict_of(told.get("metadata"))
    text = text_of(told.get("output")) or text_of(told.get("content"))
    code, seconds = int_of(metadata.get("exit_code")), metadata.get("duration_seconds")
    if text is None:
        text = output if isinstance(output, str) else "\n".join(_texts(output))
        if report := _REPORT.fullmatch(text):
            code = None if report["code"] is None else int(report["code"])
            seconds = None if report["seconds"] is None else float(report["seconds"])
            text = report["output"]
    return {
        "status": "failed" if code else "completed",
        "aggregated_output": without_base64(text) or None,
        "exit_code": code,
        "duration_ms": round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 1e12 else None,
    }


def _texts(output: Any) -> list[str]:
    return [text for part in list_of(output) if (text := text_of(dict_of(part).get("text")))]


# ---------------------------------------------------------------------------------------------- messages


def user_shell(payload: Json, item_id: str) -> Item | None:
    """The command that a user ran from the prompt (`!ls`), which the model is told of in the user's role."""
    told = _USER_SHELL.fullmatch(message_text(payload).strip()) if payload.get("role") == "user" else None
    if told is None:
        return None
    return _command(item_id, told["command"], "userShell", _reported(told["result"] or ""))


def hook_prompt(payload: Json, default_id: str) -> Item | None:
    """A user message that consists of hook prompts is Codex's `hookPrompt` item; any other message is None."""
    if payload.get("type") != "message" or payload.get("role") != "user":
        return None
    texts = [text_of(dict_of(part).get("text")) or "" for part in list_of(payload.get("content"))]
    found = [_HOOK_PROMPT.fullmatch(text.strip()) for text in texts]
    fragments = [{"text": html.unescape(hit[2]), "hook_run_id": html.unescape(hit[1])} for hit in found if hit]
    if not fragments or len(fragments) < len(found):
        return None
    return shapes.new_item("hookPrompt", text_of(payload.get("id")) or default_id, {"fragments": fragments})


def message_text(payload: Json) -> str:
    """The text of a response item's message."""
    content = payload.get("content")
    return content if isinstance(content, str) else "\n".join(_texts(content))


def _decoded(written: Any) -> Any:
    """`written` is JSON where it decodes, else the text itself."""
    if not isinstance(written, str):
        return written
    try:
        return decode_value(written)
    except MalformedLine:
        return written
