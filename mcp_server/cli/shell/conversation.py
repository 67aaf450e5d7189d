"""The turns of a thread from the first to the last, with every message whole, read page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from mcp_server.models.params import ItemsParams, ReadParams
from mcp_server.models.results import ThreadReadResult
from mcp_server.models.turn import Item, Turn
from mcp_server.threads.reader import Reader
from mcp_server.threads.views import ANSWER_CHARS

_TURNS, _ITEMS = 20, 100
_MESSAGES = frozenset({"userMessage", "agentMessage", "plan"})


class Conversation:
    """The thread that a reference stands for, and its turns.

    Args:
        last: only so many of the last turns.
        whole_outputs: texts other than messages are whole, too.
        progress: called with the turns read and those to read.
    """

    def __init__(
        self,
        reader: Reader,
        reference: str,
        *,
        last: int | None,
        whole_outputs: bool,
        progress: Callable[[int, int], None],
    ) -> None:
        self._reader, self._whole_outputs, self._progress = reader, whole_outputs, progress
        newest = reader.read(ReadParams(reference, True, "notLoaded", "desc", limit=1))
        self.total = newest.total or 0
        self.shown = self.total if last is None else min(last, self.total)
        self.head = replace(newest, turns=[], next_cursor=None, backwards_cursor=None, cursors=[])
        self._newest = newest

    def whole(self) -> ThreadReadResult:
        """The thread with all its turns, as one answer."""
        return replace(self.head, turns=list(self.turns()))

    def turns(self) -> Iterator[Turn]:
        """The turns, the oldest first."""
        cursor, done = self._first_cursor(), 0
        while done < self.shown:
            page = self._reader.read(ReadParams(self.head.thread.id, True, "full", "asc", cursor, _TURNS))
            for turn in page.turns:
                done += 1
                yield self._whole_turn(turn)
                self._progress(done, self.shown)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _first_cursor(self) -> str | None:
        """The cursor of the first turn to show; None is the first of all."""
        if self.shown == self.total:
            return None
        # Turns without items are cheap, so the way back from the end is.
        left, cursor, page = self.shown, None, self._newest
        while left > 0:
            number = min(left, _ITEMS)
            params = ReadParams(self.head.thread.id, True, "notLoaded", "desc", cursor, number)
            page = self._reader.read(params)
            left, cursor = left - number, page.next_cursor
        return f"at:{page.turns[-1].id}"

    def _whole_turn(self, turn: Turn) -> Turn:
        """The turn with what a page of turns leaves out of it."""
        items = turn.items if turn.items_view == "full" else list(self._items_of(turn))
        return replace(turn, items=[self._whole_item(turn, item) for item in items], items_view="full")

    def _items_of(self, turn: Turn) -> Iterator[Item]:
        cursor: str | None = None
        while True:
            params = ItemsParams(self.head.thread.id, turn.id, cursor=cursor, limit=_ITEMS)
            page = self._reader.items(params)
            yield from (entry.item for entry in page.data)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _whole_item(self, turn: Turn, item: Item) -> Item:
        if not item.get("truncated") or (item.type not in _MESSAGES and not self._whole_outputs):
            return item
        params = ItemsParams(self.head.thread.id, turn.id, item.id, limit=1, max_chars=ANSWER_CHARS)
        return self._reader.items(params).data[0].item
