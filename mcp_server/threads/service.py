"""The thread service: one attribute for each group of verbs. It knows neither MCP nor SQL.

Verbs write the file first, the index second, the event last. The files are the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_server.errors import InvalidArgument
from mcp_server.models.event import EVENT_TYPES, EventType
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import EventsParams
from mcp_server.models.results import EventRow, EventsResult
from mcp_server.models.times import rfc3339
from mcp_server.storage.codex_rows import CodexRows, NoCodexRows
from mcp_server.storage.contracts import Leases, Rollouts, RolloutStore, StateStore
from mcp_server.sync.codex_facts import CodexFacts
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.upsert import NameSource
from mcp_server.threads.caller_guard import Guard
from mcp_server.threads.cascade import Cascade
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.lifecycle import Lifecycle
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.metadata import Metadata
from mcp_server.threads.reader import Reader
from mcp_server.threads.receipts import Receipts
from mcp_server.threads.search import Searcher
from mcp_server.threads.settings import Defaults
from mcp_server.threads.tree import ThreadTree
from mcp_server.threads.turns import TurnWriter


@dataclass(frozen=True)
class Stores:
    """The stores of a home, chosen by the composition root.

    Fields:
        state: the one state handle, or None.
        memory: the index to use without a state handle.
        new_memory: creates the store of an ephemeral thread.
        more_names: names from Codex's database, which take precedence over session_index.jsonl.
        codex: Codex's rows, which the verbs update.
        facts: what only Codex's rows say about single threads.
        freshness: detects what others changed in the home.
    """

    rollouts: RolloutStore
    locks: Leases
    state: StateStore | None
    memory: StateStore
    new_memory: Callable[[], Rollouts]
    more_names: NameSource | None = None
    codex: CodexRows = field(default_factory=NoCodexRows)
    facts: CodexFacts | None = None
    freshness: Freshness | None = None


class ThreadService:
    """The groups of verbs, over one catalog and one registry of loaded threads. `wake` is called after the event log
    has grown without a call: by a sync, or by a switch of the state DB."""

    def __init__(
        self,
        stores: Stores,
        *,
        defaults: Defaults,
        now_ms: Callable[[], int],
        unload_delay: float = 0.0,
        version: str = "",
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.loaded = LoadedThreads()
        self.catalog = Catalog(
            stores.rollouts,
            stores.state,
            memory=stores.memory,
            loaded=self.loaded,
            wake=wake,
            more_names=stores.more_names,
            facts=stores.facts,
            freshness=stores.freshness,
        )
        self.reader = Reader(self.catalog, default_provider=defaults.model_provider, cwd=defaults.cwd, now_ms=now_ms)
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
        self.searcher = Searcher(self.catalog, self.reader)
        self.guard = Guard(self.catalog)
        self.locks = stores.locks
        self.receipts = Receipts(self.catalog)

    def run_housekeeping(self) -> None:
        """Close idle threads and commit changes that could not be committed. To be called from time to time."""
        self.lifecycle.close_idle()
        self.catalog.flush()

    def events(self, params: EventsParams) -> EventsResult:
        """The events after a seq that are in the log now.

        Raises:
            InvalidArgument: the seq is negative, or a type is unknown.
        """
        if params.after < 0:
            raise InvalidArgument("after", params.after, "it is negative", "pass last_seq of the last answer, or 0")
        types: list[EventType] | None = [_event_type(name) for name in params.types] if params.types else None
        thread_id = self.catalog.resolve(params.thread_id) if params.thread_id is not None else None
        limit = clamp_limit(params.limit)
        events = self.catalog.log.events_after(params.after, limit=limit + 1, thread_id=thread_id, types=types)
        page = events[:limit]
        rows = [
            EventRow(seq=e.seq, at=rfc3339(e.at_ms), type=e.type, thread_id=e.thread_id, payload=e.payload)
            for e in page
        ]
        return EventsResult(data=rows, last_seq=rows[-1].seq if rows else params.after, more=len(events) > limit)


def _event_type(name: str) -> EventType:
    for known in EVENT_TYPES:
        if known == name:
            return known
    raise InvalidArgument("types", name, "no event has this type", f"pass some of {', '.join(EVENT_TYPES)}")
