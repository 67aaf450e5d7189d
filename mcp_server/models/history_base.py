"""What a paginated fork borrows from the rollout that it was forked from."""

from __future__ import annotations

import msgspec

MAX_OFFSET = 1 << 53
"""No file is longer; and what 64 of them have together is an integer of 64 bits."""
MAX_ORDINAL = 1 << 62


class HistoryBase(msgspec.Struct, frozen=True):
    """What a paginated fork borrows: the source's first `end_byte_offset` bytes (ordinals below the end). Bounds that
    no file comes to are brought to the nearest that one may."""

    thread_id: str
    end_ordinal_exclusive: int = 0
    end_byte_offset: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "end_ordinal_exclusive", _within(self.end_ordinal_exclusive, MAX_ORDINAL))
        msgspec.structs.force_setattr(self, "end_byte_offset", _within(self.end_byte_offset, MAX_OFFSET))


def _within(value: int, most: int) -> int:
    return max(0, min(value, most))
