"""The index of histories in memory."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from mcp_server.models.case import folded
from mcp_server.models.history import IndexCheckpoint, IndexProgress, IndexUpdate, TextChunk, TurnSpan
from mcp_server.models.thread import StoredThread
from mcp_server.models.words import words_of
from mcp_server.storage.contracts import TurnIndex
from mcp_server.storage.query import (
    TextPlace,
    TextQuery,
    ThreadQuery,
    WordForms,
    WordHit,
    WordHits,
    WordQuery,
    fits,
)
from mcp_server.storage.serialised import serialised, whole


@serialised
class MemoryHistory(TurnIndex):
    """Its methods run one at a time, so each is atomic."""

    def __init__(self) -> None:
        self._threads: dict[str, StoredThread] = {}
        self._checkpoints: dict[str, IndexCheckpoint] = {}
        self._spans: dict[str, list[TurnSpan]] = {}
        self._texts: dict[int, tuple[str, TextChunk]] = {}
        self._words: dict[int, frozenset[str]] = {}
        self._next_text = 0

    @contextmanager
    def snapshot(self) -> Generator[None]:
        with whole(self):
            yield

    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        return {thread_id: self._checkpoints[thread_id] for thread_id in thread_ids if thread_id in self._checkpoints}

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        return self._spans.get(thread_id, [])[max(0, first) : max(0, end)]

    def all_spans(self, thread_ids: Collection[str]) -> dict[str, list[TurnSpan]]:
        return {thread_id: list(self._spans[thread_id]) for thread_id in thread_ids if self._spans.get(thread_id)}

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        all_ = self._spans.get(thread_id, [])
        return [span for span in all_ if span.size and span.items < end and span.items + span.size > first]

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        return next((span for span in self._spans.get(thread_id, ()) if span.turn_id == turn_id), None)

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        return [self._take(update) for update in updates]

    def _take(self, update: IndexUpdate) -> bool:
        thread_id = update.checkpoint.thread_id
        before = self._checkpoints.get(thread_id)
        if update.after is not None and (before is None or before.end != update.after):
            return False
        self._checkpoints[thread_id] = update.checkpoint
        self._spans[thread_id] = [*self._spans.get(thread_id, [])[: update.keep], *update.spans]
        if update.after is None:
            self._forget_texts(thread_id)
        for piece in update.texts:
            self._next_text += 1
            self._texts[self._next_text] = (thread_id, replace(piece, text=""))
            self._words[self._next_text] = frozenset(words_of(piece.text))
        self._take_over(thread_id)
        return True

    def _take_over(self, thread_id: str) -> None:
        """Let the row tell what the index knows of its turns, if both are of the same file."""
        row, mark = self._threads.get(thread_id), self._checkpoints.get(thread_id)
        if row is not None and mark is not None and mark.version == row.stamp:
            self._threads[thread_id] = replace(row, last_turn=mark.last_turn, turn_count=mark.turns)

    def places(self, query: TextQuery) -> list[TextPlace]:
        """Every text is a candidate, since nothing is indexed here."""
        if query.numbers is not None:
            known = [(n, *self._texts[n]) for n in query.numbers if n in self._texts]
            return [self._place(n, self._threads[of], piece) for n, of, piece in known if of in self._threads]
        found: list[TextPlace] = []
        allowed = self._allowed(query.threads)
        for number, (thread_id, piece) in reversed(self._texts.items()):
            thread = self._threads.get(thread_id)
            if (
                thread is not None
                and (query.thread_id in (None, thread_id))
                and (query.before is None or number < query.before)
                and (query.tools or not piece.tools)
                and thread_id in allowed
            ):
                found.append(self._place(number, thread, piece))
                if len(found) == query.limit:
                    break
        return found

    def _place(self, number: int, thread: StoredThread, piece: TextChunk) -> TextPlace:
        span = next((one for one in self._spans[thread.id] if one.begin.start == piece.turn), None)
        return TextPlace(number, thread, span, piece.start, piece.end)

    def find_words(self, query: WordQuery) -> WordHits:
        """All of them."""
        texts = {n: words for n, words in self._words.items() if query.tools or not self._texts[n][1].tools}
        allowed = self._allowed(query.threads) if query.thread_id is None else {query.thread_id}
        hits = [
            WordHit(None, thread.id, _forms(query.words, frozenset(words_of(thread.name))))
            for thread in self._threads.values()
            if thread.name is not None and thread.id in allowed
        ]
        hits += [
            WordHit(None, thread.id, _forms(query.words, frozenset(words_of(thread.preview))), first=True)
            for thread in self._threads.values()
            if thread.id in allowed
        ]
        for number, words in texts.items():
            thread_id = self._texts[number][0]
            if thread_id in allowed and thread_id in self._threads:
                hits.append(WordHit(number, thread_id, _forms(query.words, words)))
        found = tuple(
            hit for hit in hits if any(form is not None for form in hit.forms) and (hit.in_name or not query.names_only)
        )
        held = [sum(_forms([forms], words) != (None,) for words in texts.values()) for forms in query.words]
        return WordHits(found, tuple(n / max(1, len(texts)) for n in held))

    def words_like(self, word: str) -> list[str]:
        named = (words_of(thread.name) for thread in self._threads.values() if thread.name)
        words = set[str]().union(*named, *self._words.values())
        return sorted(one for one in words if one.startswith(word[:2]))

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        wanted = [folded(literal) for literal in literals]
        allowed = self._allowed(threads)
        found = [
            thread
            for thread in self._threads.values()
            if thread.name is not None
            and all(literal in folded(thread.name) for literal in wanted)
            and thread.id in allowed
        ]
        return sorted(found, key=lambda thread: (thread.updated_at_ms, thread.id), reverse=True)[:limit]

    def _allowed(self, query: ThreadQuery) -> set[str]:
        """The threads that the filters of a query let through."""
        return {thread.id for thread in self._threads.values() if fits(thread, thread.updated_at_ms, query)}

    def unread(self, limit: int) -> list[str]:
        return [thread.id for thread in self._unread()[:limit]]

    def progress(self) -> IndexProgress:
        return IndexProgress(len(self._checkpoints), len(self._unread()))

    def _keep(self, before: StoredThread, after: StoredThread) -> None:
        """Keep the index of a history whose file has got another mtime and is otherwise unchanged."""
        checkpoint = self._checkpoints.get(before.id)
        if checkpoint is not None and checkpoint.version == before.stamp:
            self._checkpoints[before.id] = replace(checkpoint, version=after.stamp)

    def _unread(self) -> list[StoredThread]:
        done = self._checkpoints
        left = [t for t in self._threads.values() if t.id not in done or done[t.id].version != t.stamp]
        return sorted(left, key=lambda thread: (thread.updated_at_ms, thread.id), reverse=True)

    def _forget(self, thread_id: str) -> None:
        self._checkpoints.pop(thread_id, None)
        self._spans.pop(thread_id, None)
        self._forget_texts(thread_id)

    def _forget_texts(self, thread_id: str) -> None:
        for number in [number for number, (of, _) in self._texts.items() if of == thread_id]:
            del self._texts[number], self._words[number]

    def _forget_all(self) -> None:
        self._checkpoints, self._spans, self._texts, self._words = {}, {}, {}, {}


def _forms(asked: Sequence[WordForms], words: frozenset[str]) -> tuple[int | None, ...]:
    """For each word that is asked for the best form that is among some words."""

    def holds(form: str) -> bool:
        return any(word.startswith(form[:-1]) for word in words) if form.endswith("*") else form in words

    return tuple(next((n for n, form in enumerate(forms) if holds(form)), None) for forms in asked)
