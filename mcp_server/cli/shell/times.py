"""Times and numbers as people tell them."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_DAYS_TOLD = 14


def ago(at: int, now: float) -> str:
    """A Unix time in seconds as its distance from now (`5 min ago`), or as a date once that is two weeks."""
    seconds = int(now) - at
    if seconds < 0 or seconds >= _DAYS_TOLD * _DAY:
        return day(at)
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min ago"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h ago"
    return "yesterday" if seconds < 2 * _DAY else f"{seconds // _DAY} days ago"


def day(at: int) -> str:
    """The local date of a Unix time in seconds."""
    return f"{_local(at):%Y-%m-%d}"


def local_time(at: int) -> str:
    """The local date and minute."""
    return f"{_local(at):%Y-%m-%d %H:%M}"


def iso(at: int) -> str:
    """The local time with its zone, for programs."""
    return _local(at).isoformat()


def _local(at: int) -> datetime:
    try:
        return datetime.fromtimestamp(at).astimezone()
    except (OverflowError, OSError, ValueError):  # a file may say any number
        return datetime.fromtimestamp(0).astimezone()


def lasted(ms: int) -> str:
    """A duration in milliseconds: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = ms // 1000
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"


def short_number(number: int) -> str:
    """`950`, `12.3k`, `4.5M`."""
    if number < 1_000:
        return str(number)
    thousands = number / 1_000
    return f"{thousands:.1f}k" if thousands < 1_000 else f"{thousands / 1_000:.1f}M"
