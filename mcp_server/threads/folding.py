"""Rollout lines -> turns and items. `TurnFolder` folds line by line and does no I/O.

The rules are those of Codex 0.169.0, observed on the real binary, with one difference on purpose: a tool call that
only the model's history holds (`function_call` with its output) is shown as a `dynamicToolCall`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from mcp_server.models.history import Piece, Place
from mcp_server.models.rollout import Json, RolloutLine
from mcp_server.models.turn import Item, Turn, TurnError, TurnStatus
from mcp_server.threads import items as shapes

PIECE_BYTES = 128 << 10
"""A turn of more bytes is cut into pieces of so many or a little more, where it can be."""

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_BEGINNING = Place()
_SHOWN_BY_EVENTS = ("UserMessage", "AgentMessage", "Reasoning", "ContextCompaction")


@dataclass(slots=True)
class Draft:
    """A turn being folded. `items` are keyed by the recorded id, or by the number of a synthetic one. `added` holds
    the keys of items that Codex doesn't show, and so doesn't count when it numbers. `lines` has, by key, the bytes
    `(start, end)` of the line that told an item last.

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
        self.lines, self.ids = {}, set()

    def looks_back(self, key: str | int) -> None:
        """A line tells more of an item: nothing can be cut between the two."""
        told, _ = self.lines.get(key, (0, 0))
        while self.pieces and self.pieces[-1].start > told:
            self.pieces.pop()

    def ends(self, payload: Json) -> None:
        self.started_at = _first(payload.get("started_at"), self.started_at)
        self.completed_at = _first(payload.get("completed_at"), self.completed_at)
        self.duration_ms = _first(payload.get("duration_ms"), self.duration_ms)

    def last_shown_by_codex(self) -> str | int | None:
        return next((key for key in reversed(self.items) if key not in self.added), None)

    def holds_bare_call(self, key: str) -> bool:
        """Whether the item is a call of the model's, for which no item of its own has come."""
        return key in self.added and self.items[key].type == "dynamicToolCall"

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


