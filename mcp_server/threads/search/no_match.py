"""What may help where nothing answers a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

from msgspec import UNSET

from mcp_server.models.results import NoMatch, WordCount
from mcp_server.models.words import words_of
from mcp_server.threads.search.rows import Ranking
from mcp_server.threads.search.state import Search
from mcp_server.threads.search.terms import Group, Terms

Rank = Callable[[Search], Ranking]


def no_match(search: Search, ranking: Ranking, rank: Rank) -> NoMatch:
    """What may help where nothing answers: how many threads each word has, the nearest words, what was left out.
    Tool calls were looked through already."""
    words = [
        WordCount(word=word, threads=count, nearest=UNSET if count else _nearest(search, group) or UNSET)
        for word, count, group in zip(search.terms.words, ranking.threads_with, search.terms.groups, strict=True)
    ]
    return NoMatch(words=words, elsewhere=_elsewhere(search, ranking, rank) or UNSET)


def _elsewhere(search: Search, ranking: Ranking, rank: Rank) -> dict[str, int]:
    """How many archived threads hold all words, of a search in active ones, and the other way round."""
    archived = search.threads.archived
    if search.thread_id is not None or archived is None:
        return {}
    turned = replace(search, threads=replace(search.threads, archived=not archived), incomplete=[])
    for group, count in zip(search.terms.groups, ranking.threads_with, strict=True):
        # What is nowhere is known soon; looking for the others would take long where they are common.
        if not count and not rank(replace(turned, terms=Terms((group,)))).candidates:
            return {}
    found = sum(one.is_full for one in rank(turned).candidates)
    return {"active" if archived else "archived": found} if found else {}


def _nearest(search: Search, group: Group) -> list[str]:
    """Known words that are written much like one that nothing holds."""
    found: list[str] = []
    for term in group:
        for word in words_of(term.typed)[:1]:
            turned = word[1::-1] + word[2:]
            known = {*search.store.words_like(word), *(search.store.words_like(turned) if len(word) > 3 else ())}
            found += get_close_matches(word, known - {word}, n=3, cutoff=0.75)
    return found[:3]
