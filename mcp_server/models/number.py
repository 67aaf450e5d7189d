"""Bounds of numbers: files may hold any, and what keeps and shows them has 64 bits."""

from __future__ import annotations

_INT64 = 2**63 - 1


def clamped(value: int) -> int:
    """The nearest integer of 64 bits. A bound beyond them means the same as the last one within."""
    return max(-_INT64 - 1, min(value, _INT64))


def is_int64(value: int) -> bool:
    """Whether an integer has 64 bits."""
    return -_INT64 - 1 <= value <= _INT64
