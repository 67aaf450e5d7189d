"""Ranking: which threads answer a search best, first by what the index tells of them, then by what their texts say.

A thread that holds all words comes before one that holds most of them. Within both, BM25 over the thread's texts
decides; a word in the name counts more than one in a text, and words that stand together more than scattered ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mcp_server.storage.contracts import TurnIndex
from mcp_server.storage.query import WordHits
from mcp_server.threads.search.terms import LEVELS, Found

_LEAST_SHARE = 1e-5
# BM25: how soon more of the same word counts no more, and how much the length of a text counts.
_K, _B, _TYPICAL_CHARS = 1.2, 0.6, 600
_NAME, _FIRST, _TOGETHER, _AGAIN = 5.0, 0.8, 0.8, 0.12
"""What a group counts in the name, in the first message, beside the others in one item, and in further texts."""


def weight(share: float) -> float:
    """What a word counts that this part of all texts holds: the inverse document frequency."""
    share = min(1.0, max(share, _LEAST_SHARE))
    return math.log(1 + (1 - share) / share) + 0.05


def most(groups: int) -> int:
    """How many of so many groups a thread must hold."""
    return groups // 2 + 1


@dataclass(slots=True)
class Candidate:
    """A thread that may answer. `levels` are how well its texts hold each group, `named` and `first` how well its name
    and its first message do; `texts` are the numbers of its texts, each with what it holds of each group."""

    thread_id: str
    store: TurnIndex
    levels: list[float]
    named: list[float]
    first: list[float]
    texts: dict[int, list[float]] = field(default_factory=dict[int, list[float]])

    @classmethod
    def of(cls, thread_id: str, store: TurnIndex, groups: int) -> Candidate:
        """One of which nothing is known yet."""
        nothing = [0.0] * groups
        return cls(thread_id, store, nothing, nothing.copy(), nothing.copy())

    def holds(self, group: int) -> bool:
        return self.levels[group] > 0 or self.named[group] > 0

    @property
    def held(self) -> int:
        """How many groups it holds."""
        return sum(map(self.holds, range(len(self.levels))))

    @property
    def is_full(self) -> bool:
        return self.held == len(self.levels)

    def add_text(self, number: int, group: int, level: float) -> None:
        held = self.texts.setdefault(number, [0.0] * len(self.levels))
        held[group] = max(held[group], level)
        self.levels[group] = max(self.levels[group], level)

    def score(self, weights: Sequence[float]) -> float:
        """By what the index tells."""
        texts = [0] * len(weights)
        together = _sum(self.first, weights)
        for held in self.texts.values():
            worth = 0.0
            for group, level in enumerate(held):
                if level:
                    texts[group] += 1
                    worth += level * weights[group]
            together = max(together, worth)
        points = 0.0
        for group, worth in enumerate(weights):
            again = 1 + _AGAIN * math.log1p(texts[group])
            points += worth * (self.levels[group] * again + _NAME * self.named[group] + _FIRST * self.first[group])
        return points + _TOGETHER * together

    def best_texts(self, weights: Sequence[float], limit: int, skip: Collection[int] = ()) -> list[int]:
        """The numbers of the texts that tell most: the best one, and those that hold what it lacks."""
        left = {number: held for number, held in self.texts.items() if number not in skip}
        covered = [0.0] * len(self.levels)
        chosen: list[int] = []
        while left and len(chosen) < limit:

            def gain(number: int) -> tuple[float, float, int]:
                held = left[number]
                more = [max(0.0, new - old) for new, old in zip(held, covered, strict=True)]  # noqa: B023
                return _sum(more, weights), _sum(held, weights), number

            number = max(left, key=gain)
            if chosen and gain(number)[0] <= 0:
                break
            covered = [max(pair) for pair in zip(covered, left.pop(number), strict=True)]
            chosen.append(number)
        return chosen


def _sum(levels: Sequence[float], weights: Sequence[float]) -> float:
    return sum(level * worth for level, worth in zip(levels, weights, strict=True))


class Candidates(dict[tuple[int, str], Candidate]):
    """Candidates by store and thread."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self._groups = groups

    def of(self, store: TurnIndex, thread_id: str) -> Candidate:
        key = id(store), thread_id
        if key not in self:
            self[key] = Candidate.of(thread_id, store, self._groups)
        return self[key]

    def add(self, store: TurnIndex, found: WordHits, groups: Sequence[int]) -> None:
        """Add what an index found of words, each of the group that is named for it."""
        for number, thread_id, forms, first in found.hits:
            candidate = self.of(store, thread_id)
            if number is not None:
                held = candidate.texts.setdefault(number, [0.0] * self._groups)
            else:
                held = candidate.first if first else candidate.named
            for group, form in zip(groups, forms, strict=True):
                if form is not None and held[group] < (level := LEVELS[form]):
                    held[group] = level
                    if number is not None and candidate.levels[group] < level:
                        candidate.levels[group] = level


def bm25(found: Found | None, chars: int) -> float:
    """What a text of so many characters counts for a group, but for the group's weight."""
    if found is None:
        return 0.0
    return found.level * found.often * (_K + 1) / (found.often + _K * (1 - _B + _B * min(4.0, chars / _TYPICAL_CHARS)))


def total(
    weights: Sequence[float],
    items: Sequence[Sequence[float]],
    named: Sequence[float],
    first: Sequence[float],
    texts: Sequence[int],
) -> float:
    """A thread's score: `items` are what each of its items counts for each group, `named` and `first` how well its name
    and its first message hold each, `texts` how many texts do."""
    points = 0.0
    for group, worth in enumerate(weights):
        best = max((item[group] for item in items), default=0.0)
        again = _AGAIN * math.log1p(texts[group])
        points += worth * (best + again + _NAME * named[group] + _FIRST * first[group])
    return points + _TOGETHER * max((_sum(item, weights) for item in items), default=0.0)
