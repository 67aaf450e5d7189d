"""The verb: a search in all threads, or in one."""

from __future__ import annotations

import time
from dataclasses import replace

from mcp_server.models.counting import counted
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import SearchParams
from mcp_server.models.results import SearchResult
from mcp_server.storage.lookup import Lookup
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.checks import only_thread
from mcp_server.threads.reader import Reader
from mcp_server.threads.search.all_threads import AllThreads
from mcp_server.threads.search.bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.search.one_thread import ThreadSearcher
from mcp_server.threads.search.state import UNWATCHED, Search, Watch
from mcp_server.threads.search.terms import parse_terms
from mcp_server.threads.search.texts import Texts
from mcp_server.threads.search.unread import index_thread, index_unread

# Names so many unreadable files; the others are counted.
_MAX_UNREADABLE = 20


class Searcher:
    """Searches names, user and agent messages, plans, and tool calls where these are asked for or nothing else fits."""

    def __init__(self, catalog: Catalog, reader: Reader, bounds: SearchBounds = SEARCH_BOUNDS) -> None:
        self._catalog, self._reader, self.bounds = catalog, reader, bounds
        texts = Texts(catalog)
        self._all, self._one = AllThreads(catalog, reader, texts), ThreadSearcher(catalog, reader, texts)

    def search(self, params: SearchParams, watch: Watch = UNWATCHED) -> SearchResult:
        """The threads that answer, the best or the newest first. Within one thread, its matching items, the newest
        first.

        Raises:
            InvalidArgument: the search term is blank or too long, or a filter is invalid.
            InvalidCursor: the cursor is not one of this search.
        """
        return self._search(params, self._catalog.lookup, [], watch)

    def early_search(self, params: SearchParams) -> SearchResult | None:
        """The search in the part of the index that the backfill has built, which says that it is incomplete; None if it
        must wait. One in a single thread does: its row may be missing."""
        for part in self._catalog.early(params.filter):
            if part.grows and params.thread_id is None:
                return self._search(params, part.lookup, [f"{part.note} so far, and were searched"], UNWATCHED)
        return None

    def _search(self, params: SearchParams, lookup: Lookup, incomplete: list[str], watch: Watch) -> SearchResult:
        store = lookup.index(names=True)
        terms = parse_terms(params.search_term)
        threads = replace(self._reader.query(params.filter, store.cwds), with_preview=None)
        if not params.filter.source_kinds:
            threads = replace(threads, source_kinds=None)
        thread_id = only_thread(self._catalog, params)
        if thread_id is not None:
            threads = ThreadQuery(archived=None, with_preview=None, attached=None)
        limit = clamp_limit(params.limit)
        bounds, tools = self.bounds, params.include_tool_calls
        deadline = time.monotonic() + bounds.seconds
        search = Search(store, terms, threads, thread_id, tools, deadline, incomplete, watch, bounds)
        if thread_id is None:
            index_unread(search, self._catalog)
        else:
            index_thread(search, self._catalog, thread_id)
        search.deadline = time.monotonic() + bounds.seconds if watch.patient else deadline
        if thread_id is not None:
            found = self._one.search(search, thread_id, params.cursor, limit)
            if found.data or params.cursor is not None or found.next_cursor or search.incomplete:
                return found
        unreadable = [] if thread_id else _unreadable_reasons(lookup, params.filter.archived)
        return self._all.search(search, params, limit, unreadable)


def _unreadable_reasons(lookup: Lookup, archived: bool) -> list[str]:
    """The files that no search can read, with the reasons."""
    found = lookup.unreadable(archived=archived)
    named = [f"`{one.path}` {one.reason}" for one in found[:_MAX_UNREADABLE]]
    more = len(found) - len(named)
    return [*named, f"{counted(more, 'more file')} can't be read; store_status names them"] if more else named
