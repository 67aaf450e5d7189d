"""The tools that tell much in one call: hand-over, outline, figures."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from mcp_server.handlers.app import App
from mcp_server.handlers.schema import (
    READS,
    Cursor,
    Folders,
    Limit,
    Providers,
    Since,
    Sources,
    Tags,
    ThreadRef,
    Until,
    published,
    reply,
    tool,
)
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import OutlineParams, StatsGroup, StatsParams, ThreadFilter


def brief_tools(app: App) -> list[Tool]:
    async def thread_brief(ctx: Context, thread_id: ThreadRef) -> Annotated[CallToolResult, r.BriefResult]:
        """Hand a thread over (summary, brief) in one call: goal, state, decisions, last answers, open points, files
        changed, failures, sub-agents and how to go on. For whole turns use thread_read."""
        service = await app.ready(ctx)
        result = await in_worker(service.brief.show, thread_id)
        return reply(result)

    async def thread_outline(
        ctx: Context,
        thread_id: ThreadRef,
        limit: Annotated[int, Field(ge=1, le=100), published("Turns (50), up to 100", "integer")] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, r.OutlineResult]:
        """List what the user said in a thread, oldest first, with turn ids: to find where something began or went
        wrong, for thread_items or thread_fork. For the agent's answers use thread_read."""
        service = await app.ready(ctx)
        result = await in_worker(service.outline.show, OutlineParams(thread_id, cursor, limit))
        return reply(result)

    async def thread_stats(
        ctx: Context,
        group_by: Annotated[StatsGroup, published("day, cwd, model, agent, tag or status", "string")] = "day",
        since: Since = None,
        until: Until = None,
        cwd: Folders = None,
        archived: Annotated[bool | None, Field(description="Archived or active ones alone")] = None,
        model_providers: Providers = None,
        source_kinds: Sources = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Sub-agents below it")] = None,
        search_term: Annotated[str | None, Field(description="Part of name or first message")] = None,
        tags: Tags = None,
        limit: Limit = 25,
    ) -> Annotated[CallToolResult, r.StatsResult]:
        """Count threads, turns, failures and tokens by day, project, model, agent, tag or status, with sub-agents and
        archived ones. To see the threads use thread_list."""
        service = await app.ready(ctx)
        where = ThreadFilter(
            cwd=[cwd] if isinstance(cwd, str) else cwd,
            model_providers=model_providers,
            source_kinds=source_kinds,
            ancestor_thread_id=ancestor_thread_id,
            search_term=search_term,
            tags=tags,
            since=since,
            until=until,
        )
        result = await in_worker(service.stats.show, StatsParams(where, group_by, archived, limit))
        return reply(result)

    return [
        tool(thread_brief, "Brief on a thread", READS),
        tool(thread_outline, "Outline a thread", READS),
        tool(thread_stats, "Count threads, turns, tokens", READS),
    ]
