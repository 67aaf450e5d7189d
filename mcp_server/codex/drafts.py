"""One turn while it is being built from the lines of a rollout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from mcp_server.codex.fields import int_of
from mcp_server.models.history import Chunk, ParserState
from mcp_server.models.tokens import TokenCount
from mcp_server.models.turn import Item, Turn, TurnError, TurnStatus
from mcp_server.models.value import Json

_BEGINNING = ParserState()


@dataclass(slots=True)
class Draft:
    """A turn being built. `explicit`: an event opened it.

    A parser that begins in the state `begin` and takes the bytes from `begin.start` to `end` makes this turn again.
    Lines of other turns may lie between; `foreign_ids` are the ids of turns and calls that they name.

    `items` are keyed by the recorded id, or by the number of a synthetic one. Sets of their keys:
    - `uncounted`: Codex doesn't show these, so it doesn't count them when it numbers items;
    - `without_event`: those of them that no event has recorded so far, only the model's history;
    - `stand_ins`: messages among the latter. They go as soon as an event records a message (`has_event_messages`).

    A search, and a command of the user, may be recorded twice with different ids. For each such item, `twins` counts
    the records by events minus those by the model's history.

    A parser can begin at each of the `chunks`, unless the turn `has_duplicate_ids`: what became of an id depends on the
    items before it. `line_spans` has, by key, the bytes `(start, end)` of the last line of an item.
    """

    id: str
    explicit: bool
    status: TurnStatus
    begin: ParserState = _BEGINNING
    end: int = 0
    root_turn_id: str | None = None
    error: TurnError | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    compacted: bool = False
    tokens: TokenCount | None = None
    items: dict[str | int, Item] = field(default_factory=dict[str | int, Item])
    uncounted: set[str | int] = field(default_factory=set[str | int])
    without_event: set[str | int] = field(default_factory=set[str | int])
    stand_ins: set[str | int] = field(default_factory=set[str | int])
    has_event_messages: bool = False
    twins: Counter[str] = field(default_factory=Counter[str])
    line_spans: dict[str | int, tuple[int, int]] = field(default_factory=dict[str | int, tuple[int, int]])
    item_ids: set[str] = field(default_factory=set[str])
    foreign_ids: set[str] = field(default_factory=set[str])
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    has_duplicate_ids: bool = False
    items_dropped: bool = False

    @property
    def shown(self) -> bool:
        return bool(self.items) or self.explicit or self.compacted

    @property
    def counted(self) -> int:
        """How many items Codex counts in this turn when it numbers."""
        return len(self.items) - len(self.uncounted)

    def drop_items(self) -> None:
        """Free the memory of all items. Their keys and types stay."""
        self.items_dropped = True
        for key, item in self.items.items():
            self.items[key] = _placeholder(item.type)
        self.line_spans, self.item_ids, self.twins = {}, set(), Counter()

    def drop_finished_items(self, unfinished: Collection[str | int]) -> None:
        """Free the memory of all items but the last, the last message and the unfinished ones. Their types and ids
        stay."""
        last = next(reversed(self.items), None)
        answer = next((key for key, item in reversed(self.items.items()) if item.type == "agentMessage"), None)
        for key, item in self.items.items():
            if key not in (last, answer) and key not in unfinished:
                self.items[key] = Item(type=item.type, id=item.id)

    def remove(self, key: str | int) -> None:
        """Take back an item of the model's history, since an event records the same."""
        self.refers_back(key)
        self.has_duplicate_ids = True
        del self.items[key]
        for keys in (self.uncounted, self.without_event, self.stand_ins):
            keys.discard(key)

    def refers_back(self, key: str | int) -> None:
        """Note that a line changes an earlier item: no chunk may begin between the two."""
        start, _ = self.line_spans.get(key, (0, 0))
        while self.chunks and self.chunks[-1].start > start:
            self.chunks.pop()

    def set_times(self, payload: Json) -> None:
        """Take over the times that an event at the end of the turn records."""
        for name in ("started_at", "completed_at", "duration_ms"):
            if (number := int_of(payload, name)) is not None:
                setattr(self, name, number)

    def last_shown_by_codex(self) -> str | int | None:
        return next((key for key in reversed(self.items) if key not in self.uncounted), None)

    def as_turn(self) -> Turn:
        return Turn(
            id=self.id,
            root_turn_id=self.root_turn_id,
            status=self.status,
            error=self.error,
            items=list(self.items.values()),
            started_at=self.started_at,
            completed_at=self.completed_at,
            duration_ms=self.duration_ms,
        )


@cache
def _placeholder(kind: str) -> Item:
    return Item(type=kind, id="")


def unused_id(item_id: str, taken: Collection[str]) -> str:
    """The id, with a number appended if it is taken. Clients page by item id, and a recorded id may look like a
    synthetic one of the same turn."""
    if item_id not in taken:
        return item_id
    return next(other for n in count(2) if (other := f"{item_id}~{n}") not in taken)
