"""How long to wait for the state DB, how much of it to check on opening, and how long its log is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateBounds:
    """The bounds of one state handle."""

    busy_seconds: float = 5
    """How long SQLite itself waits for a lock that another connection holds."""
    write_seconds: float = 15
    """How long a write is repeated while others hold the database."""
    open_seconds: float = 30
    """How long opening is repeated, and how long it waits while another process opens the file."""
    checked_bytes: int = 32 << 20
    """A larger database is not checked as a whole on opening. Its damage is found when a damaged part is read."""
    kept_days: float = 30
    """How long events and receipts are kept."""
    kept_events: int = 100_000
    """So many events are kept however old they are."""


STATE_BOUNDS = StateBounds()
