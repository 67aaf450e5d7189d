"""Times: Unix milliseconds, RFC 3339 texts as Codex writes and reads them, and times as people tell them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)  # writing a time without a zone takes half as long
_EARLIEST_MS, _LATEST_MS = -62_135_596_800_000, 253_402_300_799_999


def now_ms() -> int:
    """Unix time. It may be set, or jump ahead after the machine slept."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Monotonic time since an arbitrary moment."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True)
class Clocks:
    """The two clocks of a server: one to record times by, one to measure waits by."""

    now_ms: Callable[[], int] = now_ms
    elapsed_ms: Callable[[], int] = elapsed_ms


CLOCKS = Clocks()


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


# ---------------------------------------------------------------------------------------------- as people tell them

TIME_FORMS = "a date or time (2026-01-31, 2026-01-31T12:00:00Z), today, yesterday, or an age (90min, 24h, 7d, 2w)"
_AGE = re.compile(r"(\d{1,6}) ?(min|h|d|w)(?:(?<=min)utes?|(?<=h)ours?|(?<=d)ays?|(?<=w)eeks?)?(?: ago)?")
_MINUTES = {"min": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}
_DAYS_AGO = {"today": 0, "yesterday": 1}
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_DAY = timedelta(days=1)
_WITH_SECONDS_MS = 999


def moment(text: str, now_ms: int, *, end: bool = False, local: tzinfo | None = None) -> int:
    """Unix milliseconds of a time as people tell it: one of `TIME_FORMS`, with a time zone behind it if it is not that
    of the system (or `local`): `today Europe/Berlin`, `2026-01-31 +02:00`.

    A day stands for its first millisecond, at the `end` of a range for its last; a time in whole seconds then includes
    its whole second, since threads show their times in seconds. An age counts back from now.

    Raises:
        ValueError: with the reason, if the text is none of these.
    """
    text = text.strip()
    if (age := _AGE.fullmatch(text.lower())) is not None:
        return in_calendar(now_ms - int(age[1]) * _MINUTES[age[2]] * 60_000)
    told, zone_name = _without_zone(text)
    if (at := _day_or_time(told)) is None:
        raise ValueError(f"it is neither {TIME_FORMS}")
    zone = _zone(zone_name) if zone_name else local
    if isinstance(at, datetime):
        ms = _ms_of(at, zone)
        return ms + _WITH_SECONDS_MS if end and ms % 1000 == 0 else ms
    day = at if isinstance(at, date) else datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date() - at
    return _start_of(day + _DAY, zone) - 1 if end and day < date.max else _start_of(day, zone)


def _without_zone(text: str) -> tuple[str, str]:
    """The text without the name of the zone that may stand behind it, and that name."""
    told, _, last = text.rpartition(" ")
    return (text, "") if not told or last[0].isdigit() else (told.rstrip(), last)


def _day_or_time(told: str) -> datetime | date | timedelta | None:
    """A day as a date, or by how much it lies before today."""
    if (days := _DAYS_AGO.get(told.lower())) is not None:
        return days * _DAY
    for parse in (date.fromisoformat, datetime.fromisoformat):
        with suppress(ValueError):
            return parse(told)
    return None


def _start_of(day: date, zone: tzinfo | None) -> int:
    return _ms_of(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001


def _ms_of(at: datetime, zone: tzinfo | None) -> int:
    """The time, in the zone if it names none; None is the system's, by its rules for that day."""
    try:
        aware = at if at.tzinfo else at.replace(tzinfo=zone) if zone else at.astimezone()
        return in_calendar((aware - _EPOCH) // timedelta(milliseconds=1))
    except (OverflowError, OSError, ValueError):  # the system knows no zone so far from now
        return in_calendar((at.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1))


def _zone(name: str) -> tzinfo:
    if (offset := _OFFSET.fullmatch(name)) is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if name.upper() in ("Z", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"`{name[:40]}` is no time zone, such as UTC, +02:00 or Europe/Berlin") from error
