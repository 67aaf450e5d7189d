"""The tools on turns and items."""

import threading
import time
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, Self

import anyio
import anyio.from_thread
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from pydantic import AliasChoices, Field, model_validator

from mcp_server.errors import InvalidArgument, WouldInterruptSelf
from mcp_server.handlers.app import App
from mcp_server.handlers.consent import Consent, agreed, consent_of
from mcp_server.handlers.idempotency import answered
from mcp_server.handlers.mcp_app import SHOWN_BY_PAGE
from mcp_server.handlers.schema import (
    ADDS,
    FOUND_FIRST,
    PUBLISHED,
    READS,
    ArgumentObject,
    CallerThread,
    Cursor,
    Direction,
    Folders,
    Format,
    Limit,
    Providers,
    RequestId,
    Since,
    Sources,
    Tags,
    ThreadRef,
    Until,
    WithAttached,
    published,
    reply,
    tool,
)
from mcp_server.handlers.workers import in_background, in_worker
from mcp_server.models import results as r
from mcp_server.models.params import ItemsParams, ReadParams, SearchOrder, SearchParams, ThreadFilter, UserInput
from mcp_server.models.turn import ItemsView
from mcp_server.threads.search.searcher import Searcher
from mcp_server.threads.search.state import Watch


class MessageItem(ArgumentObject):
    """What was said."""

    type: Literal["agentMessage", "reasoning", "plan", "userMessage"] = Field(description="Who says it, or a plan")
    text: str = Field(description="The text")


class ToolCallItem(ArgumentObject):
    type: Literal["toolCall"]
    call_id: str = Field(description="Your id of the call", min_length=1, max_length=200)
    name: str = Field(description="Name of the tool", min_length=1)
    arguments: Any = Field(default=None, description="Its arguments as JSON")


class ToolOutputItem(ArgumentObject):
    type: Literal["toolOutput"]
    call_id: str = Field(description="The id of the toolCall", min_length=1, max_length=200)
    output: str = Field(description="What the tool answered")
    success: bool | None = Field(default=None, description="False if the tool failed")


class ByteRange(ArgumentObject):
    start: int = Field(ge=0)
    end: int


class TextElement(ArgumentObject):
    """A part of the text that a client shows otherwise: the bytes it takes, in UTF-8, and what is shown for them."""

    byte_range: ByteRange = Field(validation_alias=AliasChoices("byte_range", "byteRange"))
    placeholder: str | None = None


class TextPart(ArgumentObject):
    type: Literal["text"]
    text: str
    text_elements: list[TextElement] = Field(default=[], validation_alias=AliasChoices("text_elements", "textElements"))

    @model_validator(mode="after")
    def _elements_lie_in_the_text(self) -> Self:
        size = len(self.text.encode("utf-8", "surrogatepass"))
        for element in self.text_elements:
            if not element.byte_range.start <= element.byte_range.end <= size:
                raise ValueError(f"an element's bytes do not lie in the text, which has {size}")
        return self


class ImagePart(ArgumentObject):
    type: Literal["image"]
    url: str = Field(min_length=1)


class LocalImagePart(ArgumentObject):
    type: Literal["localImage"]
    path: str = Field(min_length=1)


class PointerPart(ArgumentObject):
    """What a client lays before the model besides; a rollout has no place for it."""

    type: Literal["skill", "mention"]
    name: str
    path: str


InputPart = Annotated[TextPart | ImagePart | LocalImagePart | PointerPart, Field(discriminator="type")]
# Most messages are plain text, so the description tells the parts in words: shorter for models than a schema.
Message = Annotated[
    str | list[InputPart],
    Field(
        description="Text, or parts: {type: text, text}, {type: image, url}, {type: localImage, path}, "
        "{type: skill or mention, name, path}",
        json_schema_extra={PUBLISHED: {"type": ["string", "array"], "items": {"type": "object"}}},
    ),
]
AppendItem = Annotated[MessageItem | ToolCallItem | ToolOutputItem, Field(discriminator="type")]
Appended = Annotated[
    list[AppendItem],
    Field(max_length=1000),
    published(
        "In order, each {type: agentMessage, reasoning, plan or userMessage, text}, {type: toolCall, call_id, name, "
        "arguments} or {type: toolOutput, call_id, output, success}",
        "array",
        items={"type": "object"},
    ),
]

