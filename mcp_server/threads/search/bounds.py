"""How long a search may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchBounds:
    """Bounds one answer. It then says what was not searched, and its cursor continues there."""

    seconds: float = 10.0
    """The time of a search, for a patient caller without that of reading."""
    reading_seconds: float = 2.0
    """Of these, the time to index histories that are not indexed yet."""
    patient_seconds: float = 60.0
    """The time to index histories for a caller that is told how far it is."""
    text_seconds: float = 1.0
    """The least time for each text that a search begins, so that every call makes progress."""
    progress_seconds: float = 0.2
    """A caller is told no more often how far it is."""


SEARCH_BOUNDS = SearchBounds()
