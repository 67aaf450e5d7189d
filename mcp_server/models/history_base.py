"""What a paginated fork borrows from the rollout that it was forked from."""

from __future__ import annotations

import msgspec

MAX_OFFSET = 1 << 53
"""No file is longer, and the sum of 64 such offsets fits into 64 bits."""
MAX_ORDINAL = 1 << 62


class HistoryBase(msgspec.Struct, frozen=True):
    """A paginated fork borrows the source's first `end_byte_offset` bytes, which hold the ordinals below
    `end_ordinal_exclusive`. Values out of range are clamped to what a file can have."""

    thread_id: str
    end_ordinal_exclusive: int = 0
    end_byte_offset: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "end_ordinal_exclusive", _within(self.end_ordinal_exclusive, MAX_ORDINAL))
        msgspec.structs.force_setattr(self, "end_byte_offset", _within(self.end_byte_offset, MAX_OFFSET))


def _within(value: int, most: int) -> int:
    return max(0, min(value, most))
