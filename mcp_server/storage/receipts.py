"""The contract of receipts: what a state store keeps of calls with a `request_id`, so that each is done once."""

from __future__ import annotations

from typing import Protocol

from mcp_server.models.records import Receipt


class ReceiptStore(Protocol):
    """A claim is there before the work, and its outcome after; a claim alone tells of work that was cut short."""

    def receipts(self, client: str, request_id: str) -> list[Receipt]:
        """What is on record of a client's request id, of all its connections, the newest first."""
        ...

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        """Put a claim on record if nothing has its key, or in place of the `abandoned` one; returns what is there then.
        It outlives the process, and a loss of power."""
        ...

    def save_receipt(self, receipt: Receipt) -> None:
        """The outcome of a claim, in its place."""

    def release_claim(self, claim: Receipt) -> None:
        """Take back a claim whose work was refused; its outcome, or another's claim in its place, stays."""
