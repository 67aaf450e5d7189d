"""Threads as resources. A tool offers each of them too, since many clients have no resources."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import Completion, ResourceTemplateReference

from mcp_server.errors import InvalidRequest, NotFound, ThreadstoreError
from mcp_server.handlers import render
from mcp_server.handlers.app import App
from mcp_server.handlers.errors import code_of, with_code
from mcp_server.handlers.workers import in_worker
from mcp_server.models.params import EventsParams, ListParams, ReadParams
from mcp_server.models.results import EventsResult
from mcp_server.models.value import as_json

_COMPLETIONS = 50
_JSON = "application/json"
_TEXT = "text/plain"
_MARKDOWN = "text/markdown"


def add_resources(server: MCPServer[Any], app: App) -> None:
    @server.resource("threads://recent", title="Recent threads", mime_type=_JSON)
    async def recent() -> str:
        """The threads that were worked on last."""
        service = await app.ready()
        return await _read_text(lambda: service.reader.list(ListParams(sort_key="recency_at")))

    @server.resource("threads://loaded", title="Loaded threads", mime_type=_JSON)
    async def loaded() -> str:
        """The ids of the threads loaded in this server."""
        service = await app.ready()
        return as_json(service.reader.loaded(None, 100))

    @server.resource("threads://events", title="Events", mime_type=_JSON)
    async def events() -> str:
        """The newest events of the log."""
        service = await app.ready()

        def newest() -> EventsResult:
            last = service.catalog.log.last_seq()
            return service.events(EventsParams(after=max(0, last - 100), limit=100))

        return await _read_text(newest)

    @server.resource("thread://{thread_id}", title="A thread", mime_type=_JSON)
    async def thread(thread_id: str, ctx: Context) -> str:
        """One thread, without turns."""
        service = await app.ready(ctx)
        return await _read_text(lambda: service.reader.read(ReadParams(thread_id)))

    @server.resource("thread://{thread_id}/turns{?cursor}", title="Turns of a thread", mime_type=_JSON)
    async def turns(thread_id: str, ctx: Context, cursor: str | None = None) -> str:
        """A page of turns, newest first."""
        service = await app.ready(ctx)
        return await _read_text(lambda: service.reader.read(ReadParams(thread_id, True, "full", cursor=cursor)))

    @server.resource("thread://{thread_id}/transcript", title="Transcript of a thread", mime_type=_MARKDOWN)
    async def transcript(thread_id: str, ctx: Context) -> str:
        """What was said, as markdown; stored text stands in fences."""
        service = await app.ready(ctx)

        def text() -> str:
            result = service.reader.read(ReadParams(thread_id, True, "full", "asc", limit=100))
            return render.transcript(result.thread, result.thread.turns)

        return await _read_text(text)

    @server.resource("thread://{thread_id}/tree", title="Sub-agent tree of a thread", mime_type=_TEXT)
    async def tree(thread_id: str, ctx: Context) -> str:
        """The tree of sub-agents above and below a thread, as text."""
        service = await app.ready(ctx)

        def text() -> str:
            return service.tree.show(thread_id).tree

        return await _read_text(text)

    _ = (recent, loaded, events, thread, turns, transcript, tree)


def add_completions(server: MCPServer[Any], app: App) -> None:
    """Complete thread ids in every resource template."""

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
        if not isinstance(ref, ResourceTemplateReference) or argument.name != "thread_id":
            return None
        service = await app.ready()
        found = {i for i in service.loaded.ids() if i.startswith(argument.value.lower())}
        prefix = argument.value.lower()
        found.update(await in_worker(lambda: service.catalog.index().matching(prefix=prefix, limit=_COMPLETIONS + 1)))
        values = sorted(found)
        return Completion(values=values[:_COMPLETIONS], has_more=len(values) > _COMPLETIONS)

    _ = complete


async def _read_text(read: Callable[[], Any]) -> str:
    """The answer as text.

    Raises:
        ResourceNotFoundError: nothing has that id. The SDK makes it -32602 and adds the URI.
        ResourceError: the thread can't be read.
    """
    try:
        result = await in_worker(read)
    except (NotFound, InvalidRequest) as error:
        raise ResourceNotFoundError(_sentence(error)) from error
    except ThreadstoreError as error:
        raise ResourceError(_sentence(error)) from error
    return result if isinstance(result, str) else as_json(result)


def _sentence(error: ThreadstoreError) -> str:
    """The sentence with its code: a protocol error has no `_meta` to hold the code."""
    return with_code(code_of(error), str(error))
