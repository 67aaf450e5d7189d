"""Turns and their items, with Codex's wire values."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TurnStatus = Literal["completed", "interrupted", "failed", "inProgress"]
ItemsView = Literal["notLoaded", "summary", "full"]


class Item(BaseModel):
    """One item of a turn (Codex's ThreadItem). Which further fields it has depends on `type`.

    userMessage: content. agentMessage, plan: text. reasoning: summary, content. commandExecution: command, cwd,
    status, aggregated_output, exit_code, duration_ms. dynamicToolCall: tool, arguments, status, content_items, success.
    fileChange: changes, status. mcpToolCall: server, tool, arguments, result, error. collabAgentToolCall: tool,
    sender_thread_id, receiver_thread_ids, prompt. webSearch: query. contextCompaction: none.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="Codex's ThreadItem type: userMessage, agentMessage, commandExecution, ...")
    id: str = Field(description="Item id, unique in its thread")
    started_at_ms: int | None = Field(default=None, description="Unix milliseconds, where recorded")
    completed_at_ms: int | None = Field(default=None, description="Unix milliseconds, where recorded")


class TurnError(BaseModel):
    model_config = ConfigDict(frozen=True)

    message: str = Field(description="What went wrong")
    codex_error_info: Any = Field(default=None, description="Codex's class of the error, where recorded")
    additional_details: str | None = Field(default=None, description="More about it, where recorded")


class Turn(BaseModel):
    """One exchange: what the user asked and what the agent did. Codex's Turn in snake_case."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Turn id")
    root_turn_id: str | None = Field(default=None, description="The root thread's turn that this one belongs to")
    status: TurnStatus = Field(description="How it stands or ended")
    error: TurnError | None = Field(default=None, description="Only of a failed turn")
    items: list[Item] = Field(default_factory=list[Item], description="Empty, first and last message, or all")
    items_view: ItemsView = Field(default="full", description="How much of the items is shown")
    started_at: int | None = Field(default=None, description="Unix time in seconds")
    completed_at: int | None = Field(default=None, description="Unix time in seconds")
    duration_ms: int | None = Field(default=None, description="Milliseconds")
