"""The verb that lists what a person has said in a thread, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from mcp_server.codex.work import said_by_user
from mcp_server.errors import InvalidCursor
from mcp_server.models.page import clamp_limit, parse_place_cursor, place_cursor
from mcp_server.models.params import OutlineParams
from mcp_server.models.results import OutlineEntry, OutlineResult
from mcp_server.models.times import rfc3339
from mcp_server.models.turn import Turn
from mcp_server.threads.catalog import Catalog

_CHARS = 200


class Outlines:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def show(self, params: OutlineParams) -> OutlineResult:
        """A page of a thread's turns, oldest first, each with the user's messages in it.

        Raises:
            InvalidCursor: its turn is not in the thread any more.
        """
        thread_id = self._catalog.resolve(params.thread_id)
        return self._catalog.retry_if_moved(thread_id, lambda: self._show(thread_id, params))

    def _show(self, thread_id: str, params: OutlineParams) -> OutlineResult:
        stored = self._catalog.known(thread_id)
        loaded = self._catalog.loaded.get(thread_id)
        if loaded is not None and not loaded.has_rollout:
            return OutlineResult(thread_id=thread_id, data=[], total=0)
        history = self._catalog.history(stored)
        first = 0
        if params.cursor is not None:
            turn_id, inclusive = parse_place_cursor(params.cursor)
            if (span := history.span_of(turn_id)) is None:
                raise InvalidCursor(params.cursor, "anchor turn is no longer present")
            first = span.number if inclusive else span.number + 1
        total = history.checkpoint.turns
        turns = history.turns(first, min(first + clamp_limit(params.limit), total), "full")
        more = first + len(turns) < total
        entries = [entry for turn in turns for entry in outline_of(turn)]
        return OutlineResult(
            thread_id=thread_id,
            data=entries,
            total=total,
            cursors=_cursors(entries),
            next_cursor=place_cursor(turns[-1].id, inclusive=False) if more and turns else None,
        )


def _cursors(entries: Sequence[OutlineEntry]) -> list[str]:
    """The cursor after each entry. A turn that is shown in part is shown again, unless the page begins with it."""
    following = [*(entry.turn_id for entry in entries[1:]), None]
    return [
        place_cursor(entry.turn_id, inclusive=entry.turn_id == after and entry.turn_id != entries[0].turn_id)
        for entry, after in zip(entries, following, strict=True)
    ]


def outline_of(turn: Turn) -> list[OutlineEntry]:
    """An entry for each message of the user; a turn without one has an entry without a text."""
    texts = [text for item in turn.items if (text := said_by_user(item)) is not None] or [""]
    return [
        OutlineEntry(
            turn_id=turn.id,
            at=UNSET if turn.started_at is None else rfc3339(turn.started_at * 1000),
            text=text if len(text) <= _CHARS else f"{text[:_CHARS]}…",
            chars=len(text) if len(text) > _CHARS else UNSET,
            status=UNSET if turn.status == "completed" else turn.status,
        )
        for text in texts
    ]
