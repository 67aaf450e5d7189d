"""What a server uses of Codex's own databases: names, edges, facts, rows to update, and checks for recent changes."""

from __future__ import annotations

from mcp_server.config import Config
from mcp_server.models.records import SpawnEdge
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.files import codex_db as codex_state
from mcp_server.storage.files.codex_follow import CodexDatabase
from mcp_server.sync.codex_facts import CodexFacts
from mcp_server.sync.codex_names import CodexNames
from mcp_server.sync.freshness import Freshness


class CodexDatabases:
    """The databases that Codex keeps for a home, if Codex has used that home."""

    def __init__(self, config: Config, rollouts: RolloutStore) -> None:
        self._folder, read_only = config.codex_databases, config.codex_db == "read-only"
        self.names = CodexNames(config.home, self._folder, rollouts, ours_first=read_only)
        self.facts = CodexFacts(config.home, self._folder, ours_first=read_only)
        self.fresh = Freshness(config.home, self._folder, rollouts, self.names)
        self.rows = CodexDatabase(config.home, self._folder, read_only=read_only)

    def closed_edges(self) -> list[SpawnEdge]:
        return codex_state.closed_edges(self._folder)
