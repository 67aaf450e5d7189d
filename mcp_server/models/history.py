"""Where the turns of a history lie in its bytes, and what is told of them without reading those."""

from __future__ import annotations

import msgspec

from mcp_server.models.thread import FileStamp
from mcp_server.models.turn import TurnStatus
from mcp_server.models.value import Json


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where folding may begin: the byte offset and the number of a line, the number of the next synthetic item id, and
    how many items stand before, as Codex counts them."""

    start: int = 0
    line: int = 0
    item: int = 1
    counted: int = 0


class ItemPlace(msgspec.Struct, frozen=True, array_like=True):
    """An item that one line tells whole: the bytes of the line, and the item's id."""

    start: int
    end: int
    id: str


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A place within a turn from which what follows can be folded by itself; `items` of the turn stand before it. The
    other fields are those of `Place`."""

    start: int
    line: int
    item: int
    counted: int
    items: int


class TurnFacts(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A turn but for its items. `asked` is its first user message, or else the first command that the user ran,
    `answered` its last agent message. `strangers` are ids of other turns and of calls of other turns that its lines
    speak of. `pieces` cut a long turn where no line looks back beyond the cut."""

    status: TurnStatus
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    asked: ItemPlace | None = None
    answered: ItemPlace | None = None
    root_turn_id: str | None = None
    error: Json | None = None
    strangers: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()


class TurnSpan(msgspec.Struct, frozen=True):
    """One turn of a thread, its `number`-th from 0. Folding the bytes from `place.start` to `end`, beginning at
    `place`, makes it: it is the first turn that comes of them. `items` stand before it in the thread, `size` in it."""

    number: int
    turn_id: str
    place: Place
    end: int
    items: int
    size: int
    facts: TurnFacts


class HistoryMark(msgspec.Struct, frozen=True, gc=False):
    """How far a thread's history is indexed, and its sums up to there.

    Offsets count through the whole history: what the thread borrows by `history_base` comes first, and its own file
    begins at `base`. `stamp` is the own file's as it was then; `check` tells whether the bytes before `end` are still
    those that were read. `open_calls` are ids of calls of ended turns that wait for an output.
    """

    thread_id: str
    stamp: FileStamp
    base: int
    end: int
    check: str
    turns: int
    items: int
    next_item: int
    next_ordinal: int
    open_calls: tuple[str, ...] = ()


class TextPiece(msgspec.Struct, frozen=True, gc=False):
    """Text to search in, told by the lines in `[start, end)` of the turn that begins at `turn`. `tools`: by tool calls
    and their outputs. A message between turns is a piece of its own, at whose beginning no turn begins."""

    turn: int
    start: int
    end: int
    text: str
    tools: bool = False


class HistoryStep(msgspec.Struct, frozen=True):
    """What one reading adds to the index of a thread.

    It goes on from the mark that ended at `after`, or begins anew if that is None. The spans below `keep` stay,
    `spans` come in place of all others. `texts` are new, in the order of their lines.
    """

    mark: HistoryMark
    after: int | None
    keep: int
    spans: tuple[TurnSpan, ...]
    texts: tuple[TextPiece, ...] = ()
