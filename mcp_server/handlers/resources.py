"""Threads as resources. A tool offers each of them too, since many clients have no resources."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import Annotations, Resource

from mcp_server.errors import InvalidRequest, NotFound, ThreadstoreError
from mcp_server.handlers import prompt_texts, transcripts
from mcp_server.handlers.app import App
from mcp_server.handlers.errors import code_of, with_code
from mcp_server.handlers.faces import faces
from mcp_server.handlers.workers import in_worker
from mcp_server.models.heading import title_of
from mcp_server.models.params import EventsParams, ListParams, ReadParams
from mcp_server.models.quoting import visible
from mcp_server.models.results import EventsResult, ThreadReadResult
from mcp_server.models.thread import Thread
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Turn
from mcp_server.models.value import Value
from mcp_server.threads.reader import Reader

_OFFERED, _TITLE_CHARS = 20, 80
# Turns read at a time: of few turns, one answer shows all items.
_PAGE = 10
_JSON = "application/json"
_TEXT = "text/plain"
_MARKDOWN = "text/markdown"


def add_resources(server: MCPServer[Any], app: App) -> None:
    _add_lists(server, app)
    _add_threads(server, app)


def _add_lists(server: MCPServer[Any], app: App) -> None:
    @server.resource("threads://recent", title="Recent threads", mime_type=_JSON)
    async def recent() -> str:
        """The threads that were worked on last."""
        service = await app.ready()
        return await _read_text(lambda: service.reader.list(ListParams()))

    @server.resource("threads://loaded", title="Loaded threads", mime_type=_JSON)
    async def loaded() -> str:
        """The ids of the threads loaded in this server."""
        service = await app.ready()
        return _json(service.reader.loaded(None, 100))

    @server.resource("threads://events", title="Events", mime_type=_JSON)
    async def events() -> str:
        """The newest events of the log."""
        service = await app.ready()

        def newest() -> EventsResult:
            last = service.catalog.log.last_seq()
            return service.events.after(max(0, last - 100), EventsParams(limit=100))

        return await _read_text(newest)

    _ = (recent, loaded, events)


def _add_threads(server: MCPServer[Any], app: App) -> None:
    @server.resource("thread://{thread_id}", title="A thread", mime_type=_JSON)
    async def thread(thread_id: str, ctx: Context) -> str:
        """One thread, without turns."""
        service = await app.ready(ctx)
        return await _read_text(lambda: service.reader.read(ReadParams(thread_id, False)))

    @server.resource("thread://{thread_id}/turns{?cursor}", title="Turns of a thread", mime_type=_JSON)
    async def turns(thread_id: str, ctx: Context, cursor: str | None = None) -> str:
        """A page of turns, newest first."""
        service = await app.ready(ctx)
        return await _read_text(lambda: service.reader.read(ReadParams(thread_id, True, "full", cursor=cursor)))

    @server.resource("thread://{thread_id}/transcript", title="Transcript of a thread", mime_type=_MARKDOWN)
    async def transcript(thread_id: str, ctx: Context) -> str:
        """What user and agent said last, as Markdown in one fence."""
        return await told(thread_id, ctx, tools=False)

    @server.resource("thread://{thread_id}/transcript/tools", title="Transcript with tools", mime_type=_MARKDOWN)
    async def transcript_with_tools(thread_id: str, ctx: Context) -> str:
        """The same with tool calls, their output and reasoning."""
        return await told(thread_id, ctx, tools=True)

    async def told(thread_id: str, ctx: Context, *, tools: bool) -> str:
        service = await app.ready(ctx)

        def text() -> str:
            page = service.reader.read(ReadParams(thread_id, None, "full", limit=_PAGE))
            turns = _turns_from(service.reader, page)
            return transcripts.transcript(page.thread, turns, page.total or 0, tools=tools)

        return await _read_text(text)

    @server.resource("thread://{thread_id}/tree", title="Sub-agent tree of a thread", mime_type=_TEXT)
    async def tree(thread_id: str, ctx: Context) -> str:
        """The tree of sub-agents above and below a thread, as text."""
        service = await app.ready(ctx)

        def text() -> str:
            return service.tree.show(thread_id).tree

        return await _read_text(text)

    _ = (thread, turns, transcript, transcript_with_tools, tree)


def _turns_from(reader: Reader, page: ThreadReadResult) -> Iterator[Turn]:
    """The turns of a thread from its newest page on, the newest first."""
    yield from page.turns
    while page.next_cursor is not None:
        page = reader.read(ReadParams(page.thread.id, True, "full", cursor=page.next_cursor, limit=_PAGE))
        yield from page.turns


async def threads_as_resources(app: App) -> list[Resource]:
    """The threads that were worked on last, by title, so that a host offers them where a person mentions one."""
    params, reader = ListParams(limit=_OFFERED), app.service.reader
    try:
        early = await app.early_answer(None, lambda: reader.early_list(params))
        listed = early or await in_worker(reader.list, params)
    except ThreadstoreError:  # the tools tell why; the other resources are there all the same
        return []
    return [_as_resource(thread) for thread in listed.data]


def _as_resource(thread: Thread) -> Resource:
    shown = visible(title_of(thread, _TITLE_CHARS))
    place = visible(thread.cwd.replace("\\", "/").rstrip("/").rpartition("/")[2])
    branch = f" on {visible(thread.git_info.branch)}" if thread.git_info and thread.git_info.branch else ""
    return Resource(
        uri=f"thread://{thread.id}/transcript",
        name=shown,
        title=shown,
        description=f"{shown} · {place}{branch} · {prompt_texts.at(thread.recency_at)}",
        mime_type=_MARKDOWN,
        annotations=Annotations(last_modified=rfc3339(thread.recency_at * 1000)),
    )


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
    return result if isinstance(result, str) else _json(result)


def _json(result: Value) -> str:
    return msgspec.json.encode(faces(result, "detailed")[0]).decode()


def _sentence(error: ThreadstoreError) -> str:
    """The sentence with its code: a protocol error has no `_meta` to hold the code."""
    return with_code(code_of(error), str(error))
