"""The state of one search, and who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_server.codex.drafts import Draft
from mcp_server.models.history import TurnSpan
from mcp_server.storage.contracts import State
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.history import HistoryText, read_draft
from mcp_server.threads.search.bounds import SEARCH_BOUNDS, SearchBounds
from mcp_server.threads.search.terms import Terms
from mcp_server.threads.turn_index import History


class OutOfTime(Exception):
    """The deadline passed within a text."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who waits for a search. `progress` is told how many histories were read of those that have to be, `stopped` tells
    whether the answer is still wanted, `patient` that the caller sees progress and so waits longer."""

    progress: Callable[[int, int], None] = lambda done, found: None
    stopped: Callable[[], bool] = lambda: False
    patient: bool = False


UNWATCHED = Watch()
"""Nobody is told of progress, or gives up."""


@dataclass(slots=True)
class Search:
    """The state of one search. It asks a single `store`, even if the server switches to another meanwhile: a text that
    is in both would be found twice."""

    store: State
    terms: Terms
    threads: ThreadQuery
    thread_id: str | None
    tools: bool
    deadline: float
    incomplete: list[str]
    watch: Watch = UNWATCHED
    bounds: SearchBounds = SEARCH_BOUNDS
    unindexed: list[History] = field(default_factory=list[History])
    """Histories that are not in the store: of ephemeral threads, and new ones while the state DB can't be written."""
    resume_at: str | None = None
    """The cursor to continue from, if the search timed out."""
    text_deadline: float = 0.0
    """When the search in the current text ends."""
    _turn: tuple[str, TurnSpan, Draft | None] | None = None

    @property
    def timed_out(self) -> bool:
        return time.monotonic() > self.deadline or self.watch.stopped()

    def check(self) -> None:
        """Raises OutOfTime after the deadline of the current text, or once nobody waits any more."""
        if time.monotonic() > self.text_deadline or self.watch.stopped():
            raise OutOfTime

    def begin_text(self) -> float:
        """Set the deadline of the next text. Returns the time now."""
        now = time.monotonic()
        self.text_deadline = max(self.deadline, now + self.bounds.text_seconds)
        return now

    def turn(self, text: HistoryText, span: TurnSpan, data: bytes | None = None) -> Draft | None:
        """A turn, parsed from its bytes. The last one is cached: consecutive places may be in the same turn."""
        if self._turn is None or self._turn[:2] != (text.thread.id, span):
            self._turn = (text.thread.id, span, read_draft(text, span, data))
        return self._turn[2]

    def report_incomplete(self, what: str) -> None:
        """Add a reason why the answer is incomplete, once."""
        if what not in self.incomplete:
            self.incomplete.append(what)
