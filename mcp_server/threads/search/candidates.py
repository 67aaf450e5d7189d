"""Which threads may answer a search, as the indexes tell."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from mcp_server.storage.query import TextQuery, WordQuery
from mcp_server.threads.search.ranking import Candidate, Candidates, most, weight
from mcp_server.threads.search.rows import Ranking
from mcp_server.threads.search.state import OutOfTime, Search
from mcp_server.threads.search.terms import PART, Term, never
from mcp_server.threads.search.texts import Texts

_MAX_THREADS = 1_000
# A literal is looked for in so many texts at most, the newest.
_MAX_PLACES_OF_LITERAL = 500
_FEW_THREADS = 300
_MANY_TEXTS = 20_000  # of so many texts a literal is taken to be in some
_MAX_NAMES = 1_000


class Ranker:
    """Ranks by the indexes alone. A literal that is not wanted is looked for in the texts."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def rank(self, search: Search) -> Ranking:
        """The threads that hold all groups or most of them, as the index tells."""
        terms, store = search.terms, search.store
        count = len(terms.groups)
        candidates = Candidates(count)
        asked = [(n, term.forms) for n, group in enumerate(terms.groups) for term in group if term.forms]
        shares = [0.0] * count
        complete = whole = True
        if asked:
            query = WordQuery(tuple(forms for _, forms in asked), search.threads, search.tools, search.thread_id)
            found = store.find_words(query)
            candidates.add(store, found, [n for n, _ in asked])
            for (n, _), share in zip(asked, found.shares, strict=True):
                shares[n] += share
            complete, whole = found.complete, found.whole
        parts, literal = [False] * count, [False] * count
        for n, group in enumerate(terms.groups):
            known = any(one.holds(n) for one in candidates.values())
            for term in group:
                if term.forms and known:
                    continue
                literal[n] = True
                places, all_of_them = self._add_literal(search, candidates, n, term)
                shares[n] += places / _MANY_TEXTS
                complete = complete and all_of_them
            parts[n] = not known and bool(group[0].forms) and any(one.holds(n) for one in candidates.values())
        threads_with = [sum(one.holds(n) for one in candidates.values()) for n in range(count)]
        weights = [weight(share) for share in shares]
        enough = [one for one in candidates.values() if one.held >= most(count)]
        enough.sort(key=lambda one: (one.is_full, one.score(weights), max(one.texts, default=0)), reverse=True)
        enough = self._without(search, enough)
        return Ranking(enough, weights, parts, literal, threads_with, complete, whole)

    def _add_literal(self, search: Search, candidates: Candidates, group: int, term: Term) -> tuple[int, bool]:
        """Look for a literal with the index of trigrams. Returns in how many texts it may be, and whether these are
        all."""
        store, threads = search.store, search.threads
        if search.thread_id is None and 0 < len(candidates) <= _FEW_THREADS and len(search.terms.groups) == 2:
            threads = replace(threads, ids=[one.thread_id for one in candidates.values()])
        query = TextQuery(term.literals, threads, search.tools, search.thread_id, limit=_MAX_PLACES_OF_LITERAL + 1)
        places = store.places(query)
        for place in places[:_MAX_PLACES_OF_LITERAL]:
            candidates.of(store, place.thread.id).add_text(place.number, group, PART)
        named = [] if search.thread_id else store.named(term.literals, threads, _MAX_NAMES)
        for thread in named:
            if next(term.matches(thread.name or "", never), None) is not None:
                candidates.of(store, thread.id).named[group] = PART if term.forms else 1.0
        if whole := len(places) <= _MAX_PLACES_OF_LITERAL:
            return len(places), whole
        search.report_incomplete(f"of the texts that may hold {term.typed}, only the newest were looked at")
        return len(places), whole

    def _without(self, search: Search, candidates: list[Candidate]) -> list[Candidate]:
        """Those that hold none of what is not wanted."""
        if not search.terms.without or not candidates:
            return candidates
        del candidates[_MAX_THREADS:]
        store, threads = search.store, replace(search.threads, ids=[one.thread_id for one in candidates])
        unwanted: set[str] = set()
        words = tuple(term.forms[:1] for term in search.terms.without if term.forms)
        if words:
            found = store.find_words(WordQuery(words, threads, search.tools, search.thread_id))
            unwanted |= {hit.thread_id for hit in found.hits}
        for term in search.terms.without:
            if term.forms:
                continue
            places = store.places(
                TextQuery(term.literals, threads, search.tools, search.thread_id, limit=_MAX_PLACES_OF_LITERAL)
            )
            for place, texts in self._texts.at(search, places):
                search.begin_text()
                with suppress(OutOfTime):
                    if any(next(term.matches(text, search.check), None) for _, _, text in texts):
                        unwanted.add(place.thread.id)
        return [one for one in candidates if one.thread_id not in unwanted]
