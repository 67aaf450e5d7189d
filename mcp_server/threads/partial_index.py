"""Early answers: which lists and searches the part of the index that the backfill has built can answer already.

The backfill reads rollouts newest first, and their names say when a thread was created. So a page of active threads,
newest first, is right once the index has one more row that is newer than all rollouts that are left
(`BackfillState.horizon_ms`). Every list of active threads is right once no active rollout is left. What asks for a tree
or for named threads waits for the whole index, since any rollout may belong to them; and so does everything after this
server has changed something, which must be found. An answer says how far the index is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mcp_server.models.params import ThreadFilter
from mcp_server.models.records import BackfillState
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import ThreadQuery
from mcp_server.sync.backfill import ALL_ACTIVE
from mcp_server.threads.catalog import Catalog


@dataclass(frozen=True, slots=True)
class PartialIndex:
    """A store, and the state of its backfill from before its rows are read: they are at least as complete."""

    store: StateStore
    state: BackfillState

    @property
    def note(self) -> str:
        return f"The index is being built: {self.state.done} of {self.state.found} rollouts are in it"

    def has_page(self, query: ThreadQuery) -> bool:
        """Whether the page of active threads is the one that the whole index would give, apart from threads that others
        have created since the backfill began."""
        horizon_ms = self.state.horizon_ms
        if horizon_ms is None:
            return False
        if horizon_ms <= ALL_ACTIVE:
            return True
        if (query.sort_key, query.direction) != ("created_at", "desc"):
            return False
        if query.since_ms is not None and query.since_ms > horizon_ms:
            return True
        return self.store.list(replace(query, since_ms=horizon_ms + 1)).more


def partial_indexes(catalog: Catalog, where: ThreadFilter) -> Iterator[PartialIndex]:
    """The parts that may answer for threads that pass this filter, the larger one first."""
    parts = [part for part in (catalog.building, catalog.newest_only) if part is not None]
    if parts and not where.names_threads and not catalog.log.last_seq():
        for part in parts:
            yield PartialIndex(part, part.backfill())
