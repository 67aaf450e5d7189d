"""Receipts of calls, stored in the operation log. While the state DB fails, they are kept in memory and saved later."""

from __future__ import annotations

import logging
import time

from mcp_server.errors import NotStorable, StoreFailure
from mcp_server.models.records import Receipt
from mcp_server.storage.serialised import serialised
from mcp_server.threads.catalog import Catalog

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]
# Bounds the receipts kept while the state DB fails. If one is dropped, its claim still says that the call began.
_MAX_UNSAVED = 1_000
RETRY_SECONDS = 1.0


@serialised
class Receipts:
    """`retry_seconds`: how long nothing is saved after the state DB has failed."""

    def __init__(self, catalog: Catalog, retry_seconds: float = RETRY_SECONDS) -> None:
        self._catalog, self._retry_seconds = catalog, retry_seconds
        self._unsaved: dict[Key, tuple[Receipt, bool]] = {}
        """Receipts to save (True) and claims to release (False)."""
        self._retry_at = 0.0

    def find(self, client: str, request_id: str) -> list[Receipt]:
        """The receipts of a client's request id, newest first.

        Raises:
            StoreFailure: the log can't be read.
        """
        self.flush()
        catalog = self._catalog
        found = {r.key: r for r in catalog.log.receipts(client, request_id)}
        # Receipts of calls before the state DB was open, or while it was lost.
        found |= {r.key: r for r in catalog.memory_log.receipts(client, request_id)}
        for key, (receipt, done) in self._unsaved.items():
            if done and (receipt.client, receipt.request_id) == (client, request_id):
                found[key] = receipt
            elif not done:
                found.pop(key, None)
        return sorted(found.values(), key=lambda receipt: -receipt.at_ms)

    def claim(self, claim: Receipt, abandoned: Receipt | None) -> Receipt:
        """Record a claim before its work begins. Returns the recorded claim, which may be another call's.

        Raises:
            StoreFailure: it can't be recorded, so the work must not begin.
        """
        self.flush()
        released, _ = self._unsaved.pop(claim.key, (None, False))
        return self._catalog.log.claim(claim, abandoned or released)

    def settle(self, receipt: Receipt) -> None:
        """Record the outcome of a claim: now, or later if the state DB fails."""
        self._save(receipt, done=True)

    def release(self, claim: Receipt) -> None:
        """Release a claim whose work was refused, so that the same request id may be used again."""
        self._save(claim, done=False)

    def _save(self, receipt: Receipt, *, done: bool) -> None:
        try:
            log = self._catalog.log
            (log.save_receipt(receipt) if done else log.release_claim(receipt))
        except NotStorable as error:
            logger.error("Could not record the receipt of a %s call: %s", receipt.tool, error)
            self._unsaved.pop(receipt.key, None)
        except StoreFailure as error:
            logger.warning("The state DB fails: kept the receipt of a %s call for later: %s", receipt.tool, error)
            self._retry_at = time.monotonic() + self._retry_seconds
            self._unsaved[receipt.key] = (receipt, done)
            while len(self._unsaved) > _MAX_UNSAVED:
                del self._unsaved[next(iter(self._unsaved))]
        else:
            self._unsaved.pop(receipt.key, None)

    def flush(self) -> None:
        """Try again to record what is still unsaved."""
        if self._unsaved and time.monotonic() >= self._retry_at:
            for receipt, done in list(self._unsaved.values()):
                self._save(receipt, done=done)
                if receipt.key in self._unsaved:
                    return  # the others would fail the same way, each after a busy timeout
