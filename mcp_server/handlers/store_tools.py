"""The tools on the whole store: events and status."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from mcp_server.handlers import render
from mcp_server.handlers.app import App
from mcp_server.handlers.schema import READS, SETS, Format, Limit, reply, tool
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import EventsParams


def store_tools(app: App, *, read_only: bool = False) -> list[Tool]:
    async def events_read(
        ctx: Context,
        after: Annotated[int, Field(description="last_seq of the last answer; 0 from the beginning")] = 0,
        thread_id: Annotated[str | None, Field(description="Only of this thread")] = None,
        types: Annotated[list[str] | None, Field(description="Only of these types, such as thread/archived")] = None,
        wait_seconds: Annotated[float, Field(description="Wait for the next event, 0 to 50", ge=0, le=50)] = 0,
        limit: Limit = 25,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.EventsResult]:
        """Read the durable log of what happened to threads, oldest first, in this server and in others on the home. Use
        it to catch up, or with wait_seconds to follow along."""
        await app.ready(ctx)
        result = await app.events.read(EventsParams(after, thread_id, types, wait_seconds, limit))
        return reply(result, render.events(result))

    async def store_status(
        ctx: Context,
        repair: Annotated[bool, Field(description="Bring the index in step with the files")] = False,
        dry_run: Annotated[bool, Field(description="With repair: only say what it would do")] = True,
        deep: Annotated[
            bool | None, Field(description="Read every line for damage; default: unless the home is large")
        ] = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.StatusResult]:
        """Show the health of the store: home, counts, how index and files differ, unreadable lines, locks and holders.
        Repair mends the index; the files stay as they are."""
        await app.ready(ctx)
        result = await in_worker(app.examine, repair=repair, dry_run=dry_run, deep=deep)
        return reply(result, render.status(result))

    events = tool(events_read, "Read events", READS)
    if read_only:
        return [events, _status_without_repair(app)]
    return [events, tool(store_status, "Show the store's status", SETS)]


def _status_without_repair(app: App) -> Tool:
    async def store_status(
        ctx: Context, response_format: Format = "concise"
    ) -> Annotated[CallToolResult, r.StatusResult]:
        """Show the health of the store: home, counts, unreadable lines, locks and holders."""
        await app.ready(ctx)
        result = await in_worker(app.examine, repair=False, dry_run=True)
        return reply(result, render.status(result))

    return tool(store_status, "Show the store's status", READS)
