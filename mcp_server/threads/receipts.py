"""Receipts of calls, kept in the log; what the state DB does not take now is kept here until it does."""

from __future__ import annotations

import logging
import time

from mcp_server.errors import NotStorable, StoreFailure
from mcp_server.models.records import Receipt
from mcp_server.storage.serialised import serialised
from mcp_server.threads.catalog import Catalog

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]
# Outcomes that wait for a state DB which fails. Beyond it the oldest goes: its claim stays, and tells that much.
_MAX_UNSAVED = 1_000
_RETRY_SECONDS = 1.0


@serialised
class Receipts:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._unsaved: dict[Key, tuple[Receipt, bool]] = {}
        """Outcomes, and claims to be taken back (False)."""
        self._retry_at = 0.0

    def find(self, client: str, request_id: str) -> list[Receipt]:
        """All that is known of a client's request id, the newest first.

        Raises:
            StoreFailure: the log can't be read.
        """
        self.flush()
        catalog = self._catalog
        found = {r.key: r for r in catalog.log.receipts(client, request_id)}
        # What happened before the state DB was there, or while it was gone.
        found |= {r.key: r for r in catalog.early.receipts(client, request_id)}
        for key, (receipt, done) in self._unsaved.items():
            if done and (receipt.client, receipt.request_id) == (client, request_id):
                found[key] = receipt
            elif not done:
                found.pop(key, None)
        return sorted(found.values(), key=lambda receipt: -receipt.at_ms)

    def claim(self, claim: Receipt, abandoned: Receipt | None) -> Receipt:
        """Put a claim on record before its work; returns what is on record then, which may be another's.

        Raises:
            StoreFailure: it can't be written, so the work must not begin.
        """
        self.flush()
        released, _ = self._unsaved.pop(claim.key, (None, False))
        return self._catalog.log.claim(claim, abandoned or released)

    def settle(self, receipt: Receipt) -> None:
        """Put the outcome of a claim on record. The work is done, so a state DB that fails only puts this off."""
        self._save(receipt, done=True)

    def release(self, claim: Receipt) -> None:
        """Take a claim back: its work was refused, and may be asked for again."""
        self._save(claim, done=False)

    def _save(self, receipt: Receipt, *, done: bool) -> None:
        try:
            log = self._catalog.log
            (log.save_receipt(receipt) if done else log.release_claim(receipt))
        except NotStorable as error:
            logger.error("the receipt of %s is not on record: %s", receipt.tool, error)
            self._unsaved.pop(receipt.key, None)
        except StoreFailure as error:
            logger.warning("the receipt of %s waits for the state DB: %s", receipt.tool, error)
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._unsaved[receipt.key] = (receipt, done)
            while len(self._unsaved) > _MAX_UNSAVED:
                del self._unsaved[next(iter(self._unsaved))]
        else:
            self._unsaved.pop(receipt.key, None)

    def flush(self) -> None:
        """Try again to put on record what is not there yet."""
        if self._unsaved and time.monotonic() >= self._retry_at:
            for receipt, done in list(self._unsaved.values()):
                self._save(receipt, done=done)
                if receipt.key in self._unsaved:
                    return  # the others would wait for the state DB as long, and in vain
