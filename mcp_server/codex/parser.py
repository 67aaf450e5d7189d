"""Rollout lines -> turns and items. `TurnFolder` folds line by line and does no I/O.

The rules are those of Codex 0.169.0, observed on the real binary, with differences on purpose: what the agent did and
only the model's history tells is shown too (`calls`), and messages that no event tells (`stand_ins`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from mcp_server.codex import calls, messages
from mcp_server.codex import items as shapes
from mcp_server.codex.drafts import Draft, unused_id
from mcp_server.codex.fields import int_of, text_of
from mcp_server.codex.lines import RolloutLine
from mcp_server.models.history import Piece, Place
from mcp_server.models.turn import Item, Turn, TurnStatus
from mcp_server.models.value import Json

PIECE_BYTES = 128 << 10
"""A turn of more bytes is cut into pieces of so many or a little more, where it can be."""

_TELLING = ("userMessage", "agentMessage", "reasoning", "contextCompaction")
_SHOWN_BY_EVENTS = ("UserMessage", "AgentMessage", "Reasoning", "ContextCompaction")


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
        self._aborted: Draft | None = None
        self._told = False
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
                self._event(text_of(line.payload, "type") or "", line.payload)
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
        long_enough = draft.end - last >= PIECE_BYTES and draft.explicit and draft.told
        if long_enough and not any(waiting is draft for waiting in self._calls.values()):
            draft.pieces.append(Piece(draft.end, self._lines, self._next_item, self._counted, len(draft.items)))

    def resume(self, turn_id: str) -> None:
        """Go on within this turn, from a piece of it; events have told of messages before."""
        self._open(turn_id, explicit=True).told = True

    def begin_in(self, turn_id: str) -> None:
        """Begin with one line of this turn, of which nothing has been told yet."""
        self._open(turn_id, explicit=True)

    def stands_apart(self, payload: Json) -> bool:
        """Whether the response item that was fed last belongs to no turn, and is no item."""
        running = self._current is not None and self._current.explicit
        return not self.told and not running and calls.turn_id_of(payload) not in self._by_id

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

    def held(self, shed: bool = False) -> int:
        """How many things are known of the running turn, and of what is not known where it belongs. It may `shed` the
        items that nothing more is told of, as far as that is known."""
        draft = self._current
        if draft and shed:
            draft.shed(set(self._calls))
        return (len(draft.items) + len(draft.strangers) if draft else 0) + len(self._calls) + len(self.unknown)

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
        elif item := shapes.legacy_item(event, payload, ""):
            self._tell(item.type)
            self._append(self._ensure(), event, payload)

    def _open(self, turn_id: str, *, explicit: bool) -> Draft:
        self._close()
        self._aborted = None
        place = Place(self._span[0], self._lines, self._next_item, self._counted)
        status: TurnStatus = "inProgress" if explicit else "completed"
        self._current = self._by_id[turn_id] = Draft(turn_id, explicit, status, place, self._span[1])
        return self._current

    def _close(self) -> None:
        if self._current and self._current.shown:
            self.done.append(self._current)
        self._current = None

    def _ensure(self) -> Draft:
        """The running turn, or one that nothing but what it holds has opened. From here on it is events that tell."""
        self._told = True
        if self._current is not None:
            return self._current
        draft = self._open(f"rollout-{self._lines}", explicit=False)
        draft.told = True
        return draft

    def _turn(self, payload: Json) -> Draft | None:
        """The turn that a line names. What is told of a stranger is told to nobody."""
        turn_id = text_of(payload, "turn_id") or ""
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
        self._told = True
        turn_id = text_of(payload, "turn_id")
        draft = self._open(turn_id or f"rollout-{self._lines}", explicit=True)
        draft.root_turn_id = text_of(payload, "root_turn_id")
        draft.started_at = int_of(payload, "started_at")

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
        self._aborted = draft if draft is self._current else self._aborted
        self._end(draft)

    def _end(self, draft: Draft) -> None:
        if draft is self._current:
            draft.end = self._span[1]
            self._close()

    def _roll_back(self, payload: Json) -> None:
        """Drop the last turns and number on from what is left, as Codex does."""
        self._close()
        self._aborted = None
        dropped = int_of(payload, "num_turns") or 0
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
        self._tell("userMessage")
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
        kind = text_of(payload, "item", "type")
        if not self._paginated and kind in _SHOWN_BY_EVENTS:
            return
        draft, item = self._turn(payload), shapes.completed_item(payload)
        if draft and item:
            self._put(draft, item.id, item, added=not self._paginated and kind != "Plan")

    def _response_item(self, payload: Json) -> None:
        kind = payload.get("type")
        if kind in calls.OUTPUTS:
            self._call_output(payload)
        elif call := calls.call_of(payload, self._lines):
            self._call(call, payload)
        elif command := calls.user_shell(payload, f"shell-{self._lines}"):
            self._call(command, payload)
        elif not self._paginated and (prompt := calls.hook_prompt(payload, f"hook-{self._lines}")):
            self._put(self._ensure(), prompt.id, prompt)
        elif not self._paginated and (item := messages.message_item(payload, f"message-{self._lines}")):
            self._stand_in(item, payload)

    def _call(self, call: Item, payload: Json) -> None:
        """Add what the agent did, unless an event has told it."""
        draft = self._turn_of(payload)
        if draft is None and call.is_users_command:
            draft = self._ensure()
        if draft is None and not self._told:
            draft = self._open(f"rollout-{self._lines}", explicit=False)
        if draft is None:
            return
        if (twin := calls.twin_key(call)) is not None:
            draft.twins[twin] -= 1
        told = call.id in draft.items and call.id not in draft.bare
        if told or (twin is not None and draft.twins[twin] >= 0):
            draft.tangled = True
            return
        if payload.get("type") in calls.AWAIT_OUTPUT:
            self._calls[call.id] = draft
        self._put(draft, call.id, call, added=True, bare=True)

    def _stand_in(self, item: Item, payload: Json) -> None:
        """Add a message that no event has told, so far. Between turns that events tell there is none to be shown: Codex
        puts there what it injects."""
        draft = self._turn_of(payload)
        if draft is None or (item.type == "userMessage" and not draft.explicit and not draft.told and draft.items):
            if self._told:
                return
            draft = self._open(f"rollout-{self._lines}", explicit=False)
        if not draft.told and item.id not in draft.items:
            self._put(draft, item.id, item, added=True, bare=True)
            draft.stand_ins.add(item.id)

    def _tell(self, kind: str) -> None:
        """An event is to tell of a message: what stands in for it goes. In a turn without a beginning that is the last
        item alone; those before it are told by nobody else."""
        self._told = True
        draft = self._current
        if draft is None or draft.told or kind not in _TELLING:
            return
        draft.told = True
        gone = set(draft.stand_ins)
        if not draft.explicit:
            gone &= {key for key in list(draft.items)[-1:] if draft.items[key].type == kind}
        for key in gone:
            draft.drop(key)
        if not draft.shown:
            self._by_id.pop(draft.id, None)
            self._current = None

    def _turn_of(self, payload: Json) -> Draft | None:
        """The turn of a response item: the one it names, else the running one; the model's history goes on for a while
        after an abort, which is of the aborted turn."""
        named = calls.turn_id_of(payload)
        if named and named != (self._current and self._current.id) and (draft := self._turn({"turn_id": named})):
            return draft
        return self._current or (self._aborted and self._touched(self._aborted, self._aborted.id))

    def _call_output(self, payload: Json) -> None:
        call_id = text_of(payload, "call_id") or text_of(payload, "id") or self._searching()
        draft = self._calls.pop(call_id, None)
        if draft is None:
            if call_id and call_id not in self._strangers:
                self.unknown.add(call_id)
            return
        self._touched(draft, call_id)
        if call_id in draft.bare:
            self._retell(draft, call_id, calls.with_output(draft.items[call_id], payload))

    def _searching(self) -> str:
        """The first tool search that waits for its output, which names none where the provider has made it."""
        return next((call_id for call_id in self._calls if call_id.startswith(calls.UNNAMED_SEARCH)), "")

    def _put(self, draft: Draft, key: str | int, item: Item, *, added: bool = False, bare: bool = False) -> None:
        """Add an item, or replace the one with the same key. One that Codex shows takes its place in Codex's order
        even if the bare call stood before it."""
        before = draft.counted
        if not bare and (key not in draft.items or key in draft.bare):
            self._replace_twin(draft, key, item)
        replaced = draft.items.get(key)
        item_id = replaced.id if replaced else unused_id(item.id, draft.ids)
        draft.tangled = draft.tangled or item_id != item.id
        if replaced:
            draft.looks_back(key)
        if key in draft.added:
            draft.added.discard(key)
            draft.bare.discard(key)
            del draft.items[key]
        if added:
            draft.added.add(key)
        if bare:
            draft.bare.add(key)
        draft.ids.add(item_id)
        self._retell(draft, key, item if item.id == item_id else item.changed(id=item_id))
        self._counted += draft.counted - before

    def _replace_twin(self, draft: Draft, told: str | int, item: Item) -> None:
        """An event tells of what the model's history may have told before with another id."""
        if (twin := calls.twin_key(item)) is None:
            return
        draft.twins[twin] += 1
        alike = (key for key, one in draft.items.items() if key in draft.bare and calls.twin_key(one) == twin)
        if draft.twins[twin] <= 0 and told not in draft.bare and (key := next(alike, None)) is not None:
            draft.drop(key)

    def _retell(self, draft: Draft, key: str | int, item: Item) -> None:
        if key in draft.items:
            draft.looks_back(key)
        draft.items[key] = item
        draft.lines[key] = self._span
        self.told.append((draft, item))
