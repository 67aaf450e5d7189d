"""The tools on turns and items."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import AliasChoices, Field, model_validator

from mcp_server.errors import InvalidArgument, WouldInterruptSelf
from mcp_server.handlers import render
from mcp_server.handlers.app import App
from mcp_server.handlers.consent import Consent, agreed, consent_of
from mcp_server.handlers.idempotency import answered
from mcp_server.handlers.schema import (
    ADDS,
    PUBLISHED,
    READS,
    ArgumentObject,
    CallerThread,
    Cursor,
    Format,
    Limit,
    RequestId,
    ThreadRef,
    WithAttached,
    reply,
    tool,
)
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import ItemsParams, ReadParams, SearchOrder, SearchParams, ThreadFilter, UserInput
from mcp_server.models.thread import SortDirection, SourceKind
from mcp_server.models.turn import ItemsView


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
        description="The user message: text, or Codex's parts, each {type: text, text}, {type: image, url}, "
        "{type: localImage, path}, {type: skill or mention, name, path}",
        json_schema_extra={PUBLISHED: {"type": ["string", "array"], "items": {"type": "object"}}},
    ),
]
AppendItem = Annotated[MessageItem | ToolCallItem | ToolOutputItem, Field(discriminator="type")]

# A search waits this many seconds for the index before it searches the part that is built. Most homes need less.
_SEARCH_PATIENCE = 5.0


def turn_tools(app: App) -> list[Tool]:
    async def turn_start(
        ctx: Context,
        thread_id: ThreadRef,
        input: Message,  # noqa: A002
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.TurnResult]:
        """Open a turn on a loaded thread with a user message; the first one writes the rollout. Then add what the agent
        does with turn_append and end it with turn_complete. One turn runs at a time."""
        service = await app.ready(ctx)
        return await answered(
            partial(service.turns.start, thread_id, _user_input(input)),
            lambda result: reply(result, render.turn_started(result, response_format == "detailed")),
        )

    async def turn_append(
        ctx: Context,
        thread_id: ThreadRef,
        items: Annotated[list[AppendItem], Field(description="At least one, in order", max_length=1000)] = [],  # noqa: B006
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.AppendResult]:
        """Add items to the running turn: messages, reasoning, plans, tool calls and outputs, further user messages. All
        are written, durably, or none. The final message may also go to turn_complete."""
        service = await app.ready(ctx)
        if not items:
            raise InvalidArgument("items", [], "there is nothing to append", "pass at least one item")
        return await answered(
            partial(service.turns.append, thread_id, [item.model_dump() for item in items]),
            lambda result: reply(result, f"wrote {len(items)} to turn {result.turn_id}: {', '.join(result.item_ids)}"),
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
            Literal["completed", "interrupted", "failed"], Field(description="How it ended")
        ] = "completed",
        message: Annotated[str | None, Field(description="The final agent message, not yet appended")] = None,
        error: Annotated[str | None, Field(description="Why it failed, if failed")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.TurnResult]:
        """End the running turn of a loaded thread. You can't interrupt your own turn, nor end that of a thread you run
        under."""
        service = await app.ready(ctx)
        if not agreed(consent):
            caller, itself = app.caller(ctx, caller_thread_id), status == "interrupted"
            await in_worker(service.guard.check, thread_id, caller, WouldInterruptSelf, itself=itself)
        return await answered(
            partial(service.turns.complete, thread_id, status, message, error),
            lambda result: reply(result, render.turn_text(result.turn, response_format == "detailed")),
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
        include_turns: Annotated[bool, Field(description="With a page of turns")] = False,
        items_view: Annotated[ItemsView, Field(description="No items, first and last message, or all")] = "summary",
        sort_direction: Annotated[SortDirection, Field(description="Newest or oldest turns first")] = "desc",
        limit: Limit = 25,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadReadResult]:
        """Look at one thread without loading it. To add to it use thread_resume; for long texts thread_items."""
        service = await app.ready(ctx)
        result = await in_worker(
            service.reader.read, ReadParams(thread_id, include_turns, items_view, sort_direction, cursor, limit)
        )
        return reply(result, render.thread_read(result, response_format == "detailed"))

    async def thread_items(
        ctx: Context,
        thread_id: ThreadRef,
        turn_id: Annotated[str | None, Field(description="Only of this turn")] = None,
        item_id: Annotated[str | None, Field(description="Only this item")] = None,
        sort_direction: Annotated[SortDirection, Field(description="Order")] = "asc",
        limit: Limit = 25,
        cursor: Cursor = None,
        text_offset: Annotated[int, Field(description="Skip this many characters of long texts", ge=0)] = 0,
        max_chars: Annotated[int, Field(description="Characters shown of each text", ge=1, le=50_000)] = 4_000,
        response_format: Format = "detailed",
    ) -> Annotated[CallToolResult, r.ItemsResult]:
        """Read the items of a thread or of one turn, page by page. Long texts are cut and say their full length;
        item_id with text_offset fetches the rest. For an overview use thread_read."""
        service = await app.ready(ctx)
        result = await in_worker(
            service.reader.items,
            ItemsParams(thread_id, turn_id, item_id, sort_direction, cursor, limit, text_offset, max_chars),
        )
        return reply(result, render.items(result, response_format == "detailed"))

    async def thread_search(
        ctx: Context,
        search_term: Annotated[str, Field(description='Words or parts of words, all of them; "a phrase"; begin*')],
        thread_id: Annotated[str | None, Field(description="Only in this thread")] = None,
        include_tool_calls: Annotated[bool, Field(description="Also in tool calls and outputs")] = False,
        archived: Annotated[bool, Field(description="In archived threads instead")] = False,
        cwd: Annotated[str | list[str] | None, Field(description="Only of these working directories")] = None,
        model_providers: Annotated[list[str] | None, Field(description="Only of these")] = None,
        source_kinds: Annotated[list[SourceKind] | None, Field(description="Only of these; default all")] = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Only in sub-agents below it")] = None,
        include_attached_threads: WithAttached = False,
        since: Annotated[str | None, Field(description="Updated at or after this RFC 3339 time")] = None,
        until: Annotated[str | None, Field(description="Updated at or before this RFC 3339 time")] = None,
        sort_by: Annotated[SearchOrder, Field(description="Newest or best matches first")] = "time",
        limit: Limit = 25,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.SearchResult]:
        """Find what was said in names, user and agent messages, in any case. Gives snippets with thread, turn and item
        ids; read on with thread_items. To filter by name only use thread_list."""
        where = ThreadFilter(
            archived=archived,
            cwd=[cwd] if isinstance(cwd, str) else cwd,
            model_providers=model_providers,
            source_kinds=source_kinds,
            ancestor_thread_id=ancestor_thread_id,
            include_attached_threads=include_attached_threads,
            since=since,
            until=until,
        )
        params = SearchParams(search_term, where, thread_id, include_tool_calls, sort_by, cursor, limit)
        searcher = app.service.searcher
        early = await app.early_answer(ctx, lambda: searcher.early_search(params), _SEARCH_PATIENCE)
        result = early or await in_worker(searcher.search, params)
        return reply(result, render.search(result))

    return [
        tool(thread_read, "Read a thread", READS),
        tool(thread_items, "Read items", READS),
        tool(thread_search, "Search threads", READS),
    ]


def _user_input(value: str | list[InputPart]) -> UserInput:
    """The message in Codex's wire form."""
    if isinstance(value, str):
        value = [TextPart(type="text", text=value)]
    return [part.model_dump() for part in value]
