"""Numbers with what they count."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
