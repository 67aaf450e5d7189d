"""Rollout lines -> turns and items.

The rules are those of Codex 0.169.0, observed on the real binary, with two differences on purpose: what the agent did
is shown even if only the model's history records it (`calls`), and so are messages that no event records (`messages`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from mcp_server.codex import calls, messages
from mcp_server.codex import items as shapes
from mcp_server.codex.bounds import BOUNDS
from mcp_server.codex.drafts import Draft, unused_id
from mcp_server.codex.fields import int_of, text_of
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.tokens import token_count
from mcp_server.models.history import Chunk, ParserState
from mcp_server.models.turn import Item, Turn, TurnStatus
from mcp_server.models.value import Json

_MESSAGE_TYPES = ("userMessage", "agentMessage", "reasoning", "contextCompaction")
_RECORDED_BY_EVENTS = ("UserMessage", "AgentMessage", "Reasoning", "ContextCompaction")


class TurnBuilder:
    """Builds the turns of one thread from its lines, in order. Keeps turns, never lines.

    A turn without an end is `inProgress`. Ids that the rollout doesn't record are Codex's synthetic ones: `item-1`,
    `item-2`, ... across the thread, and `rollout-<line>` for a turn that no event opened, counted from 0. Item ids are
    unique in their turn, and across the thread where the rollout's are.

    To build a part of a thread, `begin` says where it begins. `foreign_ids` are ids of turns and calls that lie before;
    lines that name them are skipped. A turn longer than `chunk_bytes` is cut into chunks, where it can be cut.
    """

    def __init__(
        self,
        *,
        paginated: bool = False,
        begin: ParserState | None = None,
        foreign_ids: Collection[str] = (),
        chunk_bytes: int = BOUNDS.chunk_bytes,
    ) -> None:
        begin = begin or ParserState()
        self._chunk_bytes = chunk_bytes
        self._paginated = paginated
        self._next_item = begin.item
        self._counted = begin.counted
        self._lines = begin.line
        self._span = (begin.start, begin.start)
        self._foreign_ids = frozenset(foreign_ids)
        self._current: Draft | None = None
        self._by_id: dict[str, Draft] = {}
        self._calls: dict[str, Draft] = {}
        self._aborted: Draft | None = None
        self._has_events = False
        self._boundaries: dict[str, Callable[[Json], None]] = {
            "task_started": self._start,
            "turn_started": self._start,
            "task_complete": self._complete,
            "turn_complete": self._complete,
            "turn_aborted": self._abort,
            "item_completed": self._item_completed,
            "token_count": self._count_tokens,
        }
        self.done: list[Draft] = []
        """Turns that have ended, without those that were rolled back."""
        self.last_items: list[tuple[Draft, Item]] = []
        """The items that the last line added or changed, with their turns."""
        self.late: list[Draft] = []
        """Turns that further lines belonged to after their items had been dropped."""
        self.unknown_ids: set[str] = set()
        """Ids of turns and calls that lines name but no line defined. If they exist, they lie before the beginning."""
        self.rolled_past = False
        """Whether turns that lie before the beginning were rolled back."""

    def feed(self, line: RolloutLine, start: int = 0, end: int = 0) -> None:
        """Take the next line, which lies at these bytes. No line raises an error; an unknown one changes nothing."""
        self._span = (start, end)
        self.last_items.clear()
        match line.type:
            case "event_msg":
                self._event(text_of(line.payload, "type") or "", line.payload)
            case "response_item":
                self._response_item(line.payload)
            case "compacted" if not self._paginated:
                self._ensure_turn().compacted = True
            case _:
                pass
        self._lines += 1
        if self._current:
            self._current.end = end
            self._cut(self._current)

    def _cut(self, draft: Draft) -> None:
        """Begin another chunk of the turn here if the last has become long and no call waits for its output."""
        last = draft.chunks[-1].start if draft.chunks else draft.begin.start
        long_enough = draft.end - last >= self._chunk_bytes and draft.explicit and draft.has_event_messages
        if long_enough and not any(waiting is draft for waiting in self._calls.values()):
            draft.chunks.append(Chunk(draft.end, self._lines, self._next_item, self._counted, len(draft.items)))

    def enter_turn(self, turn_id: str, *, has_event_messages: bool = False) -> None:
        """Begin within this turn. `has_event_messages`: events before the beginning have recorded messages of it."""
        self._open(turn_id, explicit=True).has_event_messages = has_event_messages

    def is_between_turns(self, payload: Json) -> bool:
        """Whether the response item that was fed last belongs to no turn, and is no item."""
        running = self._current is not None and self._current.explicit
        return not self.last_items and not running and calls.turn_id_of(payload) not in self._by_id

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

    def count_held(self) -> int:
        """How many items and ids the running turn holds in memory, with open calls and unknown ids."""
        draft = self._current
        return (len(draft.items) + len(draft.foreign_ids) if draft else 0) + len(self._calls) + len(self.unknown_ids)

    def drop_finished_items(self) -> None:
        """Free the memory of those items of the running turn that wait for no output."""
        if self._current:
            self._current.drop_finished_items(set(self._calls))

    def drafts(self) -> list[Draft]:
        """The turns so far, oldest first, with the running one."""
        return [*self.done, self._current] if self._current and self._current.shown else self.done

    def turns(self) -> list[Turn]:
        return [draft.as_turn() for draft in self.drafts() if draft.shown]

    # ------------------------------------------------------------------------------------------ turns

    def _event(self, event: str, payload: Json) -> None:
        if handle := self._boundaries.get(event):
            handle(payload)
        elif self._paginated:
            return  # Codex takes paginated items from item_completed alone, and rolls nothing back there
        elif event == "thread_rolled_back":
            self._roll_back(payload)
        elif event == "user_message":
            self._user_message(payload)
        elif item := shapes.ended_item(event, payload):
            draft = self._turn(payload) if payload.get("turn_id") else self._ensure_turn()
            if draft:
                self._put(draft, item.id, item)
        elif item := shapes.legacy_item(event, payload, ""):
            self._remove_stand_ins(item.type)
            self._append(self._ensure_turn(), event, payload)

    def _open(self, turn_id: str, *, explicit: bool) -> Draft:
        self._close()
        self._aborted = None
        begin = ParserState(self._span[0], self._lines, self._next_item, self._counted)
        status: TurnStatus = "inProgress" if explicit else "completed"
        self._current = self._by_id[turn_id] = Draft(turn_id, explicit, status, begin, self._span[1])
        return self._current

    def _open_implicit(self) -> Draft:
        return self._open(f"rollout-{self._lines}", explicit=False)

    def _close(self) -> None:
        if self._current and self._current.shown:
            self.done.append(self._current)
        self._current = None

    def _ensure_turn(self) -> Draft:
        """The running turn for the item of an event. If there is none, the item opens one."""
        self._has_events = True
        if self._current is not None:
            return self._current
        draft = self._open_implicit()
        draft.has_event_messages = True
        return draft

    def _turn(self, payload: Json) -> Draft | None:
        """The turn that a line names. For a foreign id it is a draft that nobody keeps."""
        turn_id = text_of(payload, "turn_id") or ""
        draft = self._by_id.get(turn_id)
        if draft is None and turn_id in self._foreign_ids:
            return Draft(turn_id, True, "completed")
        if draft is None and turn_id:
            self.unknown_ids.add(turn_id)
        return self._touched(draft, turn_id) if draft else None

    def _touched(self, draft: Draft, named: str) -> Draft:
        """Note that the line belongs to this turn, which may have ended before. It names the turn, or a call of it."""
        draft.end = max(draft.end, self._span[1])
        if draft.items_dropped:
            self.late.append(draft)
        if self._current and draft is not self._current:
            self._current.foreign_ids.add(named)
        return draft

    def _start(self, payload: Json) -> None:
        self._has_events = True
        turn_id = text_of(payload, "turn_id")
        draft = self._open(turn_id or f"rollout-{self._lines}", explicit=True)
        draft.root_turn_id = text_of(payload, "root_turn_id")
        draft.started_at = int_of(payload, "started_at")

    def _complete(self, payload: Json) -> None:
        draft = self._turn(payload) or self._current
        if draft is None:
            return
        draft.set_times(payload)
        if draft.status in ("completed", "inProgress"):
            draft.error = shapes.turn_error(payload.get("error"))
            draft.status = "failed" if draft.error else "completed"
        self._end(draft)

    def _abort(self, payload: Json) -> None:
        draft = self._turn(payload) or self._current
        if draft is None:
            return
        draft.set_times(payload)
        draft.status = "interrupted"
        self._aborted = draft if draft is self._current else self._aborted
        self._end(draft)

    def _count_tokens(self, payload: Json) -> None:
        if self._current is not None:
            self._current.tokens = token_count(payload) or self._current.tokens

    def _end(self, draft: Draft) -> None:
        if draft is self._current:
            draft.end = self._span[1]
            self._close()

    def _roll_back(self, payload: Json) -> None:
        """Remove the last turns. Numbering continues from what is left, as in Codex."""
        self._close()
        self._aborted = None
        removed = int_of(payload, "num_turns") or 0
        if removed > 0:
            self.rolled_past = self.rolled_past or removed > len(self.done)
            self._counted -= sum(draft.counted for draft in self.done[-removed:])
            del self.done[-removed:]
        kept = {id(draft) for draft in self.done}
        self._by_id = {turn_id: draft for turn_id, draft in self._by_id.items() if id(draft) in kept}
        self._calls = {call_id: draft for call_id, draft in self._calls.items() if id(draft) in kept}
        self._next_item = 1 + self._counted

    # ------------------------------------------------------------------------------------------ items

    def _user_message(self, payload: Json) -> None:
        self._remove_stand_ins("userMessage")
        draft = self._current
        if draft and not draft.explicit and draft.items:
            self._close()
        self._append(self._ensure_turn(), "user_message", payload)

    def _append(self, draft: Draft, event: str, payload: Json) -> None:
        """Add the item of an event without an id, or merge reasoning into the reasoning right before it."""
        last = draft.last_shown_by_codex()
        item = shapes.legacy_item(event, payload, f"item-{self._next_item}")
        if item is None:
            return
        if item.type == "reasoning" and last is not None and draft.items[last].type == "reasoning":
            self._set_item(draft, last, shapes.merge_reasoning(draft.items[last], item))
            return
        self._put(draft, self._next_item, item)
        self._next_item += 1

    def _item_completed(self, payload: Json) -> None:
        kind = text_of(payload, "item", "type")
        if not self._paginated and kind in _RECORDED_BY_EVENTS:
            return
        draft, item = self._turn(payload), shapes.completed_item(payload)
        if draft and item:
            self._put(draft, item.id, item, uncounted=not self._paginated and kind != "Plan")

    def _response_item(self, payload: Json) -> None:
        kind = payload.get("type")
        if kind in calls.OUTPUTS:
            self._call_output(payload)
        elif call := calls.call_of(payload, self._lines):
            self._call(call, payload)
        elif command := calls.user_shell(payload, f"shell-{self._lines}"):
            self._call(command, payload)
        elif not self._paginated and (prompt := calls.hook_prompt(payload, f"hook-{self._lines}")):
            self._put(self._ensure_turn(), prompt.id, prompt)
        elif not self._paginated and (item := messages.message_item(payload, f"message-{self._lines}")):
            self._stand_in(item, payload)

    def _call(self, call: Item, payload: Json) -> None:
        """Add what the agent did, unless an event has recorded it."""
        draft = self._turn_of(payload)
        if draft is None and call.is_users_command:
            draft = self._ensure_turn()
        if draft is None and not self._has_events:
            draft = self._open_implicit()
        if draft is None:
            return
        if (twin := calls.twin_key(call)) is not None:
            draft.twins[twin] -= 1
        recorded = call.id in draft.items and call.id not in draft.without_event
        if recorded or (twin is not None and draft.twins[twin] >= 0):
            draft.has_duplicate_ids = True
            return
        if payload.get("type") in calls.AWAIT_OUTPUT:
            self._calls[call.id] = draft
        self._put(draft, call.id, call, uncounted=True, without_event=True)

    def _stand_in(self, item: Item, payload: Json) -> None:
        """Add a message that no event has recorded so far. Where events record the turns, a message between turns
        is not shown: Codex injects messages there."""
        draft = self._turn_of(payload)
        implicit = draft is not None and not (draft.explicit or draft.has_event_messages)
        if draft is None or (implicit and item.type == "userMessage" and draft.items):
            if self._has_events:
                return
            draft = self._open_implicit()
        if not draft.has_event_messages and item.id not in draft.items:
            self._put(draft, item.id, item, uncounted=True, without_event=True)
            draft.stand_ins.add(item.id)

    def _remove_stand_ins(self, kind: str) -> None:
        """An event is about to record a message of this kind, so the stand-ins of the turn go. In a turn that no event
        opened only the last item goes, since no event records those before it."""
        self._has_events = True
        draft = self._current
        if draft is None or draft.has_event_messages or kind not in _MESSAGE_TYPES:
            return
        draft.has_event_messages = True
        gone = set(draft.stand_ins)
        if not draft.explicit:
            gone &= {key for key in list(draft.items)[-1:] if draft.items[key].type == kind}
        for key in gone:
            draft.remove(key)
        if not draft.shown:
            self._by_id.pop(draft.id, None)
            self._current = None

    def _turn_of(self, payload: Json) -> Draft | None:
        """The turn of a response item: the one that it names, else the running one. After an abort the model's history
        goes on for a while; those lines belong to the aborted turn."""
        named = calls.turn_id_of(payload)
        if named and named != (self._current and self._current.id) and (draft := self._turn({"turn_id": named})):
            return draft
        return self._current or (self._aborted and self._touched(self._aborted, self._aborted.id))

    def _call_output(self, payload: Json) -> None:
        call_id = text_of(payload, "call_id") or text_of(payload, "id") or self._open_search()
        draft = self._calls.pop(call_id, None)
        if draft is None:
            if call_id and call_id not in self._foreign_ids:
                self.unknown_ids.add(call_id)
            return
        self._touched(draft, call_id)
        if call_id in draft.without_event:
            self._set_item(draft, call_id, calls.with_output(draft.items[call_id], payload))

    def _open_search(self) -> str:
        """The first tool search that waits for its output. The output of a provider's search names no call."""
        return next((call_id for call_id in self._calls if call_id.startswith(calls.UNNAMED_SEARCH)), "")

    def _put(
        self, draft: Draft, key: str | int, item: Item, *, uncounted: bool = False, without_event: bool = False
    ) -> None:
        """Add an item, or replace the one with the same key. An item that Codex shows takes its place in Codex's order,
        even if the call stood before it in the model's history."""
        before = draft.counted
        if not without_event and (key not in draft.items or key in draft.without_event):
            self._remove_twin(draft, key, item)
        replaced = draft.items.get(key)
        item_id = replaced.id if replaced else unused_id(item.id, draft.item_ids)
        draft.has_duplicate_ids = draft.has_duplicate_ids or item_id != item.id
        if replaced:
            draft.refers_back(key)
        if key in draft.uncounted:
            draft.uncounted.discard(key)
            draft.without_event.discard(key)
            del draft.items[key]
        if uncounted:
            draft.uncounted.add(key)
        if without_event:
            draft.without_event.add(key)
        draft.item_ids.add(item_id)
        self._set_item(draft, key, item if item.id == item_id else item.changed(id=item_id))
        self._counted += draft.counted - before

    def _remove_twin(self, draft: Draft, key: str | int, item: Item) -> None:
        """Remove the item with which the model's history has recorded the same as this event, under another id."""
        if (twin := calls.twin_key(item)) is None:
            return
        draft.twins[twin] += 1
        bare = ((other, one) for other, one in draft.items.items() if other in draft.without_event)
        alike = (other for other, one in bare if calls.twin_key(one) == twin)
        if draft.twins[twin] <= 0 and key not in draft.without_event and (other := next(alike, None)) is not None:
            draft.remove(other)

    def _set_item(self, draft: Draft, key: str | int, item: Item) -> None:
        if key in draft.items:
            draft.refers_back(key)
        draft.items[key] = item
        draft.line_spans[key] = self._span
        self.last_items.append((draft, item))
