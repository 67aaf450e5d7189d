"""Rollout lines -> turns and items. `TurnFolder` folds line by line and does no I/O; `read_history` feeds it.

The rules are those of Codex 0.169.0, observed on the real binary, with one difference on purpose: a tool call that
only the model's history holds (`function_call` with its output) is shown as a `dynamicToolCall`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mcp_server.errors import DamagedRollout
from mcp_server.models.rollout import Json, MalformedLine, RawLine, RolloutLine, decode_line
from mcp_server.models.thread import StoredThread
from mcp_server.models.turn import Item, ItemsView, Turn, TurnError, TurnStatus
from mcp_server.stores.base import BadLine, RolloutStore
from mcp_server.threads import items as shapes

MAX_LINEAGE = 64
"""How many rollouts one history may be pieced together from; Codex knows no bound, damage does."""

_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_SHOWN_BY_EVENTS = ("UserMessage", "AgentMessage", "Reasoning", "ContextCompaction")


@dataclass(slots=True)
class _Draft:
    """A turn being folded. `items` are keyed by the recorded id, or by the number of a synthetic one. `added` holds
    the keys of items that Codex doesn't show, and so doesn't count when it numbers."""

    id: str
    explicit: bool
    status: TurnStatus
    root_turn_id: str | None = None
    error: TurnError | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    compacted: bool = False
    items: dict[str | int, Item] = field(default_factory=dict[str | int, Item])
    added: set[str | int] = field(default_factory=set[str | int])

    @property
    def shown(self) -> bool:
        return bool(self.items) or self.explicit or self.compacted

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


class TurnFolder:
    """Folds the lines of one thread, in order, into its turns. Holds turns, never lines.

    A turn without an end is `inProgress`. Ids that the rollout doesn't record are Codex's synthetic ones: `item-1`,
    `item-2`, ... across the thread, and `rollout-<line>` for a turn that nothing opened, counted from 0. Who begins
    inside a thread says by `first_item` which number is next.
    """

    def __init__(self, *, paginated: bool = False, first_item: int = 1) -> None:
        self._paginated = paginated
        self._first_item = self._next_item = first_item
        self._lines = 0
        self._done: list[_Draft] = []
        self._current: _Draft | None = None
        self._by_id: dict[str, _Draft] = {}
        self._calls: dict[str, _Draft] = {}
        self._item_ids: set[str] = set()
        self._delimiters: dict[str, Callable[[Json], None]] = {
            "task_started": self._start,
            "turn_started": self._start,
            "task_complete": self._complete,
            "turn_complete": self._complete,
            "turn_aborted": self._abort,
            "item_completed": self._item_completed,
        }

    def feed(self, line: RolloutLine) -> None:
        """Take the next line. Never raises: what isn't understood is skipped."""
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

    @property
    def next_item(self) -> int:
        """The number that the next synthetic item id gets."""
        return self._next_item

    def turns(self) -> list[Turn]:
        """The turns so far, oldest first."""
        drafts = [*self._done, self._current] if self._current else self._done
        return [draft.as_turn() for draft in drafts if draft.shown]

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

    def _open(self, turn_id: str, *, explicit: bool) -> _Draft:
        self._close()
        self._current = _Draft(id=turn_id, explicit=explicit, status="inProgress" if explicit else "completed")
        self._by_id[turn_id] = self._current
        return self._current

    def _close(self) -> None:
        if self._current and self._current.shown:
            self._done.append(self._current)
        self._current = None

    def _ensure(self) -> _Draft:
        return self._current or self._open(f"rollout-{self._lines}", explicit=False)

    def _turn(self, payload: Json) -> _Draft | None:
        return self._by_id.get(shapes.text_of(payload.get("turn_id")) or "")

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
        if draft is self._current:
            self._close()

    def _abort(self, payload: Json) -> None:
        draft = self._turn(payload) or self._current
        if draft is None:
            return
        draft.ends(payload)
        draft.status = "interrupted"
        if draft is self._current:
            self._close()

    def _roll_back(self, payload: Json) -> None:
        """Drop the last turns and number on from what is left, as Codex does."""
        self._close()
        dropped = shapes.int_of(payload.get("num_turns")) or 0
        if dropped > 0:
            del self._done[-dropped:]
        kept = {id(draft) for draft in self._done}
        self._by_id = {turn_id: draft for turn_id, draft in self._by_id.items() if id(draft) in kept}
        self._calls = {call_id: draft for call_id, draft in self._calls.items() if id(draft) in kept}
        self._item_ids = {item.id for draft in self._done for item in draft.items.values()}
        self._next_item = self._first_item + sum(len(draft.items) - len(draft.added) for draft in self._done)

    # ------------------------------------------------------------------------------------------ items

    def _user_message(self, payload: Json) -> None:
        draft = self._current
        if draft and not draft.explicit and draft.items:
            self._close()
        self._append(self._ensure(), "user_message", payload)

    def _append(self, draft: _Draft, event: str, payload: Json) -> None:
        """Add the item of an event without an id, or merge reasoning into the reasoning right before it."""
        last = draft.last_shown_by_codex()
        item = shapes.legacy_item(event, payload, f"item-{self._next_item}")
        if item is None:
            return
        if item.type == "reasoning" and last is not None and draft.items[last].type == "reasoning":
            draft.items[last] = shapes.merge_reasoning(draft.items[last], item)
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
        if draft is None or (call.id in draft.items and not draft.holds_bare_call(call.id)):
            return
        self._calls[call.id] = draft
        self._put(draft, call.id, call, added=True)

    def _call_output(self, payload: Json) -> None:
        call_id = shapes.text_of(payload.get("call_id")) or ""
        draft = self._calls.get(call_id)
        if draft and draft.holds_bare_call(call_id):
            draft.items[call_id] = shapes.with_output(draft.items[call_id], payload)

    def _put(self, draft: _Draft, key: str | int, item: Item, *, added: bool = False) -> None:
        """Add an item, or replace the one with the same key. One that Codex shows takes its place in Codex's order
        even if the bare call stood before it."""
        replaced = draft.items.get(key)
        item_id = replaced.id if replaced else self._unused(item.id)
        if key in draft.added:
            draft.added.discard(key)
            del draft.items[key]
        self._item_ids.add(item_id)
        draft.items[key] = item if item.id == item_id else item.model_copy(update={"id": item_id})
        if added:
            draft.added.add(key)

    def _unused(self, item_id: str) -> str:
        """Clients page by item id, but a recorded id is unique in its turn only."""
        if item_id not in self._item_ids:
            return item_id
        return next(other for n in count(2) if (other := f"{item_id}~{n}") not in self._item_ids)


