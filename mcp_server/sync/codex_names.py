"""The names in Codex's own state DB that take precedence over session_index.jsonl."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mcp_server.errors import DamagedRollout
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.files import codex_db as codex_state
from mcp_server.sync.upsert import NameSource


class CodexNames(NameSource):
    """Queries the database at each call. If our names don't get into it (`ours_first`), it returns only the names of
    threads that have none in session_index.jsonl."""

    def __init__(self, sqlite_home: Path, rollouts: RolloutStore, *, ours_first: bool) -> None:
        self._folder, self._rollouts, self._ours_first = sqlite_home, rollouts, ours_first

    def __call__(self, thread_ids: Collection[str] | None = None) -> dict[str, str]:
        names = codex_state.names(self._folder, thread_ids)
        ours: dict[str, str] = {}
        if names and self._ours_first:
            with suppress(DamagedRollout):
                ours = self._rollouts.names()
        return {thread_id: name for thread_id, name in names.items() if thread_id not in ours}
