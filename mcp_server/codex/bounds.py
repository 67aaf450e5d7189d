"""How much of a rollout is held in memory at once, so that no file exhausts it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadingBounds:
    """Bounds for every reader of rollouts. All readers of a home use those of its `Rollouts`."""

    batch_bytes: int = 1 << 20
    """Lines are read in batches of this many bytes."""
    line_bytes: int = 64 << 20
    """A longer line counts as malformed. Images make lines of some 20 MB."""
    kept_bytes: int = 4 << 10
    """Only this much is kept of the end of a line that is too long: enough to prove that the file is still the same."""
    values: int = 4_000_000
    """A line with more JSON values counts as malformed: a value of three characters takes up to 80 bytes in memory."""
    uncounted_bytes: int = 8 << 20
    """The values of a line up to this size are not counted."""
    bad_lines: int = 1_000
    """This many bad lines of a file are reported one by one; one more entry stands for the rest."""
    expanded_bytes: int = 1 << 30
    """A compressed rollout that expands to more counts as damaged."""
    read_bytes: int = 128 << 20
    """The most that is read at once. A longer turn is shown in part."""
    small_bytes: int = 128 << 10
    """If no more than this is left to read of a rollout, it is read at once, not in batches."""
    chunk_bytes: int = 128 << 10
    """A longer turn is split into chunks of about this size, where a split is possible."""
    open_turn_bytes: int = 128 << 20
    """The items of an open turn stay in memory up to so many bytes of its lines; then finished items are dropped."""
    indexed_items: int = 2_000_000
    """A history with more items is not indexed; a turn counts as several. Bounds memory to some 300 MB."""
    items_at_once: int = 1_000
    """The items of a long turn are read in pages of this many."""


BOUNDS = ReadingBounds()