def _first(value: Any, otherwise: int | None) -> int | None:
    number = shapes.int_of(value)
    return otherwise if number is None else number


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class History:
    """A thread's turns, oldest first and complete, and the lines that could not be used. `next_item` is the number
    that the next synthetic item id gets, `next_ordinal` the number of the next line of a paginated history."""

    turns: list[Turn]
    bad_lines: tuple[BadLine, ...] = ()
    next_item: int = 1
    next_ordinal: int = 0


async def read_history(
    rollouts: RolloutStore,
    thread: StoredThread,
    base_of: Callable[[str], Awaitable[StoredThread | None]],
    *,
    active_turn_id: str | None = None,
) -> History:
    """Read a thread's rollout, and before it what the thread borrows by `history_base`, into turns.

    `base_of` finds a thread by id. A base that is missing or unreadable, or a lineage that runs in a circle, is
    reported like a bad line, and the thread's own part is still read. A turn without an end is shown `interrupted`,
    as Codex does, unless it is the `active_turn_id`.

    Raises:
        DamagedRollout: the thread's own rollout is gone or can't be read.
    """
    folder = TurnFolder(paginated=thread.history_mode == "paginated")
    bad: list[BadLine] = []
    next_ordinal = 0
    for part in await _lineage(thread, base_of, bad):
        try:
            async for batch in rollouts.lines(part.path, 0, part.end):
                for line in _decoded(part.path, batch, bad):
                    folder.feed(line)
                    if line.ordinal is not None:
                        next_ordinal = max(next_ordinal, line.ordinal + 1)
        except DamagedRollout as error:
            if not part.borrowed:
                raise
            bad.append(BadLine(part.path, error.offset, error.reason))
    turns = [_settled(turn, active_turn_id) for turn in folder.turns()]
    return History(turns, tuple(bad), folder.next_item, next_ordinal)


async def history_lines(
    rollouts: RolloutStore, thread: StoredThread, base_of: Callable[[str], Awaitable[StoredThread | None]]
) -> AsyncIterator[RolloutLine]:
    """The decodable lines of a thread, what it borrows first.

    Raises:
        DamagedRollout: a rollout of the lineage is gone or can't be read.
    """
    bad: list[BadLine] = []
    for part in await _lineage(thread, base_of, bad):
        async for batch in rollouts.lines(part.path, 0, part.end):
            for line in _decoded(part.path, batch, bad):
                yield line


def select_view(turn: Turn, view: ItemsView) -> Turn:
    """The turn with as much of its items as a view shows: none, the first user and the last agent message, or all."""
    if view == "full":
        return turn
    chosen = _first_and_last(turn.items) if view == "summary" else []
    return turn.model_copy(update={"items": chosen, "items_view": view})


@dataclass(frozen=True, slots=True)
class _Part:
    """One rollout of a lineage: the whole file, or what a fork borrows of it."""

    path: str
    end: int | None = None
    borrowed: bool = False


async def _lineage(
    thread: StoredThread, base_of: Callable[[str], Awaitable[StoredThread | None]], bad: list[BadLine]
) -> list[_Part]:
    """The rollouts that a history is read from, the oldest first."""
    parts, seen, fork = [_Part(thread.path)], {thread.id}, thread
    while base := fork.history_base:
        source = await base_of(base.thread_id)
        if source is None or source.id in seen or len(parts) >= MAX_LINEAGE:
            reason = "is missing" if source is None else "runs in a circle" if source.id in seen else "is too long"
            bad.append(BadLine(fork.path, 0, f"the history borrowed from thread {base.thread_id} {reason}"))
            break
        parts.append(_Part(source.path, base.end_byte_offset, borrowed=True))
        seen.add(source.id)
        fork = source
    return parts[::-1]


def _decoded(path: str, batch: list[RawLine], bad: list[BadLine]) -> Iterator[RolloutLine]:
    for raw in batch:
        try:
            yield decode_line(raw.data)
        except MalformedLine as error:
            reason = str(error) if raw.whole else f"torn line without a newline: {error}"
            bad.append(BadLine(path, raw.offset, reason))


def _settled(turn: Turn, active_turn_id: str | None) -> Turn:
    if turn.status != "inProgress" or turn.id == active_turn_id:
        return turn
    return turn.model_copy(update={"status": "interrupted"})


def _first_and_last(items: list[Item]) -> list[Item]:
    asked = next((item for item in items if item.type == "userMessage"), None)
    answered = next((item for item in reversed(items) if item.type == "agentMessage"), None)
    return [item for item in (asked, answered) if item]
