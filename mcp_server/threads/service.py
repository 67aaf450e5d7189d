"""The thread service: one attribute for each group of verbs. It knows neither MCP nor SQL.

Verbs write the file first, the index second, the event last. The files are the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_server.storage.codex_rows import CodexRows, NoCodexRows
from mcp_server.storage.contracts import Leases, Rollouts, State
from mcp_server.storage.exports import Exports, MemoryExports
from mcp_server.storage.lookup import Lookup
from mcp_server.storage.tags import MemoryTags, Tags
from mcp_server.threads.brief import Briefs
from mcp_server.threads.caller_guard import Guard
from mcp_server.threads.cascade import Cascade
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.completions import Completer
from mcp_server.threads.digests import Digests
from mcp_server.threads.events import Events
from mcp_server.threads.hand_over.exporting import Exporter
from mcp_server.threads.hand_over.importing import Importer
from mcp_server.threads.lifecycle import Lifecycle
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.metadata import Metadata
from mcp_server.threads.outline import Outlines
from mcp_server.threads.reader import Reader
from mcp_server.threads.receipts import Receipts
from mcp_server.threads.search.bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.search.searcher import Searcher
from mcp_server.threads.settings import Defaults
from mcp_server.threads.stats import Stats
from mcp_server.threads.tree import ThreadTree
from mcp_server.threads.turns import TurnWriter


@dataclass(frozen=True)
class Stores:
    """The stores of a home, chosen by the composition root.

    Fields:
        lookup: finds the threads of the home. In a home whose state DB comes later, the one that needs none.
        memory: the turns of ephemeral threads, and what is recorded without a state DB.
        new_memory: creates the store of an ephemeral thread.
        loaded: the registry of loaded threads, whose rows the look-up leaves alone.
        codex: Codex's rows, which the verbs update.
        tags: the tags of the home's threads.
        exports: where exports go that name no place of their own.
    """

    rollouts: Rollouts
    locks: Leases
    lookup: Lookup
    memory: State
    new_memory: Callable[[], Rollouts]
    loaded: LoadedThreads
    codex: CodexRows = field(default_factory=NoCodexRows)
    tags: Tags = field(default_factory=MemoryTags)
    exports: Exports = field(default_factory=MemoryExports)


class ThreadService:
    """The groups of verbs, over one catalog and one registry of loaded threads. `wake` is called after the event log
    has grown without a call: by a switch of the state DB."""

    def __init__(
        self,
        stores: Stores,
        *,
        defaults: Defaults,
        now_ms: Callable[[], int],
        searching: SearchBounds = SEARCH_BOUNDS,
        unload_delay: float = 0.0,
        version: str = "",
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.loaded = stores.loaded
        self.catalog = Catalog(
            stores.rollouts, stores.lookup, memory=stores.memory, loaded=self.loaded, tags=stores.tags, wake=wake
        )
        self.reader = Reader(
            self.catalog,
            stores.locks,
            default_provider=defaults.model_provider,
            cwd=defaults.cwd,
            now_ms=now_ms,
        )
        self.turns = TurnWriter(self.catalog, now_ms)
        self.lifecycle = Lifecycle(
            self.catalog,
            stores.locks,
            self.reader,
            self.turns,
            defaults=defaults,
            new_memory=stores.new_memory,
            now_ms=now_ms,
            unload_delay=unload_delay,
            version=version,
        )
        self.metadata = Metadata(self.catalog, stores.locks, self.turns, self.reader, stores.codex, now_ms)
        self.cascade = Cascade(self.catalog, stores.locks, self.turns, self.reader, stores.codex, now_ms)
        self.tree = ThreadTree(self.catalog, self.reader)
        self.searcher = Searcher(self.catalog, self.reader, searching)
        self.guard = Guard(self.catalog)
        self.locks = stores.locks
        self.receipts = Receipts(self.catalog)
        self.events = Events(self.catalog, stores.locks)
        self.brief = Briefs(self.catalog, self.reader, stores.locks)
        self.outline = Outlines(self.catalog)
        self.stats = Stats(self.catalog, self.reader)
        self.digests = Digests(self.catalog, self.reader, self.searcher, self.brief, self.stats, now_ms)
        self.exporter = Exporter(self.catalog, self.tree, stores.exports, now_ms, version)
        self.importer = Importer(self.catalog, stores.locks, stores.exports, now_ms)
        self.completer = Completer(self.catalog)

    def run_housekeeping(self) -> None:
        """Close idle threads and commit changes that could not be committed. To be called from time to time."""
        self.lifecycle.close_idle()
        self.catalog.flush()
