"""The tools on the whole store: events, status, repair."""

from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from mcp_server.handlers.app import App
from mcp_server.handlers.schema import READS, SETS, DryRun, Format, Limit, published, reply, tool
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import EventsParams


def event_tools(app: App) -> list[Tool]:
    async def events_read(
        ctx: Context,
        after: Annotated[
            int | Literal["now"], published('last_seq of the last answer, or "now"', "integer", "string")
        ] = 0,
        thread_id: Annotated[str | None, Field(description="Of this thread")] = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Of it and all below it")] = None,
        types: Annotated[list[str] | None, Field(description="Such as thread/archived")] = None,
        until: Annotated[
            Literal["turn_end"] | None, published("turn_end: wait for that of thread_id", "string")
        ] = None,
        wait_seconds: Annotated[float, Field(ge=0, le=50), published("Wait for it, 0 to 50", "number")] = 0,
        limit: Limit = 25,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.EventsResult]:
        """Read the durable log of what happened to threads, oldest first: to catch up, or with wait_seconds to follow
        along. To wait for a sub-agent pass its thread_id, until=turn_end and wait_seconds: the answer has the turn's
        outcome and last message."""
        await app.ready(ctx)
        params = EventsParams(after, thread_id, ancestor_thread_id, until, types, wait_seconds, limit)
        return reply(await app.events.read(params), response_format)

    return [tool(events_read, "Read events", READS)]


def store_tools(app: App) -> list[Tool]:
    async def store_status(
        ctx: Context,
        deep: Annotated[bool | None, Field(description="Read every line for damage")] = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.StatusResult]:
        """Show the health of the store: home, counts, how index and files differ, unreadable lines, locks and holders.
        Use it where threads seem to be missing; store_repair mends the index."""
        await app.ready(ctx)
        result = await in_worker(app.examine, repair=False, dry_run=True, deep=deep)
        return reply(result, response_format)

    async def store_repair(
        ctx: Context, dry_run: DryRun = False, response_format: Format = "concise"
    ) -> Annotated[CallToolResult, r.StatusResult]:
        """Mend the index: bring it in step with the files, which stay as they are, and say what was mended. Use it
        where store_status shows missing or stale rows."""
        await app.ready(ctx)
        result = await in_worker(app.examine, repair=True, dry_run=dry_run)
        return reply(result, response_format)

    return [tool(store_status, "Show the store's status", READS), tool(store_repair, "Repair the index", SETS)]
