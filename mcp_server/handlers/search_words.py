"""The words of people by which Claude Code finds a tool.

It shows most tools only after a search, which weighs these words twice as much as those of a description, and shows
them to nobody. Tools whose names and descriptions say what people say need none.
"""

from __future__ import annotations

from typing import Any

_WORDS = {
    "thread_resume": "carry on old conversation",
    "thread_tree": "what did my sub-agents do and which failed",
    "thread_brief": "hand over summary sub-agents failed",
    "thread_outline": "where did it go wrong",
    "thread_stats": "how many how much in a repository this week",
    "thread_items": "last error output in full",
    "turn_start": "record a run",
}


def search_hint(tool: str) -> dict[str, Any]:
    """The tool's `_meta` with its words, if it has some."""
    return {"anthropic/searchHint": _WORDS[tool]} if tool in _WORDS else {}
