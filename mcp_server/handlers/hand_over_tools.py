"""The tools that hand threads over to people and to other homes, and the resource that their files are."""

from functools import partial
from pathlib import PurePath
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ResourceLink
from pydantic import Field

from mcp_server.errors import ThreadstoreError
from mcp_server.handlers.app import App
from mcp_server.handlers.idempotency import answered
from mcp_server.handlers.schema import ADDS, DryRun, RequestId, ThreadRef, published, reply, tool
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import ExportFormat, ExportParams, ImportParams

_MEDIA_TYPES = {".md": "text/markdown", ".html": "text/html", ".zip": "application/zip", ".json": "application/json"}
_SCHEME = "exports://"


def hand_over_tools(app: App) -> list[Tool]:
    async def thread_export(
        ctx: Context,
        thread_id: ThreadRef,
        format: Annotated[ExportFormat, published("markdown, html, bundle or atif", "string")] = "markdown",  # noqa: A002
        redact: Annotated[bool, Field(description="Mask secrets")] = False,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.ExportResult]:
        """Export a thread with its sub-agents into a file, for people or (bundle) for thread_import elsewhere."""
        service = await app.ready(ctx)
        return await answered(partial(service.exporter.into_home, ExportParams(thread_id, format, redact)), _linked)

    async def thread_import(
        ctx: Context,
        path: Annotated[str, Field(description="Of the bundle")],
        map: Annotated[dict[str, str] | None, published("Old cwd: new", "object")] = None,  # noqa: A002
        dry_run: DryRun = False,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.ImportResult]:
        """Import the threads of a bundle: under new ids where theirs are taken. Overwrites nothing."""
        service = await app.ready(ctx)
        params = ImportParams(list((map or {}).items()), dry_run)
        return await answered(partial(service.importer.from_path, path, params), reply)

    return [tool(thread_export, "Export a thread", ADDS), tool(thread_import, "Import threads", ADDS)]


def add_exports(server: MCPServer[Any], app: App) -> None:
    @server.resource(f"{_SCHEME}{{name}}", title="An export", mime_type="application/octet-stream")
    async def export(name: str, ctx: Context) -> bytes:
        """A file that thread_export wrote."""
        service = await app.ready(ctx)
        try:
            return await in_worker(service.exporter.read, name)
        except ThreadstoreError as error:
            raise ResourceNotFoundError(str(error)) from error

    _ = export


def _linked(result: r.ExportResult) -> CallToolResult:
    """The answer, with a link to the file."""
    answer = reply(result)
    file = PurePath(result.path or "")
    link = ResourceLink(
        uri=f"{_SCHEME}{file.name}",
        name=file.name,
        mime_type=_MEDIA_TYPES[file.suffix],
        size=result.size,
    )
    return answer.model_copy(update={"content": [*answer.content, link]})