class TurnFolder:
    """Folds the lines of one thread, in order, into its turns. Holds turns, never lines.

    A turn without an end is `inProgress`. Ids that the rollout doesn't record are Codex's synthetic ones: `item-1`,
    `item-2`, ... across the thread, and `rollout-<line>` for a turn that nothing opened, counted from 0. Item ids are
    unique in their turn, and across the thread where the rollout's are. Who begins inside a thread says where.
    `strangers` are ids of turns and calls that lie before that; what is told of them is left out.
    """

    def __init__(self, *, paginated: bool = False, begin: Place | None = None, strangers: Collection[str] = ()) -> None:
        self._paginated = paginated
        self._begin = begin or Place()
        self._next_item = self._begin.item
        self._counted = self._begin.counted
        self._lines = self._begin.line
        self._span = (self._begin.start, self._begin.start)
        self._strangers = frozenset(strangers)
        self._current: Draft | None = None
        self._by_id: dict[str, Draft] = {}
        self._calls: dict[str, Draft] = {}
        self._delimiters: dict[str, Callable[[Json], None]] = {
            "task_started": self._start,
            "turn_started": self._start,
            "task_complete": self._complete,
            "turn_complete": self._complete,
            "turn_aborted": self._abort,
            "item_completed": self._item_completed,
        }
        self.done: list[Draft] = []
        """Turns that have ended, without those that were rolled back."""
        self.told: list[tuple[Draft, Item]] = []
        """The items that the last line told, with their turns."""
        self.late: list[Draft] = []
        """Turns that were told more of after their items were forgotten."""
        self.unknown: set[str] = set()
        """Ids of turns and calls that lines spoke of and that lie before the beginning, if anywhere."""
        self.rolled_past = False
        """Whether turns that lie before the beginning were rolled back."""

    def feed(self, line: RolloutLine, start: int = 0, end: int = 0) -> None:
        """Take the next line, which lies at these bytes. Never raises: what isn't understood is skipped."""
        self._span = (start, end)
        self.told.clear()
        match line.type:
            case "event_msg":
                self._event(shapes.text_of(line.payload.get("type")) or "", line.payload)
            case "response_item":
                self._response_item(line.payload)
            case "compacted" if not self._paginated:
                self._ensure().compacted = True
            case _:
                pass
        self._lines += 1
        if self._current:
            self._current.end = end
            self._cut(self._current)

    def _cut(self, draft: Draft) -> None:
        """Begin another piece of the turn here if the last has become long, and no call waits for its output."""
        last = draft.pieces[-1].start if draft.pieces else draft.place.start
        long_enough = draft.end - last >= PIECE_BYTES and draft.explicit
        if long_enough and not any(waiting is draft for waiting in self._calls.values()):
            draft.pieces.append(Piece(draft.end, self._lines, self._next_item, self._counted, len(draft.items)))

    def resume(self, turn_id: str) -> None:
        """Go on within this turn, from a piece of it."""
        self._open(turn_id, explicit=True)

    @property
    def next_item(self) -> int:
        """The number that the next synthetic item id gets."""
        return self._next_item

    @property
    def line(self) -> int:
        """The number of the next line."""
        return self._lines

    @property
    def open_calls(self) -> list[str]:
        """The ids of the calls of closed turns whose outputs have not come."""
        return [call_id for call_id, draft in self._calls.items() if draft is not self._current]

    def drafts(self) -> list[Draft]:
        """The turns so far, oldest first, the running one with them."""
        return [*self.done, self._current] if self._current and self._current.shown else self.done

    def turns(self) -> list[Turn]:
        return [draft.as_turn() for draft in self.drafts() if draft.shown]

    # ------------------------------------------------------------------------------------------ turns

    def _event(self, event: str, payload: Json) -> None:
        if handle := self._delimiters.get(event):
            handle(payload)
        elif self._paginated:
            return  # Codex takes paginated items from item_completed alone, and rolls nothing back there
        elif event == "thread_rolled_back":
            self._roll_back(payload)
        elif event == "user_message":
            self._user_message(payload)
        elif item := shapes.ended_item(event, payload):
            draft = self._turn(payload) if payload.get("turn_id") else self._ensure()
            if draft:
                self._put(draft, item.id, item)
        elif shapes.legacy_item(event, payload, ""):
            self._append(self._ensure(), event, payload)

    def _open(self, turn_id: str, *, explicit: bool) -> Draft:
        self._close()
        place = Place(self._span[0], self._lines, self._next_item, self._counted)
        status: TurnStatus = "inProgress" if explicit else "completed"
        self._current = self._by_id[turn_id] = Draft(turn_id, explicit, status, place, self._span[1])
        return self._current

    def _close(self) -> None:
        if self._current and self._current.shown:
            self.done.append(self._current)
        self._current = None

    def _ensure(self) -> Draft:
        return self._current or self._open(f"rollout-{self._lines}", explicit=False)

    def _turn(self, payload: Json) -> Draft | None:
        """The turn that a line names. What is told of a stranger is told to nobody."""
        turn_id = shapes.text_of(payload.get("turn_id")) or ""
        draft = self._by_id.get(turn_id)
        if draft is None and turn_id in self._strangers:
            return Draft(turn_id, True, "completed")
        if draft is None and turn_id:
            self.unknown.add(turn_id)
        return self._touched(draft, turn_id) if draft else None

    def _touched(self, draft: Draft, by: str) -> Draft:
        """Note that the line belongs to this turn, which may have ended before."""
        draft.end = max(draft.end, self._span[1])
        if draft.forgotten:
            self.late.append(draft)
        if self._current and draft is not self._current:
            self._current.strangers.add(by)
        return draft

    def _start(self, payload: Json) -> None:
        turn_id = shapes.text_of(payload.get("turn_id"))
        draft = self._open(turn_id or f"rollout-{self._lines}", explicit=True)
        draft.root_turn_id = shapes.text_of(payload.get("root_turn_id"))
        draft.started_at = shapes.int_of(payload.get("started_at"))

    def _complete(self, payload: Json) -> None:
        draft = self._turn(payload) or self._current
        if draft is None:
            return
        draft.ends(payload)
        if draft.status in ("completed", "inProgress"):
            draft.error = shapes.turn_error(payload.get("error"))
            draft.status = "failed" if draft.error else "completed"
        self._end(draft)

    def _abort(self, payload: Json) -> None:
        draft = self._turn(payload) or self._current
        if draft is None:
            return
        draft.ends(payload)
        draft.status = "interrupted"
        self._end(draft)

    def _end(self, draft: Draft) -> None:
        if draft is self._current:
            draft.end = self._span[1]
            self._close()

    def _roll_back(self, payload: Json) -> None:
        """Drop the last turns and number on from what is left, as Codex does."""
        self._close()
        dropped = shapes.int_of(payload.get("num_turns")) or 0
        if dropped > 0:
            self.rolled_past = self.rolled_past or dropped > len(self.done)
            self._counted -= sum(draft.counted for draft in self.done[-dropped:])
            del self.done[-dropped:]
        kept = {id(draft) for draft in self.done}
        self._by_id = {turn_id: draft for turn_id, draft in self._by_id.items() if id(draft) in kept}
        self._calls = {call_id: draft for call_id, draft in self._calls.items() if id(draft) in kept}
        self._next_item = 1 + self._counted

    # ------------------------------------------------------------------------------------------ items

    def _user_message(self, payload: Json) -> None:
        draft = self._current
        if draft and not draft.explicit and draft.items:
            self._close()
        self._append(self._ensure(), "user_message", payload)

    def _append(self, draft: Draft, event: str, payload: Json) -> None:
        """Add the item of an event without an id, or merge reasoning into the reasoning right before it."""
        last = draft.last_shown_by_codex()
        item = shapes.legacy_item(event, payload, f"item-{self._next_item}")
        if item is None:
            return
        if item.type == "reasoning" and last is not None and draft.items[last].type == "reasoning":
            self._retell(draft, last, shapes.merge_reasoning(draft.items[last], item))
            return
        self._put(draft, self._next_item, item)
        self._next_item += 1

    def _item_completed(self, payload: Json) -> None:
        kind = shapes.text_of(shapes.dict_of(payload.get("item")).get("type"))
        if not self._paginated and kind in _SHOWN_BY_EVENTS:
            return
        draft, item = self._turn(payload), shapes.completed_item(payload)
        if draft and item:
            self._put(draft, item.id, item, added=not self._paginated and kind != "Plan")

    def _response_item(self, payload: Json) -> None:
        if payload.get("type") in _OUTPUTS:
            self._call_output(payload)
        elif call := shapes.tool_call(payload):
            self._call(call)
        elif not self._paginated and (prompt := shapes.hook_prompt(payload, f"hook-{self._lines}")):
            self._put(self._ensure(), prompt.id, prompt)

    def _call(self, call: Item) -> None:
        draft = self._current
        if draft is None:
            return
        if call.id in draft.items and not draft.holds_bare_call(call.id):
            draft.tangled = True
            return
        self._calls[call.id] = draft
        self._put(draft, call.id, call, added=True)

    def _call_output(self, payload: Json) -> None:
        call_id = shapes.text_of(payload.get("call_id")) or ""
        draft = self._calls.pop(call_id, None)
        if draft is None:
            if call_id and call_id not in self._strangers:
                self.unknown.add(call_id)
            return
        self._touched(draft, call_id)
        if draft.holds_bare_call(call_id):
            self._retell(draft, call_id, shapes.with_output(draft.items[call_id], payload))

    def _put(self, draft: Draft, key: str | int, item: Item, *, added: bool = False) -> None:
        """Add an item, or replace the one with the same key. One that Codex shows takes its place in Codex's order
        even if the bare call stood before it."""
        before = draft.counted
        replaced = draft.items.get(key)
        item_id = replaced.id if replaced else _unused(item.id, draft.ids)
        draft.tangled = draft.tangled or item_id != item.id
        if replaced:
            draft.looks_back(key)
        if key in draft.added:
            draft.added.discard(key)
            del draft.items[key]
        if added:
            draft.added.add(key)
        draft.ids.add(item_id)
        self._retell(draft, key, item if item.id == item_id else item.changed(id=item_id))
        self._counted += draft.counted - before

    def _retell(self, draft: Draft, key: str | int, item: Item) -> None:
        if key in draft.items:
            draft.looks_back(key)
        draft.items[key] = item
        draft.lines[key] = self._span
        self.told.append((draft, item))


def _unused(item_id: str, taken: Collection[str]) -> str:
    """Clients page by item id, and a recorded one may look like a synthetic one of the same turn."""
    if item_id not in taken:
        return item_id
    return next(other for n in count(2) if (other := f"{item_id}~{n}") not in taken)


def _first(value: Any, otherwise: int | None) -> int | None:
    number = shapes.int_of(value)
    return otherwise if number is None else number
