"""Turns and their items, with Codex's wire values."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, UnsetType

from mcp_server.models.tokens import TokenUsage
from mcp_server.models.value import SECONDS, Value, about

TurnStatus = Literal["completed", "interrupted", "failed", "inProgress", "crashed"]
"""Codex's, and `crashed`: the last turn of a thread has no end, and no process is left that could end it."""
ItemsView = Literal["notLoaded", "summary", "full"]


class ItemHead(Value):
    """One item of a turn (Codex's ThreadItem). Which further fields it has depends on `type`.

    userMessage: content. agentMessage, plan: text. reasoning: summary, content. commandExecution: command, cwd,
    status, aggregated_output, exit_code, duration_ms. dynamicToolCall: tool, arguments, status, content_items, success.
    fileChange: changes, status. mcpToolCall: server, tool, arguments, result, error. collabAgentToolCall: tool,
    sender_thread_id, receiver_thread_ids, prompt. webSearch: query. contextCompaction: none.
    """

    type: Annotated[str, about("Codex's ThreadItem type: userMessage, agentMessage, commandExecution, ...")]
    id: Annotated[str, about("Item id, unique in its thread")]
    started_at_ms: Annotated[int | None, about("Unix milliseconds, where recorded")] = None
    completed_at_ms: Annotated[int | None, about("Unix milliseconds, where recorded")] = None


class Item(dict[str, Any]):
    """An item as a dict of its fields: those of `ItemHead`, and those that depend on its type. Treat it as frozen."""

    @property
    def type(self) -> str:
        return self["type"]

    @property
    def id(self) -> str:
        return self["id"]

    @property
    def is_users_command(self) -> bool:
        """Whether the user ran this command from the prompt. Some turns consist of such a command alone."""
        return self.type == "commandExecution" and self.get("source") == "userShell"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that depend on the type."""
        return {name: value for name, value in self.items() if name not in HEAD}

    @property
    def cut_chars(self) -> int:
        """How long those of its texts were that an answer has cut; 0 if it has cut none."""
        truncated: dict[str, int] = self.get("truncated") or {}
        return sum(truncated.values())

    def changed(self, **fields: Any) -> Item:
        """The item with other values for these fields."""
        return Item(self | fields)


HEAD = frozenset(ItemHead.__struct_fields__)


class TurnError(Value):
    message: Annotated[str, about("What went wrong")]
    codex_error_info: Annotated[Any, about("Codex's class of the error, where recorded")] = None
    additional_details: Annotated[str | None, about("More about it, where recorded")] = None


class Turn(Value):
    """One exchange: what the user asked and what the agent did. Codex's Turn in snake_case."""

    id: Annotated[str, about("Turn id")]
    root_turn_id: Annotated[str | None, about("The root thread's turn that this one belongs to")] = None
    status: Annotated[TurnStatus, about("How it stands or ended")]
    error: Annotated[TurnError | None, about("Only of a failed turn")] = None
    items: Annotated[list[Item], about("Empty, first and last message, or all")] = []
    items_view: Annotated[ItemsView, about("How much of the items is shown")] = "full"
    started_at: Annotated[int | None, SECONDS] = None
    completed_at: Annotated[int | None, SECONDS] = None
    duration_ms: Annotated[int | None, about("Milliseconds")] = None
    tokens: Annotated[TokenUsage | UnsetType, about("Tokens used in it, where recorded")] = UNSET
