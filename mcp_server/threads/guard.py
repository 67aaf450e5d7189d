"""An agent may not archive, delete or interrupt its own thread, nor one that it runs under."""

from __future__ import annotations

from mcp_server.errors import SelfHarm, ThreadNotFound
from mcp_server.models.params import Caller
from mcp_server.threads.catalog import Catalog


class Guard:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def threatened(self, reference: str, caller: Caller) -> tuple[str, str] | None:
        """(caller, target) if the target is the caller's own thread or an ancestor of it; None if it may go on."""
        if caller.thread_id is None:
            return None
        try:
            caller_id = await self._catalog.resolve(caller.thread_id)
        except ThreadNotFound:
            return None
        target_id = await self._catalog.resolve(reference)
        if target_id == caller_id or target_id in await self._catalog.parents(caller_id):
            return caller_id, target_id
        return None

    async def check(self, reference: str, caller: Caller, refusal: type[SelfHarm]) -> None:
        """Raises the refusal if the caller would end itself or an ancestor."""
        if (harm := await self.threatened(reference, caller)) is not None:
            raise refusal(*harm)
