"""What a server has of Codex's own databases: names, edges, and the rows that follow what is done to their threads."""

from __future__ import annotations

from mcp_server.config import Config
from mcp_server.stores import codex_state
from mcp_server.stores.base import RolloutStore
from mcp_server.stores.codex_facts import CodexFacts
from mcp_server.stores.codex_follow import CodexDatabase
from mcp_server.stores.records import SpawnEdge


class CodexBeside:
    """The databases that Codex keeps for the home of this configuration, if it has been there."""

    def __init__(self, config: Config, rollouts: RolloutStore) -> None:
        self._folder, self._rollouts = config.codex_databases, rollouts
        self._read_only = config.codex_db == "read-only"
        self.facts = CodexFacts(self._folder)
        self.rows = CodexDatabase(config.home, self._folder, read_only=self._read_only)

    async def names(self) -> dict[str, str]:
        """Codex's own names. Where ours don't get into its database, those count only where we have none."""
        names = await codex_state.names(self._folder)
        ours = await self._rollouts.names() if names and self._read_only else dict[str, str]()
        return {thread_id: name for thread_id, name in names.items() if thread_id not in ours}

    async def closed_edges(self) -> list[SpawnEdge]:
        return await codex_state.closed_edges(self._folder)
