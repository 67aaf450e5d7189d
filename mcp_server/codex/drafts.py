"""A turn while it is being folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from mcp_server.codex.fields import int_of
from mcp_server.models.history import Piece, Place
from mcp_server.models.turn import Item, Turn, TurnError, TurnStatus
from mcp_server.models.value import Json

_BEGINNING = Place()


@dataclass(slots=True)
class Draft:
    """A turn being folded. `items` are keyed by the recorded id, or by the number of a synthetic one. `added` holds
    the keys of items that Codex doesn't show, and so doesn't count when it numbers; `bare` those of them that the
    model's history alone tells, so far. `twins` counts, of what may be told with two ids, how often events told it more
    often than the model's history. `stand_ins` are messages of that history, which give way as soon as an event has
    `told` one. `lines` has, by key, the bytes `(start, end)` of the line that told an item last.

    Folding the bytes from `place.start` to `end`, beginning at `place`, makes this turn again. Lines that belong to
    another turn may lie between: `strangers` are the turn and call ids that they name.

    Folding on from one of the `pieces` makes the items that follow it, unless the turn is `tangled`: an id that came
    twice is known by what stands before.
    """

    id: str
    explicit: bool
    status: TurnStatus
    place: Place = _BEGINNING
    end: int = 0
    root_turn_id: str | None = None
    error: TurnError | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    compacted: bool = False
    items: dict[str | int, Item] = field(default_factory=dict[str | int, Item])
    added: set[str | int] = field(default_factory=set[str | int])
    bare: set[str | int] = field(default_factory=set[str | int])
    stand_ins: set[str | int] = field(default_factory=set[str | int])
    told: bool = False
    twins: Counter[str] = field(default_factory=Counter[str])
    lines: dict[str | int, tuple[int, int]] = field(default_factory=dict[str | int, tuple[int, int]])
    ids: set[str] = field(default_factory=set[str])
    strangers: set[str] = field(default_factory=set[str])
    pieces: list[Piece] = field(default_factory=list[Piece])
    tangled: bool = False
    forgotten: bool = False

    @property
    def shown(self) -> bool:
        return bool(self.items) or self.explicit or self.compacted

    @property
    def counted(self) -> int:
        """How many items Codex counts in this turn when it numbers."""
        return len(self.items) - len(self.added)

    def forget(self) -> None:
        """Let the items go, which may be large; their keys and types stay."""
        self.forgotten = True
        for key, item in self.items.items():
            self.items[key] = _husk(item.type)
        self.lines, self.ids, self.twins = {}, set(), Counter()

    def shed(self, kept: Collection[str | int]) -> None:
        """Let all items go but the last and the `kept`, which more is to be told of; the ids of the others stay."""
        last = next(reversed(self.items), None)
        for key, item in self.items.items():
            if key != last and key not in kept:
                self.items[key] = Item(type=item.type, id=item.id)

    def drop(self, key: str | int) -> None:
        """Take an item back that the model's history told: an event has told the same."""
        self.looks_back(key)
        self.tangled = True
        del self.items[key]
        for keys in (self.added, self.bare, self.stand_ins):
            keys.discard(key)

    def looks_back(self, key: str | int) -> None:
        """A line tells more of an item: nothing can be cut between the two."""
        told, _ = self.lines.get(key, (0, 0))
        while self.pieces and self.pieces[-1].start > told:
            self.pieces.pop()

    def ends(self, payload: Json) -> None:
        for name in ("started_at", "completed_at", "duration_ms"):
            if (number := int_of(payload, name)) is not None:
                setattr(self, name, number)

    def last_shown_by_codex(self) -> str | int | None:
        return next((key for key in reversed(self.items) if key not in self.added), None)

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
def _husk(kind: str) -> Item:
    return Item(type=kind, id="")


def unused_id(item_id: str, taken: Collection[str]) -> str:
    """Clients page by item id, and a recorded one may look like a synthetic one of the same turn."""
    if item_id not in taken:
        return item_id
    return next(other for n in count(2) if (other := f"{item_id}~{n}") not in taken)
