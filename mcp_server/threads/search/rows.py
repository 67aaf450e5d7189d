"""The threads that may answer a search, and what was read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from mcp_server.models.results import Passage
from mcp_server.models.thread import StoredThread
from mcp_server.threads.search.ranking import Candidate
from mcp_server.threads.search.terms import Snippet

_MAX_PASSAGES = 3


@dataclass(frozen=True, slots=True)
class Said:
    """An item, a message between turns or a name, and what it counts for each group."""

    values: tuple[float, ...]
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


@dataclass(slots=True)
class Row:
    """A thread that answers, with what was read of it."""

    candidate: Candidate
    thread: StoredThread
    said: list[Said] = field(default_factory=list[Said])
    read: set[int] = field(default_factory=set[int])
    score: float = 0.0

    def holds(self, group: int, *, confirmed: bool) -> bool:
        """Whether it holds a group: as the index tells, or as what was read has `confirmed`."""
        if self.candidate.named[group] or any(said.values[group] for said in self.said):
            return True
        return not confirmed and self.candidate.levels[group] > 0


@dataclass(slots=True)
class Ranking:
    """The threads that may answer, the best first, and what is known of the groups: their weights, whether they are
    looked for as `parts` of words, whether what the index tells of them must be confirmed. `complete` is false where
    threads may be left out, `whole` where some of these may hold all groups."""

    candidates: list[Candidate]
    weights: list[float]
    parts: list[bool]
    literal: list[bool]
    threads_with: list[int]
    complete: bool
    whole: bool
    rows: dict[str, Row] = field(default_factory=dict[str, Row])

    @property
    def has_full(self) -> bool:
        return any(one.is_full for one in self.candidates)

    @property
    def held(self) -> int:
        """How many groups the best candidate holds."""
        return max((one.held for one in self.candidates), default=0)


def _ids(turn_id: str | None, item_id: str | None) -> dict[str, str]:
    return {name: value for name, value in (("turn_id", turn_id), ("item_id", item_id)) if value is not None}


def passage(snippet: Snippet, turn_id: str | None = None, item_id: str | None = None) -> Passage:
    return Passage(text=snippet.text, signs=list(snippet.signs) or UNSET, **_ids(turn_id, item_id))


def best_said(row: Row, weights: Sequence[float]) -> list[Said]:
    """The best passages of a row: the best one, those that add what it lacks, and others nearly as good."""

    def value(said: Said) -> float:
        return sum(one * worth for one, worth in zip(said.values, weights, strict=True))

    left = sorted(row.said, key=value, reverse=True)
    chosen: list[Said] = []
    covered: set[int] = set()
    for said in left:
        held = {n for n, one in enumerate(said.values) if one}
        if not chosen or not held <= covered:
            chosen.append(said)
            covered |= held
    good = value(left[0]) * 0.6 if left else 0.0
    chosen += [said for said in left if said not in chosen and value(said) >= good]
    return chosen[:_MAX_PASSAGES]
