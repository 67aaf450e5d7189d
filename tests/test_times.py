"""Times as people tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.models.times import moment, rfc3339

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_795_388_688_000  # 2026-11-22T23:04:48Z, the 23rd in Berlin


def since(text: str) -> str:
    return rfc3339(moment(text, NOW, local=BERLIN))


def until(text: str) -> str:
    return rfc3339(moment(text, NOW, end=True, local=BERLIN))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-11-22T23:00:00.000Z", "2026-11-23T22:59:59.999Z"),
        ("Yesterday", "2026-11-21T23:00:00.000Z", "2026-11-22T22:59:59.999Z"),
        ("today UTC", "2026-11-22T00:00:00.000Z", "2026-11-22T23:59:59.999Z"),
        ("yesterday America/New_York", "2026-11-21T05:00:00.000Z", "2026-11-22T04:59:59.999Z"),
        ("2026-01-31", "2026-01-30T23:00:00.000Z", "2026-01-31T22:59:59.999Z"),
        ("2026-01-31 -03:30", "2026-01-31T03:30:00.000Z", "2026-02-01T03:29:59.999Z"),
        ("2026-03-29", "2026-03-28T23:00:00.000Z", "2026-03-29T21:59:59.999Z"),  # a day of 23 hours
        ("9999-12-31 UTC", "9999-12-31T00:00:00.000Z", "9999-12-31T00:00:00.000Z"),
    ],
)
def test_a_day_is_all_of_it_in_the_local_zone_unless_one_is_given(text: str, first: str, last: str) -> None:
    assert (since(text), until(text)) == (first, last)


@pytest.mark.parametrize(
    ("text", "at", "end"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.999Z"),
        ("2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00.250Z"),
        ("2026-07-31T12:00", "2026-07-31T10:00:00.000Z", "2026-07-31T10:00:00.999Z"),
        ("2026-07-31 12:00:00", "2026-07-31T10:00:00.000Z", "2026-07-31T10:00:00.999Z"),
        ("2026-07-31 12:00 Z", "2026-07-31T12:00:00.000Z", "2026-07-31T12:00:00.999Z"),
        ("2026-07-31T12:00+05:00", "2026-07-31T07:00:00.000Z", "2026-07-31T07:00:00.999Z"),
    ],
)
def test_a_time_in_whole_seconds_includes_its_second_at_the_end(text: str, at: str, end: str) -> None:
    assert (since(text), until(text)) == (at, end)


@given(
    st.integers(0, 999_999),
    st.sampled_from([("min", "minutes", 60), ("h", "hours", 3_600), ("d", "days", 86_400), ("w", "weeks", 604_800)]),
)
def test_an_age_counts_back_from_now_whatever_the_zone(number: int, unit: tuple[str, str, int]) -> None:
    name, words, seconds = unit
    told = max(NOW - number * seconds * 1000, -62_135_596_800_000)
    spellings = (f"{number}{name}", f" {number} {name.upper()} ", f"{number} {words} ago", f"{number} {words[:-1]}")
    assert {moment(text, NOW, end=end, local=BERLIN) for text in spellings for end in (True, False)} == {told}


@given(st.datetimes(), st.sampled_from([UTC, BERLIN, timezone(timedelta(hours=-7))]))
def test_a_time_without_a_zone_is_in_the_local_one(at: datetime, zone: timezone) -> None:
    first, last = -62_135_596_800_000, 253_402_300_799_999
    told = (at.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert moment(at.isoformat(), NOW, local=zone) == max(first, min(told, last))


def test_without_any_zone_a_day_is_one_of_the_systems() -> None:
    begin = datetime(2026, 7, 31).astimezone()
    assert moment("2026-07-31", NOW) == int(begin.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is neither a date or time"),
        ("tomorrow", "it is neither a date or time"),
        ("last week", "it is neither a date or time"),
        ("7y", "it is neither a date or time"),
        ("2026-02-30", "it is neither a date or time"),
        ("today Berlin", "`Berlin` is no time zone, such as UTC, .02:00 or Europe/Berlin"),
        ("today ../../etc/passwd", "is no time zone"),
        ("today Europe", "is no time zone"),
        ("today +99:99", "is no time zone"),
    ],
)
def test_any_other_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        moment(text, NOW)


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        assert isinstance(moment(text, NOW), int)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017
