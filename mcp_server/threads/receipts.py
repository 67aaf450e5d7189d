"""Receipts of calls with a `request_id`, in the operation log."""

from __future__ import annotations

from mcp_server.models.records import Change, Receipt
from mcp_server.threads.catalog import Catalog

Key = tuple[str, str, str]


class Receipts:
    """Claims and outcomes. While the state DB fails, outcomes wait in memory with all other changes. If one is dropped,
    its claim still says that the call began."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, client: str, request_id: str) -> list[Receipt]:
        """The receipts of a client's request id, newest first.

        Raises:
            StoreFailure: the log can't be read.
        """
        waiting = self._catalog.waiting_receipts()
        found = {r.key: r for r in self._catalog.log.receipts(client, request_id)}
        # Receipts of calls before the state DB was open, or while it was lost.
        found |= {r.key: r for r in self._catalog.memory_log.receipts(client, request_id)}
        for receipt in waiting:
            if (receipt.client, receipt.request_id) == (client, request_id):
                if receipt.result is not None:
                    found[receipt.key] = receipt
                elif found.get(receipt.key) == receipt:  # a later claim stays
                    del found[receipt.key]
        return sorted(found.values(), key=lambda receipt: -receipt.at_ms)

    def claim(self, claim: Receipt, abandoned: Receipt | None) -> Receipt:
        """Record a claim before its work begins. Returns the recorded claim, which may be another call's.

        Raises:
            StoreFailure: it can't be recorded, so the work must not begin.
        """
        waiting = self._catalog.waiting_receipts()
        released = next((r for r in waiting if r.key == claim.key and r.result is None), None)
        return self._catalog.log.claim(claim, abandoned or released)

    def settle(self, receipt: Receipt) -> None:
        """Record the outcome of a claim; or, given the claim itself, that its work was refused, so that its request id
        may be used again. Now, or later if the state DB fails."""
        self._catalog.record(Change(receipts=(receipt,)))
