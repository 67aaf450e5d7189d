"""Integers of 64 bits. Files may hold longer ones, but the database and clients can't."""

from __future__ import annotations

_INT64 = 2**63 - 1


def clamped(value: int) -> int:
    """The nearest integer of 64 bits."""
    return max(-_INT64 - 1, min(value, _INT64))


def is_int64(value: int) -> bool:
    """Whether an integer fits into 64 bits."""
    return -_INT64 - 1 <= value <= _INT64
