"""Cursors of pages, made and parsed."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from mcp_server.errors import InvalidCursor
from mcp_server.models.times import parse_time, rfc3339

_THREAD_CURSOR = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z)(?:\|(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?"
)
_ITEM_PLACE = re.compile(r"(?P<number>\d{1,18})@(?P<turn>[^/]*)/(?P<item>.+)", re.DOTALL)
_MAX_LIMIT = 100


def clamp_limit(limit: int) -> int:
    """The nearest page size that Codex allows, from 1 to 100."""
    return max(1, min(limit, _MAX_LIMIT))


def thread_cursor(at_ms: int, thread_id: str | None) -> str:
    """The cursor of a row in a sorted list, as Codex writes it: the sort key, and the id that breaks ties."""
    time = rfc3339(at_ms).replace(".000Z", "Z")
    return time if thread_id is None else f"{time}|{thread_id}"


def parse_thread_cursor(cursor: str) -> tuple[int, str | None]:
    """The reverse of `thread_cursor`.

    Raises:
        InvalidCursor: any other text.
    """
    match = _THREAD_CURSOR.fullmatch(cursor)
    at_ms = parse_time(match["time"]) if match else None
    if match is None or at_ms is None:
        raise InvalidCursor(cursor)
    return at_ms, match["id"]


def place_cursor(place: str, *, inclusive: bool) -> str:
    """The cursor of a turn or an item: the next page begins at it (`inclusive`) or after it."""
    return f"{'at' if inclusive else 'after'}:{place}"


def parse_place_cursor(cursor: str) -> tuple[str, bool]:
    """The place, and whether the page begins at it.

    Raises:
        InvalidCursor: any other text.
    """
    mode, colon, place = cursor.partition(":")
    if not colon or mode not in ("at", "after") or not place:
        raise InvalidCursor(cursor)
    return place, mode == "at"


class ItemAnchor(NamedTuple):
    """The item that a page begins at (`inclusive`) or after. Its id may be unique only in its turn. `number` is where
    it stood in the thread: the place to look first, since rollbacks and late lines may have moved it."""

    turn_id: str
    item_id: str
    number: int
    inclusive: bool


def item_cursor(anchor: ItemAnchor) -> str:
    place = f"{anchor.number}@{quote(anchor.turn_id, safe='')}/{anchor.item_id}"
    return place_cursor(place, inclusive=anchor.inclusive)


def parse_item_cursor(cursor: str) -> ItemAnchor:
    """The reverse of `item_cursor`.

    Raises:
        InvalidCursor: any other text.
    """
    place, inclusive = parse_place_cursor(cursor)
    match = _ITEM_PLACE.fullmatch(place)
    if match is None:
        raise InvalidCursor(cursor)
    return ItemAnchor(unquote(match["turn"]), match["item"], int(match["number"]), inclusive)
