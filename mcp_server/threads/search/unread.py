"""Indexes histories that have changed since, so that a search finds them."""

from __future__ import annotations

import time

from mcp_server.errors import ThreadstoreError
from mcp_server.models.counting import counted
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.search.state import Search

_UNREAD_BATCH = 1_000


def index_unread(search: Search, catalog: Catalog) -> None:
    """Index histories that changed since, so that the search finds them. What time does not allow is reported."""
    bounds = search.bounds
    until = time.monotonic() + (bounds.patient_seconds if search.watch.patient else bounds.reading_seconds)
    tried, count = set[str](), 0
    while unread := [i for i in search.store.unread(_UNREAD_BATCH + len(tried)) if i not in tried]:
        count = count or search.store.progress().unread
        for thread_id in unread:
            if time.monotonic() > until or search.watch.stopped():
                left = max(1, count - len(tried))
                threads = counted(left, "thread is", "threads are")
                search.report_incomplete(
                    f"{threads} not indexed yet, so not searched; store_status tells how far that is"
                )
                return
            tried.add(thread_id)
            index_thread(search, catalog, thread_id)
            search.watch.progress(len(tried), max(count, len(tried)))


def index_thread(search: Search, catalog: Catalog, thread_id: str) -> None:
    loaded = catalog.loaded.get(thread_id)
    if loaded is not None and not loaded.has_rollout:
        return  # it has no message yet
    try:
        history = catalog.history(catalog.known(thread_id), search.store)
    except ThreadstoreError as error:
        search.report_incomplete(str(error))
        return
    if history.store is not search.store:
        search.unindexed.append(history)