MaxChars = Annotated[int, Field(ge=1, le=50_000), published("Characters of each text (4000)", "integer")]

# A search waits this many seconds for the index before it searches the part that is built. Most homes need less.
_SEARCH_PATIENCE = 5.0


def turn_tools(app: App) -> list[Tool]:
    async def turn_start(
        ctx: Context,
        thread_id: ThreadRef,
        input: Message,  # noqa: A002
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.TurnResult]:
        """Record a user's message: open a turn on a thread that thread_start, thread_resume or thread_fork loaded. Then
        add what the agent does with turn_append and end it with turn_complete. One turn runs at a time."""
        service = await app.ready(ctx)
        return await answered(
            partial(service.turns.start, thread_id, _user_input(input)),
            reply,
        )

    async def turn_append(
        ctx: Context,
        thread_id: ThreadRef,
        items: Appended = [],  # noqa: B006
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.AppendResult]:
        """Record what an agent says and does: messages, reasoning, plans, tool calls and outputs, in the turn that
        runs. All items are written, durably, or none."""
        service = await app.ready(ctx)
        if not items:
            raise InvalidArgument("items", [], "there is nothing to append", "pass at least one item")
        return await answered(
            partial(service.turns.append, thread_id, [item.model_dump() for item in items]),
            reply,
        )

    async def may_end(
        ctx: Context, thread_id: str, status: str, caller_thread_id: str | None
    ) -> Consent | Elicit[Consent]:
        itself = status == "interrupted"  # an agent that records itself completes its own turn
        return await consent_of(app, ctx, thread_id, caller_thread_id, WouldInterruptSelf, itself=itself)

    async def turn_complete(
        ctx: Context,
        thread_id: ThreadRef,
        consent: Annotated[ElicitationResult[Consent], Resolve(may_end)],
        status: Annotated[
            Literal["completed", "interrupted", "failed"], published("completed, interrupted or failed", "string")
        ] = "completed",
        message: Annotated[str | None, Field(description="Last message, if not appended")] = None,
        error: Annotated[str | None, Field(description="Why it failed")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.TurnResult]:
        """Record how the running turn of a loaded thread ended, with its final message or error. You can't interrupt
        your own turn, nor end that of a thread you run under."""
        service = await app.ready(ctx)
        if not agreed(consent):
            caller, itself = app.caller(ctx, caller_thread_id), status == "interrupted"
            await in_worker(service.guard.check, [thread_id], caller, WouldInterruptSelf, itself=itself)
        return await answered(
            partial(service.turns.complete, thread_id, status, message, error),
            reply,
        )

    return [
        tool(turn_start, "Start a turn", ADDS),
        tool(turn_append, "Append to the turn", ADDS),
        tool(turn_complete, "Complete the turn", ADDS),
    ]


def read_tools(app: App) -> list[Tool]:
    async def thread_read(
        ctx: Context,
        thread_id: ThreadRef,
        include_turns: Annotated[bool | None, Field(description="With turns; default where it has some")] = None,
        items_view: Annotated[
            ItemsView, published("summary (first and last message), full or notLoaded", "string")
        ] = "summary",
        sort_direction: Direction = "desc",
        limit: Annotated[int, Field(ge=1, le=100), published("Turns (5), up to 100", "integer")] = 5,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadReadResult]:
        """Read one past thread: facts and last turns, newest first, without loading or locking it. Texts are cut to
        fit; thread_items shows them whole. To continue it use thread_resume."""
        service = await app.ready(ctx)
        result = await in_worker(
            service.reader.read, ReadParams(thread_id, include_turns, items_view, sort_direction, cursor, limit)
        )
        return reply(result, response_format)

    async def thread_items(
        ctx: Context,
        thread_id: ThreadRef,
        turn_id: Annotated[str | None, Field(description="Of this turn")] = None,
        item_id: Annotated[str | None, Field(description="This item")] = None,
        sort_direction: Direction = "asc",
        limit: Limit = 25,
        cursor: Cursor = None,
        text_offset: Annotated[int, Field(description="Show long texts from here on; -2000: their last 2000")] = 0,
        max_chars: MaxChars = 4_000,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ItemsResult]:
        """Read messages, commands and tool outputs of a thread or one turn in full, page by page. A cut text says its
        full length; item_id with text_offset shows the rest. For an overview use thread_read."""
        service = await app.ready(ctx)
        result = await in_worker(
            service.reader.items,
            ItemsParams(thread_id, turn_id, item_id, sort_direction, cursor, limit, text_offset, max_chars),
        )
        return reply(result, response_format)

    async def thread_search(
        ctx: Context,
        search_term: Annotated[str, Field(description='Words, "a phrase", begin*, a OR b, -without')],
        thread_id: Annotated[str | None, Field(description="In this thread")] = None,
        include_tool_calls: Annotated[bool, Field(description="Tool calls and outputs too")] = False,
        archived: Annotated[bool, Field(description="Archived ones instead")] = False,
        cwd: Folders = None,
        model_providers: Providers = None,
        source_kinds: Sources = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Sub-agents below it")] = None,
        include_attached_threads: WithAttached = False,
        tags: Tags = None,
        since: Since = None,
        until: Until = None,
        sort_by: Annotated[SearchOrder, published("rank or time", "string")] = "rank",
        limit: Limit = 25,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.SearchResult]:
        """Search past threads (sessions, conversations, memory) for words anywhere in them: what was said, decided,
        tried or failed. One row a thread, the best first, with passages whose ids thread_items takes; thread_id
        searches within one. By time or folder alone use thread_list."""
        where = ThreadFilter(
            archived=archived,
            cwd=[cwd] if isinstance(cwd, str) else cwd,
            model_providers=model_providers,
            source_kinds=source_kinds,
            ancestor_thread_id=ancestor_thread_id,
            include_attached_threads=include_attached_threads,
            tags=tags,
            since=since,
            until=until,
        )
        params = SearchParams(search_term, where, thread_id, include_tool_calls, sort_by, cursor, limit)
        searcher = app.service.searcher
        early = await app.early_answer(ctx, lambda: searcher.early_search(params), _SEARCH_PATIENCE)
        result = early or await _watched(ctx, searcher, params)
        return reply(result, response_format)

    return [
        tool(thread_read, "Read a thread", READS, FOUND_FIRST | SHOWN_BY_PAGE),
        tool(thread_items, "Read items", READS),
        tool(thread_search, "Search threads", READS, FOUND_FIRST | SHOWN_BY_PAGE),
    ]


async def _watched(ctx: Context, searcher: Searcher, params: SearchParams) -> r.SearchResult:
    """Search. A client that asked for progress is told how many unindexed files are read, and waits longer for them. A
    call that is cancelled stops."""
    patient = (ctx.request_context.meta or {}).get("progress_token") is not None
    told = 0.0

    async def report(done: int, found: int) -> None:
        with suppress(MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await ctx.report_progress(done, found, "reading files that are not indexed yet")

    def progress(done: int, found: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= searcher.bounds.progress_seconds:
            told = now
            anyio.from_thread.run(report, done, found)

    def work(stop: threading.Event) -> r.SearchResult:
        return searcher.search(params, Watch(progress, stop.is_set, patient=patient))

    return await in_background(work)


def _user_input(value: str | list[InputPart]) -> UserInput:
    """The message in Codex's wire form."""
    if isinstance(value, str):
        value = [TextPart(type="text", text=value)]
    return [part.model_dump() for part in value]
