"""Search in what was said: a scan of the files, newest threads first."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from mcp_server.errors import InvalidArgument, InvalidCursor, ThreadstoreError
from mcp_server.models.page import clamp_limit, parse_thread_cursor, thread_cursor
from mcp_server.models.params import SearchParams
from mcp_server.models.results import SearchHit, SearchResult
from mcp_server.models.thread import StoredThread
from mcp_server.stores.queries import Anchor
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reading import Reader
from mcp_server.threads.texts import searchable

# One answer may take this long; what was not reached by then is said, and the cursor goes on from there.
_SECONDS = 10.0
_SNIPPET_CHARS = 80
_CURSOR = re.compile(r"(?P<thread>[^#]+)#(?P<hit>\d{1,9})")


@dataclass(frozen=True, slots=True)
class _Hit:
    thread: StoredThread
    number: int
    turn_id: str | None
    item_id: str | None
    snippet: str


class Searcher:
    """Case-insensitive literal search over names, user and agent messages and, on request, tool calls."""

    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    async def search(self, params: SearchParams) -> SearchResult:
        """Matches, newest threads first, in the order of the thread within one.

        Raises:
            InvalidArgument: a blank search term.
        """
        if not params.search_term.strip():
            raise InvalidArgument(
                "search_term", params.search_term, "thread/search requires a non-empty searchTerm", "pass some text"
            )
        limit = clamp_limit(params.limit)
        after, skip = _parse_cursor(params.cursor)
        needle = re.compile(re.escape(params.search_term.strip()), re.IGNORECASE)
        deadline = time.monotonic() + _SECONDS
        hits: list[_Hit] = []
        incomplete: list[str] = []
        async for thread in self._threads(params, after):
            first = skip if after is not None and thread.id == after.thread_id else 0
            try:
                found = await self._in_thread(thread, needle, params.include_tool_calls)
            except ThreadstoreError as error:
                incomplete.append(str(error))
                continue
            hits += [hit for hit in found if hit.number >= first]
            if len(hits) > limit:
                break
            if time.monotonic() > deadline:
                incomplete.append(f"threads older than {thread.id}: time was up; go on with next_cursor")
                end = _cursor(thread, len(found))
                return SearchResult(data=self._shown(hits), next_cursor=end, incomplete=incomplete)
        more = len(hits) > limit
        return SearchResult(
            data=self._shown(hits[:limit]),
            next_cursor=_cursor(hits[limit].thread, hits[limit].number) if more else None,
            total=None if more or params.cursor else len(hits),
            incomplete=incomplete,
        )

    def _shown(self, hits: Sequence[_Hit]) -> list[SearchHit]:
        return [
            SearchHit(
                thread=self._reader.view(hit.thread), turn_id=hit.turn_id, item_id=hit.item_id, snippet=hit.snippet
            )
            for hit in hits
        ]

    async def _threads(self, params: SearchParams, after: Anchor | None) -> AsyncIterator[StoredThread]:
        """The threads to look into, from the cursor's own thread on."""
        if params.thread_id is not None:
            yield await self._catalog.known(await self._catalog.resolve(params.thread_id))
            return
        index = await self._catalog.index()
        query = replace(await self._reader.query(params.filter), source_kinds=None, sort_key="updated_at", limit=100)
        if after is not None and after.thread_id is not None:
            known = await self._catalog.stored(after.thread_id)
            if known is not None:
                yield known
            query = replace(query, after=after)
        while True:
            page = await index.list(query)
            for row in page.rows:
                yield row
            if not page.more:
                return
            query = replace(query, after=Anchor(page.rows[-1].updated_at_ms, page.rows[-1].id))

    async def _in_thread(self, thread: StoredThread, needle: re.Pattern[str], tools: bool) -> list[_Hit]:
        found: list[tuple[str | None, str | None, str]] = []
        if thread.name is not None and (match := needle.search(thread.name)):
            found.append((None, None, _snippet(thread.name, match)))
        history = await self._catalog.history(thread)
        for turn in await history.turns(0, history.mark.turns, "full"):
            for item in turn.items:
                texts, by_tools = searchable(item)
                for text in texts if tools or not by_tools else []:
                    if match := needle.search(text):
                        found.append((turn.id, item.id, _snippet(text, match)))
                        break
        return [_Hit(thread, n, *place) for n, place in enumerate(found)]


def _snippet(text: str, match: re.Match[str]) -> str:
    """Text around a match on one line, the match between ** and **."""
    start, end = max(0, match.start() - _SNIPPET_CHARS), min(len(text), match.end() + _SNIPPET_CHARS)
    before, after = text[start : match.start()], text[match.end() : end]
    marked = f"{'…' if start else ''}{before}**{match[0]}**{after}{'…' if end < len(text) else ''}"
    return " ".join(marked.split())


def _cursor(thread: StoredThread, number: int) -> str:
    return f"{thread_cursor(thread.updated_at_ms, thread.id)}#{number}"


def _parse_cursor(cursor: str | None) -> tuple[Anchor | None, int]:
    if cursor is None:
        return None, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidCursor(cursor)
    return Anchor(*parse_thread_cursor(match["thread"])), int(match["hit"])
