"""The names in Codex's own state DB that take precedence over session_index.jsonl."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mcp_server.errors import DamagedRollout
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.files import codex_db as codex_state
from mcp_server.storage.files.codex_home import CodexHome
from mcp_server.sync.upsert import NameSource


class CodexNames(NameSource):
    """Queries the database at each call. Of threads into whose rows our names don't get, it returns only the names of
    those that have none in session_index.jsonl: of all if `ours_first`, else of those whose row names another home."""

    def __init__(self, home: Path, sqlite_home: Path, rollouts: RolloutStore, *, ours_first: bool) -> None:
        self._home, self._folder, self._rollouts, self._ours_first = CodexHome(home), sqlite_home, rollouts, ours_first

    def __call__(self, thread_ids: Collection[str] | None = None) -> dict[str, str]:
        names = codex_state.names(self._folder, thread_ids)
        apart = names if self._ours_first else self._elsewhere(names)
        ours: dict[str, str] = {}
        if apart:
            with suppress(DamagedRollout):
                ours = self._rollouts.names()
        return {thread_id: name for thread_id, name in names.items() if thread_id not in apart or thread_id not in ours}

    def _elsewhere(self, thread_ids: Collection[str]) -> set[str]:
        if not thread_ids:
            return set()
        self._home.forget()
        paths = codex_state.paths(self._folder, thread_ids)
        return {thread_id for thread_id, path in paths.items() if self._home.prefix(path) is None}
