"""One search under way: how far it may go, and what answers it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mcp_server.codex.drafts import Draft
from mcp_server.codex.texts import searchable
from mcp_server.models.history import TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.history import TextQuery
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.history import HistoryText, read_draft
from mcp_server.threads.terms import Terms
from mcp_server.threads.turn_index import History

# Each text that is begun has so long, so that every call gets on.
_TEXT_SECONDS = 1.0


class OutOfTime(Exception):
    """The deadline came while a text was looked through."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A match, the cursor that begins with it, and how well it answers, where that counts."""

    thread: StoredThread
    cursor: str
    snippet: str
    score: float = 0.0
    turn_id: str | None = None
    item_id: str | None = None

    @property
    def in_name(self) -> bool:
        return self.cursor.startswith("n")


@dataclass(slots=True)
class Search:
    """One search under way. It asks one `store`, also if the server goes over to another meanwhile: a text that both
    know of would be found twice."""

    store: StateStore
    terms: Terms
    threads: ThreadQuery
    thread_id: str | None
    tools: bool
    ranked: bool
    batch: int
    deadline: float
    incomplete: list[str]
    apart: list[History] = field(default_factory=list[History])
    """What the index can't have: an ephemeral thread, or all that is new while the state DB can't be written."""
    rest: str | None = None
    """Where to go on if time was up."""
    until: float = 0.0
    """When the look through the present text ends."""
    _turn: tuple[str, TurnSpan, Draft | None] | None = None

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def check(self) -> None:
        """Raises OutOfTime once time is up for the present text."""
        if time.monotonic() > self.until:
            raise OutOfTime

    def begin_text(self) -> float:
        """The time now, from which on the next text is looked through."""
        now = time.monotonic()
        self.until = max(self.deadline, now + _TEXT_SECONDS)
        return now

    def hit(self, thread: StoredThread, text: str) -> Hit | None:
        """What a text answers, if it does."""
        found = self.terms.find(text, self.check)
        if found is None:
            return None
        score = self.terms.score(text, self.check) if self.ranked else 0.0
        return Hit(thread, "", self.terms.snippet(text, found), score)

    def query(self, before: int | None) -> TextQuery:
        return TextQuery(self.terms.literals, self.threads, self.tools, self.thread_id, before, self.batch)

    def turn(self, text: HistoryText, span: TurnSpan, data: bytes | None = None) -> Draft | None:
        """A turn as its bytes tell it. The last one is kept: many places may lie in it, one after the other."""
        if self._turn is None or self._turn[:2] != (text.thread.id, span):
            self._turn = (text.thread.id, span, read_draft(text, span, data))
        return self._turn[2]

    def leave_out(self, what: str) -> None:
        """Say what is not searched, once."""
        if what not in self.incomplete:
            self.incomplete.append(what)


def in_names_of(search: Search, named: Sequence[StoredThread], skip: int) -> list[Hit]:
    looked = ((n, search.hit(thread, thread.name or "")) for n, thread in enumerate(named) if n >= skip)
    return [replace(hit, cursor=f"n{n}") for n, hit in looked if hit is not None]


def matches_in(search: Search, thread: StoredThread, span: TurnSpan, draft: Draft, told: range | None) -> list[Hit]:
    found: list[Hit] = []
    for key, item in draft.items.items():
        if told is not None and draft.line_spans[key][0] not in told:
            continue
        texts, by_tools = searchable(item)
        if (search.tools or not by_tools) and (hit := search.hit(thread, "\n".join(texts))):
            found.append(replace(hit, turn_id=span.turn_id, item_id=item.id))
    return found[::-1]
