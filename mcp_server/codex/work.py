"""What items tell of the work in a thread: what was said, files that changed, what failed, plans, decisions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from mcp_server.codex.fields import int_of, list_of, mapping_of, part_texts, text_of
from mcp_server.models.turn import Item

_PATCHED = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+?)\s*$", re.MULTILINE)
_WRITES = re.compile(r"edit|write|create|patch|replace|insert", re.IGNORECASE)
_CHECKBOX = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\[(?P<mark>[ xX~-])\]\s+(?P<step>.+?)\s*$", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?P<step>.+?)\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_DECIDES = re.compile(
    r"\b(?:decid(?:e|ed|ing)|decision|agreed?|chose|chosen|settled on|instead of|rather than|from now on|"
    r"(?:we|i)(?:'ll| will| should)? (?:go with|use|keep|drop|switch to|stick (?:to|with))|let's|must not|"
    r"do(?: not|n't) (?:use|touch|change|add|break))\b",
    re.IGNORECASE,
)
_DONE = frozenset({"completed", "done", "cancelled", "canceled"})


def said_by_user(item: Item) -> str | None:
    """The text of a user message; None for any other item."""
    if item.type != "userMessage":
        return None
    return "\n".join(part_texts(item, "content")) or "[no text]"


def said_by_agent(item: Item) -> str | None:
    """The text of an agent message; None for any other item."""
    return text_of(item, "text") or "" if item.type == "agentMessage" else None


def changed_files(item: Item) -> list[str]:
    """The files that an item changes: recorded changes, patches among the arguments of a tool, and the file that a tool
    named as one that writes was given."""
    if item.type == "fileChange":
        return [path for change in list_of(item, "changes") if (path := text_of(change, "path"))]
    if item.type == "commandExecution":
        return _PATCHED.findall(text_of(item, "command") or "")
    if item.type not in ("dynamicToolCall", "mcpToolCall"):
        return []
    arguments = item.get("arguments")
    patched = [path for text in _texts(arguments) for path in _PATCHED.findall(text)]
    if patched or not _WRITES.search(text_of(item, "tool") or ""):
        return patched
    named = (text_of(arguments, name) for name in ("file_path", "path", "filename"))
    return [path for path in named if path][:1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (part for part in value.values() if isinstance(part, str))  # pyright: ignore[reportUnknownVariableType]


class Failed(NamedTuple):
    what: str
    error: str


def failure_of(item: Item) -> Failed | None:
    """What failed, and what it said in the end; None for an item that did not."""
    if item.get("status") != "failed":
        return None
    if item.type == "commandExecution":
        code = int_of(item, "exit_code")
        said = _last_line(text_of(item, "aggregated_output") or "")
        return Failed(text_of(item, "command") or "command", said or f"exit code {code}")
    if item.type == "dynamicToolCall":
        return Failed(text_of(item, "tool") or "tool", _last_line("\n".join(part_texts(item, "content_items"))))
    if item.type == "mcpToolCall":
        error = text_of(item, "error") or text_of(item, "error", "message") or ""
        return Failed(text_of(item, "tool") or "tool", _last_line(error))
    return Failed(item.type, "failed")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def open_steps(item: Item) -> list[str] | None:
    """The steps of a plan that are not done, if the item is a plan, a call that updates one, or a message with boxes to
    tick; else None. A plan that tells of no step whether it is done leaves all open."""
    if item.type == "dynamicToolCall":
        return _open_in_call(mapping_of(item, "arguments"))
    text = text_of(item, "text") if item.type in ("plan", "agentMessage") else None
    if not text:
        return None
    boxes = [(match["mark"], match["step"]) for match in _CHECKBOX.finditer(text)]
    if boxes:
        return [step for mark, step in boxes if mark in " ~"]
    return [match["step"] for match in _BULLET.finditer(text)] if item.type == "plan" else None


def _open_in_call(arguments: Any) -> list[str] | None:
    for name in ("plan", "todos"):
        steps = [mapping_of(step) for step in list_of(arguments, name)]
        if steps:
            told = [(text_of(step, "step") or text_of(step, "content") or json.dumps(step), step) for step in steps]
            return [text for text, step in told if text_of(step, "status") not in _DONE]
    return None


def decisions_in(text: str) -> list[str]:
    """The sentences of a message that tell of a decision."""
    sentences = (" ".join(match.group().split()) for match in _SENTENCE.finditer(text))
    return [sentence for sentence in sentences if _DECIDES.search(sentence)]


def question_in(text: str) -> str | None:
    """The question that a message ends with, if it does."""
    end = text.rstrip().splitlines()[-1:] or [""]
    return " ".join(end[0].split()) if end[0].rstrip("*_ ").endswith("?") else None
