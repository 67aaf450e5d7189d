"""A tree of threads in the Agent Trajectory Interchange Format, ATIF v1.8
(https://github.com/harbor-framework/harbor/blob/main/rfcs/0001-trajectory-format.md).

Each user message, each message of the agent and each tool call is a step. What the agent thought goes with the step
that follows. Sub-agents are embedded below the thread that began them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mcp_server.codex.fields import mapping_of, text_of, texts_of
from mcp_server.codex.pieces import Piece, piece_of
from mcp_server.models.thread import StoredThread
from mcp_server.models.times import rfc3339
from mcp_server.models.tokens import TokenUsage
from mcp_server.models.turn import Item, Turn
from mcp_server.models.value import Json

VERSION = "ATIF-v1.8"
_IMAGE = re.compile(r"data:(image/(?:jpeg|png|gif|webp));")

Told = Iterable[tuple[Turn, TokenUsage | None]]
"""The turns of a thread, each with the tokens that it used, where recorded."""


def trajectory(threads: Sequence[StoredThread], turns_of: Callable[[StoredThread], Told]) -> Json:
    """The tree as one JSON object. The first thread is the root; parents come before their children."""
    ids = {thread.id for thread in threads}
    made: dict[str, Json] = {}
    for thread in threads:
        made[thread.id] = _Steps(ids).of(thread, turns_of(thread))
    for thread in threads[1:]:
        parent = made.get(thread.parent_thread_id or "", made[threads[0].id])
        parent.setdefault("subagent_trajectories", []).append(made[thread.id])
    return made[threads[0].id]


class _Steps:
    """Builds the steps of one thread. `embedded`: the threads that a step may refer to."""

    def __init__(self, embedded: set[str]) -> None:
        self._embedded = embedded
        self._steps: list[Json] = []
        self._thoughts: list[str] = []

    def of(self, thread: StoredThread, turns: Told) -> Json:
        total = TokenUsage()
        for turn, used in turns:
            self._turn(turn, used)
            total += used or TokenUsage()
        extra = {
            "name": thread.name,
            "cwd": thread.cwd,
            "tags": list(thread.tags),
            "archived": thread.archived,
            "parent_thread_id": thread.parent_thread_id,
            "forked_from_id": thread.forked_from_id,
            "agent_nickname": thread.agent_nickname,
            "agent_role": thread.agent_role,
        }
        return _known(
            schema_version=VERSION,
            session_id=thread.session_id or thread.id,
            trajectory_id=thread.id,
            agent=_known(
                name=thread.originator or "unknown",
                version=thread.cli_version or "unknown",
                model_name=thread.model,
            ),
            steps=self._steps,
            final_metrics={"total_steps": len(self._steps)} if total == TokenUsage() else _totals(total, self._steps),
            extra=_known(**extra),
        )

    def _turn(self, turn: Turn, used: TokenUsage | None) -> None:
        first = len(self._steps)
        for item in turn.items:
            self._item(item, turn)
        if self._thoughts:
            self._add("agent", "", turn, None)
        if turn.error is not None:
            self._add("system", turn.error.message, turn, None, extra={"kind": "error"})
        by_agent = [step for step in self._steps[first:] if step["source"] == "agent"]
        if by_agent and used is not None:
            by_agent[-1]["metrics"] = {
                "prompt_tokens": used.input,
                "completion_tokens": used.output,
                "cached_tokens": used.cached,
            }

    def _item(self, item: Item, turn: Turn) -> None:
        piece = piece_of(item)
        match piece.speaker:
            case "thought":
                self._thoughts.append(piece.text)
            case "user":
                self._add("user", _message(piece), turn, item)
            case "agent":
                self._add("agent", piece.text, turn, item, extra={"kind": "plan"} if piece.title else None)
            case "note":
                self._add("system", "\n".join(part for part in (piece.title, piece.text) if part), turn, item)
            case "tool":
                self._add("agent", "", turn, item, **_call(item, piece, self._embedded))

    def _add(
        self,
        source: str,
        message: str | list[Json],
        turn: Turn,
        item: Item | None,
        extra: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        at = item.get("started_at_ms") if item else None
        at_ms = at if isinstance(at, int) else None if turn.started_at is None else turn.started_at * 1000
        if source == "agent" and self._thoughts:
            more["reasoning_content"] = "\n\n".join(self._thoughts)
            self._thoughts = []
        self._steps.append(
            _known(
                step_id=len(self._steps) + 1,
                timestamp=None if at_ms is None else rfc3339(at_ms),
                source=source,
                message=message,
                extra={"turn_id": turn.id, **(extra or {})},
                **more,
            )
        )


def _message(piece: Piece) -> str | list[Json]:
    """A user's message: text, or parts if it has images that the format knows."""
    images = [(match[1], image) for image in piece.images if (match := _IMAGE.match(image))]
    others = [f"[image: {image[:300]}]" for image in piece.images if not _IMAGE.match(image)]
    text = "\n".join([piece.text, *others])
    if not images:
        return text
    parts: list[Json] = [{"type": "text", "text": text}]
    return parts + [{"type": "image", "source": {"media_type": kind, "path": image}} for kind, image in images]


def _call(item: Item, piece: Piece, embedded: set[str]) -> Json:
    """The fields of a tool call's step."""
    given = mapping_of(item, "arguments") or ({"input": piece.text} if piece.text else {})
    agents = [one for one in texts_of(item, "receiver_thread_ids") if one in embedded]
    result = _known(
        source_call_id=item.id,
        content=piece.output or None,
        subagent_trajectory_ref=[{"trajectory_id": one} for one in agents] or None,
    )
    return {
        "tool_calls": [{"tool_call_id": item.id, "function_name": _name(item, piece), "arguments": given}],
        "observation": {"results": [result]} if len(result) > 1 else None,
    }


def _name(item: Item, piece: Piece) -> str:
    if item.type in ("dynamicToolCall", "mcpToolCall"):
        return piece.title or item.type
    return text_of(item, "tool") or item.type


def _totals(total: TokenUsage, steps: Sequence[Json]) -> Json:
    return {
        "total_prompt_tokens": total.input,
        "total_completion_tokens": total.output,
        "total_cached_tokens": total.cached,
        "total_steps": len(steps),
    }


def _known(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
