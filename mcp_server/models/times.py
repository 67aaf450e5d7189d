"""Times: Unix milliseconds, and RFC 3339 texts as Codex writes and reads them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)  # writing a time without a zone takes half as long
_EARLIEST_MS, _LATEST_MS = -62_135_596_800_000, 253_402_300_799_999


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def in_calendar(ms: int) -> int:
    """The nearest time that RFC 3339 can write: from the year 1 to 9999 in UTC."""
    return max(_EARLIEST_MS, min(ms, _LATEST_MS))


def rfc3339(ms: int) -> str:
    """The time in UTC with milliseconds, such as `2026-11-22T23:04:50.082Z`."""
    seconds, millis = divmod(in_calendar(ms), 1000)
    return f"{(_NAIVE_EPOCH + timedelta(0, seconds)).isoformat()}.{millis:03d}Z"


def parse_time(text: str) -> int | None:
    """Unix milliseconds of an RFC 3339 time, None for any other text. A time without a zone is UTC.

    Fractions of a millisecond are cut off, as in Codex (seen on 0.171.0). A time that its zone takes out of the
    calendar becomes the calendar's first or last.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return in_calendar((aware - _EPOCH) // timedelta(milliseconds=1))
