"""Bringing the index of histories up to date behind everything else, the last changed threads first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.sync.lookup import Source, find_rollout
from mcp_server.threads.history import HistoryText, history_text
from mcp_server.threads.turn_index import UNREADABLE, index_small

logger = logging.getLogger(__name__)

BATCH = 64
# What changed a moment ago may change again: a running turn is read again from its beginning each time.
QUIET_SECONDS = 10.0
_QUIET_NS = int(QUIET_SECONDS * 1e9)
_LOOKED_AT = 2 * BATCH


class Indexer:
    """Indexes what is unread, batch by batch. `own` are threads that this process writes to itself."""

    def __init__(
        self, rollouts: RolloutStore, state: StateStore, own: Callable[[], Collection[str]] = frozenset[str]
    ) -> None:
        self._rollouts, self._state, self._own = rollouts, state, own
        self._tried: dict[str, int] = {}

    def step(self) -> int:
        """Index one batch; returns how many threads were in it, 0 if nothing is left that can be indexed now.

        Raises:
            StoreFailure: the index can't be read or written.
        """
        own = self._own()
        unread = self._state.unread(_LOOKED_AT + len(self._tried) + len(own))
        rows = self._state.get_many(set(unread))
        now = time.time_ns()
        todo = [
            row
            for thread_id in unread
            if (row := rows.get(thread_id)) is not None
            and not now - _QUIET_NS <= row.stamp.mtime_ns <= now
            and thread_id not in own
            and self._tried.get(thread_id) != row.stamp.mtime_ns
        ][:BATCH]
        index_small(self._state, self._texts(todo))
        # Whether it could be read or not: what can't is not tried again until it has changed.
        self._tried = {thread_id: at for thread_id, at in self._tried.items() if thread_id in rows}
        self._tried |= {row.id: row.stamp.mtime_ns for row in todo}
        return len(todo)

    def _texts(self, rows: Sequence[StoredThread]) -> list[HistoryText]:
        texts: list[HistoryText] = []
        for row in rows:
            try:
                texts.append(history_text(self._rollouts, row, self._source))
            except UNREADABLE as error:
                logger.warning("the history of %s is not indexed: %s", row.id, error)
        return texts

    def _source(self, rollout_id: str) -> Source | None:
        return find_rollout(self._rollouts, self._state, rollout_id)
