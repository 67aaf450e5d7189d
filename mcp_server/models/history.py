"""The index of a history: where its turns lie in its bytes, and what is known about each without reading them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from mcp_server.models.thread import FileStamp, LastTurn
from mcp_server.models.tokens import TokenCount
from mcp_server.models.turn import TurnStatus
from mcp_server.models.value import Json


class ParserState(msgspec.Struct, frozen=True, gc=False):
    """What the parser must know to begin within a thread: the byte offset and the number of the next line, the number
    of the next synthetic item id, and how many items come before, as Codex counts them."""

    start: int = 0
    line: int = 0
    item: int = 1
    counted: int = 0


class ItemSpan(msgspec.Struct, frozen=True, array_like=True):
    """An item that one line holds whole: the bytes of the line, and the item's id."""

    start: int
    end: int
    id: str


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A part of a long turn that can be parsed by itself. `items` counts the items of the turn before it; the other
    fields are those of `ParserState`."""

    start: int
    line: int
    item: int
    counted: int
    items: int


class TurnFacts(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A turn without its items.

    `request` is its first user message, or else the first command that the user ran; `answer` is its last agent
    message. `foreign_ids` are the ids of other turns, and of calls of other turns, that its lines name. `chunks` cut a
    long turn where no line refers to anything before the cut. `tokens` is the count at its end, or at that of the last
    turn before it that has one.
    """

    status: TurnStatus
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    request: ItemSpan | None = None
    answer: ItemSpan | None = None
    root_turn_id: str | None = None
    error: Json | None = None
    foreign_ids: tuple[str, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    tokens: TokenCount | None = None


class TurnSpan(msgspec.Struct, frozen=True):
    """One turn of a thread, its `number`-th from 0.

    A parser that begins in the state `begin` and takes the bytes from `begin.start` to `end` makes the turn again, as
    the first of its turns. `items` counts the items of the thread before this turn, `size` those in it.
    """

    number: int
    turn_id: str
    begin: ParserState
    end: int
    items: int
    size: int
    facts: TurnFacts


class IndexCheckpoint(msgspec.Struct, frozen=True, gc=False):
    """How far a thread's history is indexed, and its sums up to there.

    Offsets count through the whole history: first what the thread borrows by `history_base`, then its own file, which
    begins at `base`. `version` is that of the own rollout when it was read. `check` proves that the bytes before `end`
    are still those that were read. `open_calls` are ids of calls of ended turns that wait for an output. `last_turn` is
    None if there is no turn.
    """

    thread_id: str
    version: FileStamp
    base: int
    end: int
    check: str
    turns: int
    items: int
    next_item: int
    next_ordinal: int
    open_calls: tuple[str, ...] = ()
    last_turn: LastTurn | None = None


class IndexProgress(NamedTuple):
    """How many threads have an index of their turns, and how many are still to be indexed."""

    indexed: int
    unread: int


class TextChunk(msgspec.Struct, frozen=True, gc=False):
    """Text to search in, from the lines in `[start, end)` of the turn that begins at the offset `turn`. `tools` marks
    the text of tool calls and their outputs. A message between turns is a chunk of its own; no turn begins there."""

    turn: int
    start: int
    end: int
    text: str
    tools: bool = False


class IndexUpdate(msgspec.Struct, frozen=True):
    """What one reading adds to the index of a thread.

    It goes on from the checkpoint that ended at `after`; if `after` is None it replaces the whole index of the thread.
    The spans below the number `keep` stay, `spans` replace all others. `texts` are new, in the order of their lines.
    """

    checkpoint: IndexCheckpoint
    after: int | None
    keep: int
    spans: tuple[TurnSpan, ...]
    texts: tuple[TextChunk, ...] = ()
