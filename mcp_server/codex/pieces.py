"""What an item says: who said what, which tool ran with what and what came of it. Texts that people read lay it out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from mcp_server.codex.fields import list_of, mappings_of, texts_of
from mcp_server.models.turn import Item

Speaker = Literal["user", "agent", "thought", "tool", "note"]
_SPEAKERS: dict[Speaker, str] = {
    "user": "User",
    "agent": "Agent",
    "thought": "Agent, thinking",
    "tool": "Tool",
    "note": "Note",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a conversation.

    Fields:
        title: of a tool its name; of a note, what happened.
        text: what was said; of a tool, what it was given.
        output: of a tool, what came of it.
        images: addresses of a user's images.
    """

    speaker: Speaker
    title: str = ""
    text: str = ""
    output: str = ""
    images: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Who speaks, and whether it is a plan."""
        plan = f", {self.title.lower()}" if self.speaker == "agent" and self.title else ""
        return f"{_SPEAKERS[self.speaker]}{plan}"

    @property
    def said(self) -> str:
        """The text, with a line for each image: its address, or its length if it lies in the thread."""
        told = [f"[image, {len(one)} characters]" if one.startswith("data:") else one for one in self.images]
        return "\n".join([*([self.text] if self.text else []), *told])


def piece_of(item: Item) -> Piece:
    """An item as a part of a conversation."""
    match item.type:
        case "userMessage":
            return _user_piece(item)
        case "agentMessage":
            return Piece("agent", text=_text(item.get("text")))
        case "plan":
            return Piece("agent", "Plan", _text(item.get("text")))
        case "reasoning":
            return Piece("thought", text="\n\n".join([*texts_of(item, "summary"), *texts_of(item, "content")]))
        case "contextCompaction":
            return Piece("note", "The context was compacted")
        case "subAgentActivity":
            return Piece("note", f"Sub-agent {item.get('agent_thread_id')}: {item.get('kind')}")
        case "hookPrompt" | "enteredReviewMode" | "exitedReviewMode":
            return Piece("note", item.type, _rest(item))
        case _:
            return _tool_piece(item)


def _user_piece(item: Item) -> Piece:
    parts = mappings_of(item, "content")
    said = [_text(part["text"]) for part in parts if part.get("text")]
    images = [_text(part.get("url") or part.get("image_url")) for part in parts if part.get("type") == "image"]
    named = [f"[{part.get('type')}: {part.get('path') or part.get('name')}]" for part in parts if _is_named(part)]
    return Piece("user", text="\n".join([*said, *named]), images=tuple(images))


def _is_named(part: dict[str, Any]) -> bool:
    return not part.get("text") and part.get("type") != "image"


def _tool_piece(item: Item) -> Piece:
    match item.type:
        case "commandExecution":
            code = item.get("exit_code")
            ended = [f"(exit code {code})"] if code else []
            output = "\n".join([_text(item.get("aggregated_output")).rstrip("\n"), *ended])
            return Piece("tool", "Command", _text(item.get("command")), output.strip("\n"))
        case "fileChange":
            changes = mappings_of(item, "changes")
            diffs = "\n".join(f"{change.get('path')}\n{_text(change.get('diff'))}".rstrip() for change in changes)
            return Piece("tool", "Changed files", diffs)
        case "mcpToolCall":
            name = f"{_text(item.get('server'))}.{_text(item.get('tool'))}"
            return Piece("tool", name, _given(item), _output(item.get("error") or item.get("result")))
        case "dynamicToolCall":
            return Piece("tool", _text(item.get("tool")), _given(item), _output(list_of(item, "content_items")))
        case "collabAgentToolCall":
            to = ", ".join(texts_of(item, "receiver_thread_ids"))
            return Piece(
                "tool",
                f"{_text(item.get('tool'))} → {to}" if to else _text(item.get("tool")),
                _text(item.get("prompt")),
            )
        case "webSearch":
            return Piece("tool", "Web search", _text(item.get("query")))
        case _:
            return Piece("tool", item.type, _rest(item))


def _rest(item: Item) -> str:
    """All that is recorded of an item that has no text of its own."""
    return _json({name: value for name, value in item.fields.items() if name != "truncated"})


def _given(item: Item) -> str:
    arguments = item.get("arguments")
    return arguments if isinstance(arguments, str) else _json(arguments)


def _output(value: Any) -> str:
    """What a tool has said: its texts, or all of it where it has none."""
    match value:
        case None:
            return ""
        case str():
            return value
        case {"message": str(message)}:
            return message
        case {"content": list()}:
            return _output(cast("dict[str, Any]", value)["content"])
        case list():
            parts = cast("list[Any]", value)
            texts = [part["text"] for part in parts if _has_text(part)]
            return "\n".join(texts) if len(texts) == len(parts) else _json(parts)
        case _:
            return _json(value)


def _has_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(cast("dict[str, Any]", part).get("text"), str)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _json(value: Any) -> str:
    return "" if value in (None, {}, []) else json.dumps(value, ensure_ascii=False, indent=1)
