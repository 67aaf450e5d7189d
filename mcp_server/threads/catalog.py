"""The catalog: what threads there are, loaded or stored, and the record of what happens to them."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from typing import TypeVar

from msgspec.structs import replace

from mcp_server.codex.paths import parse_id
from mcp_server.errors import (
    AmbiguousReference,
    DamagedRollout,
    InvalidArgument,
    InvalidThreadId,
    NotStorable,
    StoreFailure,
    ThreadNotFound,
)
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.params import ThreadFilter
from mcp_server.models.records import Change, Receipt, SpawnEdge, chain_of
from mcp_server.models.thread import StoredThread
from mcp_server.models.words import is_word, plain_text, words_of
from mcp_server.storage.contracts import Rollouts, State, ThreadIndex, UnitOfWork
from mcp_server.storage.lookup import Lookup, PartialIndex
from mcp_server.storage.query import ThreadQuery, WordQuery
from mcp_server.storage.rules import parts_of
from mcp_server.storage.tags import Tags
from mcp_server.threads.history import HistoryText, history_text
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.turn_index import History, open_history
from mcp_server.threads.unit_of_work import RolloutFirst

_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{7,}")
_CANDIDATES = 10
_SUGGESTED, _NAME_WORDS, _LIKE = 3, 8, 0.6
_ANY_THREAD = ThreadQuery(archived=None, with_preview=None, attached=None)
_MAX_MOVES = 5
_NAME_CHARS = 5_000
_TAG_CHARS, _MOST_TAGS = 60, 30
# Bounds the changes kept while the state DB fails. A sync restores the row of a dropped change; its event is lost.
_MAX_UNCOMMITTED = 1_000
_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Catalog:
    """The threads of a home, loaded and stored, and the record of what happens to them.

    `lookup` finds the stored ones. `memory` holds the turns of ephemeral threads, and the events, journal and receipts
    of a time without a state DB, which last as long as the process.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        lookup: Lookup,
        *,
        memory: State,
        loaded: LoadedThreads,
        tags: Tags,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.rollouts = rollouts
        self.lookup = lookup
        self.loaded = loaded
        self.tags = tags
        self._wake = wake
        self._first_lookup, self._memory = lookup, memory
        self._uncommitted: deque[Change] = deque()
        self._recording = threading.Lock()
        self._copied_seq = 0
        self._retry_at = 0.0

    @property
    def log(self) -> State:
        """The store that takes new events, operations and receipts."""
        return self.lookup.store

    @property
    def memory_log(self) -> State:
        """The log of the times without a state DB."""
        return self._memory

    def attach(self, lookup: Lookup) -> None:
        """Switch to the look-up in a state DB. First copies into that what was recorded in memory until now."""
        state = lookup.store
        if rows := self._loaded_rows():
            _commit(state, Change(threads=rows))
        # Repeats until no event was recorded during the last copy. The rows of changed threads are repaired before
        # anyone sees them, quietly, since their events are copied.
        while True:
            with self._recording:  # a change goes into one store or the other, never between
                if not (events := self._events_not_copied()):
                    self.lookup = lookup
                    break
            _commit(state, Change(threads=self._loaded_rows(), events=tuple(events)))
            self._copied_seq = events[-1].seq
            lookup.repair({event.thread_id for event in events})
        self._wake()

    def _events_not_copied(self) -> list[ThreadEvent]:
        """The events recorded in memory that are not in the state DB yet."""
        return self._memory.events_after(self._copied_seq, limit=100_000)

    def detach(self) -> None:
        """Switch to the first look-up, which needs no state DB, until one is attached again."""
        self.lookup = self._first_lookup
        self._memory.commit(Change(threads=self._loaded_rows()))  # a sync skips the rows of loaded threads
        self._wake()

    def _loaded_rows(self) -> tuple[StoredThread, ...]:
        """The rows of loaded threads, which this process keeps itself."""
        return tuple(one.thread for one in self.loaded.all() if one.has_rollout and not one.ephemeral)

    def commit(self, change: Change) -> list[ThreadEvent]:
        """Record what must be durable before files change: the plan of a cascade.

        Raises:
            StoreFailure: it could not be recorded, so the files must not be changed.
        """
        with self._recording:
            self._commit_waiting()
        return self.log.commit(change)

    def record(self, change: Change) -> None:
        """Record what has already happened to the files. If the state DB fails, the change is kept and committed later,
        in order."""
        with self._recording:
            self._uncommitted.append(change)
            if len(self._uncommitted) > _MAX_UNCOMMITTED:
                logger.error(
                    "The state DB keeps failing: dropped the oldest of %d uncommitted changes", _MAX_UNCOMMITTED
                )
                self._uncommitted.popleft()
            self._commit_waiting()

    @contextmanager
    def unit_of_work(self, rollouts: Rollouts | None = None) -> Generator[UnitOfWork]:
        """Within, what a verb does is collected; at the end it is recorded as by `record`."""
        work = RolloutFirst(rollouts or self.rollouts)
        yield work
        if work.change != Change():
            self.record(work.change)

    def flush(self) -> None:
        """Try again to commit the changes that are kept, at most once in `_RETRY_SECONDS`: each try may take as long as
        the state DB is busy."""
        with self._recording:
            if self._uncommitted and time.monotonic() >= self._retry_at:
                self._commit_waiting()

    def waiting_receipts(self) -> list[Receipt]:
        """The receipts that could not be committed yet, in order."""
        self.flush()
        return [receipt for change in tuple(self._uncommitted) for receipt in change.receipts]

    def _commit_waiting(self) -> None:
        while self._uncommitted:
            try:
                _commit(self.log, self._uncommitted[0])
            except StoreFailure as error:
                logger.warning("The state DB fails: %d changes are kept for later: %s", len(self._uncommitted), error)
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                return
            self._uncommitted.popleft()

    def early(self, where: ThreadFilter) -> Iterator[PartialIndex]:
        """The parts of an unfinished index that may answer for threads that pass this filter, the larger one first.

        What asks for a tree or for named threads waits for the whole index, since any rollout may belong to them; and
        so does everything after this server has changed something, which must be found.
        """
        if not where.names_threads:
            for part in self.lookup.parts():
                if self.log.last_seq():
                    return
                yield part

    def resolve(self, reference: str) -> str:
        """The id that a thread reference stands for: an id, a prefix of 8 or more characters, or a name; its case and
        accents count only where several threads have the name.

        Raises:
            InvalidThreadId: blank.
            AmbiguousReference: several threads fit.
            ThreadNotFound: none does. A full id is returned as it is; whether it exists is for the verb to see.
        """
        text = reference.strip()
        if not text:
            raise InvalidThreadId(reference, "is blank")
        if (full := parse_id(text)) is not None:
            return full
        if "\0" in text:
            raise InvalidThreadId(reference, "contains a null byte")
        index = self.lookup.index(names=True)
        found: set[str] = set()
        if _PREFIX.fullmatch(text):
            prefix = text.lower()
            found = {i for i in self.loaded.ids() if i.startswith(prefix)}
            found.update(index.matching(prefix=prefix, limit=_CANDIDATES))
        if not found:
            found = {one.thread.id for one in self.loaded.all() if one.thread.name == text}
            found.update(index.matching(name=text, limit=_CANDIDATES))
        alike = dict[str, str]() if found else self._names_alike(index, text)
        if not found:
            found = {thread_id for thread_id, name in alike.items() if plain_text(name) == plain_text(text)}
        if len(found) > 1:
            raise AmbiguousReference(reference, sorted(found)[:_CANDIDATES])
        if not found:
            raise ThreadNotFound(reference, list(dict.fromkeys(alike.values()))[:_SUGGESTED])
        return found.pop()

    def _names_alike(self, index: State, name: str) -> dict[str, str]:
        """The names of threads that share words with a name, or are written much like it, the likeliest first."""
        asked = [word for word in words_of(name) if is_word(word)][:_NAME_WORDS]
        forms = tuple((word, *get_close_matches(word, index.words_like(word), n=3, cutoff=0.8)) for word in asked)
        hits = index.find_words(WordQuery(forms, _ANY_THREAD, names_only=True)).hits if forms else ()
        held = {hit.thread_id: sum(form is not None for form in hit.forms) for hit in hits}
        names = {row.id: row.name for row in index.get_many(held).values() if row.name is not None}
        names |= {one.thread.id: one.thread.name for one in self.loaded.all() if one.thread.name is not None}
        plain = plain_text(name)
        likeness = {of: SequenceMatcher(None, plain, plain_text(known)).ratio() for of, known in names.items()}
        best = sorted(names, key=lambda of: likeness[of], reverse=True)
        return {of: names[of] for of in best if held.get(of) or likeness[of] >= _LIKE}

    def with_facts(self, threads: Sequence[StoredThread]) -> list[StoredThread]:
        """The threads, with the facts that only Codex's database holds, and with their tags."""
        return self.with_tags(self.lookup.with_facts(threads))

    def with_tags(self, threads: Sequence[StoredThread]) -> list[StoredThread]:
        """The threads, with the tags that they have now."""
        tags = self.tags.of([thread.id for thread in threads])
        return [
            thread if thread.tags == tags.get(thread.id, ()) else replace(thread, tags=tags.get(thread.id, ()))
            for thread in threads
        ]

    def known(self, thread_id: str) -> StoredThread:
        """The thread as loaded here, else as stored.

        Raises:
            ThreadNotFound: it is neither loaded nor stored.
        """
        if (loaded := self.loaded.get(thread_id)) is not None:
            return loaded.thread
        if (stored := self.lookup.find(thread_id)) is not None:
            return self.with_tags([stored])[0]
        raise ThreadNotFound(thread_id)

    def known_many(
        self, thread_ids: Collection[str]
    ) -> tuple[dict[str, StoredThread | DamagedRollout | None], dict[str, IndexCheckpoint]]:
        """Each of these threads as by `known`, with the error or None in place of what can't be had; and the index
        checkpoints of their histories."""
        in_memory = {thread_id: loaded.thread for thread_id in thread_ids if (loaded := self.loaded.get(thread_id))}
        others = [thread_id for thread_id in thread_ids if thread_id not in in_memory]
        stored, marks = self.lookup.find_many(others)
        if in_memory:
            marks |= self.log.checkpoints(in_memory)
        return stored | in_memory, marks

    def retry_if_moved(self, thread_id: str, work: Callable[[], T]) -> T:
        """Run work that reads a thread's rollout. Runs it again if the rollout was moved meanwhile."""
        for _ in range(_MAX_MOVES):
            try:
                return work()
            except DamagedRollout as error:
                self.loaded.wait_until_free(thread_id)
                # A rollout that is gone may have come back to the same path by now, as by an archive and its undo.
                if self.known(thread_id).path == error.path and not error.is_gone:
                    raise
        return work()

    def text(self, stored: StoredThread) -> HistoryText:
        """The bytes of the thread's history."""
        loaded = self.loaded.get(stored.id)
        return history_text(loaded.rollouts if loaded else self.rollouts, stored, self.lookup.source)

    def history(self, stored: StoredThread, store: State | None = None, last: int = 0) -> History:
        """The thread's turns and items. Updates their index in `store` (by default the log) first; if that fails, or
        the thread is ephemeral, in memory. `last`: how many of the last turns to load at once.

        Raises:
            DamagedRollout: the rollout is gone or can't be read.
        """
        loaded = self.loaded.get(stored.id)
        text = self.text(stored)
        turn = loaded.turn if loaded else None
        active = turn.id if turn else None
        if loaded is not None and loaded.ephemeral:
            return open_history(self._memory, text, active, last)
        try:
            return open_history(store or self.log, text, active, last)
        except DamagedRollout:
            raise
        except StoreFailure as error:
            logger.warning("Could not update the index of thread %s; indexed it in memory: %s", stored.id, error)
            return open_history(self._memory, text, active, last)

    def parents(self, thread_id: str) -> list[str]:
        """The ids of a thread's ancestors, nearest first, each once (edges may form a cycle)."""
        index = self.lookup.index()
        above = self._with_unwritten_above(index, thread_id, index.edges_above(thread_id))
        return [edge.parent_id for edge in above]

    def edges_around(self, thread_id: str) -> tuple[list[SpawnEdge], list[SpawnEdge]]:
        """The edges from a thread up to its root, and those of the tree below it. The latter may include edges of other
        trees. Threads without a rollout have no edges in the index; theirs are added."""
        index, unwritten = self.lookup.index(), self._unwritten()
        with index.snapshot():
            above, below = index.edges_above(thread_id), index.edges_below({thread_id, *unwritten})
            return self._with_unwritten_above(index, thread_id, above), _with_unwritten(below, unwritten)

    def _with_unwritten_above(
        self, index: ThreadIndex, thread_id: str, recorded: Sequence[SpawnEdge]
    ) -> list[SpawnEdge]:
        """The recorded edges above a thread, continued through loaded threads that have none recorded."""
        edges = {edge.child_id: edge for edge in recorded}
        end = recorded[-1].parent_id if recorded else thread_id
        while end not in edges and (loaded := self.loaded.get(end)) and (parent := loaded.thread.parent_thread_id):
            edges[end] = SpawnEdge(parent, end)
            recorded = index.edges_above(parent)
            edges |= {edge.child_id: edge for edge in recorded}
            end = recorded[-1].parent_id if recorded else parent
        return chain_of(edges, thread_id)

    def edges_below(self, thread_id: str) -> list[SpawnEdge]:
        """The edges below a thread, with those to threads without a rollout. May include edges of other trees."""
        unwritten = self._unwritten()
        return _with_unwritten(self.lookup.index().edges_below({thread_id, *unwritten}), unwritten)

    def _unwritten(self) -> dict[str, str | None]:
        """The loaded threads that have no rollout yet, each with its parent."""
        return {
            loaded.thread.id: loaded.thread.parent_thread_id for loaded in self.loaded.all() if not loaded.has_rollout
        }


def _commit(state: State, change: Change) -> None:
    """Commit a change. If the store can't hold a part of it, commit the other parts."""
    try:
        state.commit(change)
    except NotStorable as error:
        parts = parts_of(change)
        for part in parts if len(parts) > 1 else ():
            _commit(state, part)
        if len(parts) == 1:
            ids = {*(row.id for row in (*change.threads, *change.observed)), *(e.thread_id for e in change.events)}
            logger.error("Could not record a change of %s: %s", ", ".join(sorted(ids)) or "several threads", error)


def _with_unwritten(edges: list[SpawnEdge], unwritten: Mapping[str, str | None]) -> list[SpawnEdge]:
    recorded = {edge.child_id for edge in edges}
    return [
        *edges,
        *(SpawnEdge(parent, child) for child, parent in unwritten.items() if parent and child not in recorded),
    ]


def checked_name(name: str) -> str:
    """A thread's name, trimmed.

    Raises:
        InvalidArgument: blank, not valid Unicode, or longer than the longest name that Codex was seen to accept.
    """
    trimmed = checked_text("name", name).strip()
    if len(trimmed) > _NAME_CHARS:
        raise InvalidArgument("name", name, f"it has {len(trimmed)} characters", f"use at most {_NAME_CHARS}")
    return trimmed


def checked_tags(tags: Sequence[str]) -> list[str]:
    """Tags, trimmed, each once whatever its case.

    Raises:
        InvalidArgument: one is blank, too long or of several lines, or there are too many.
    """
    found: dict[str, str] = {}
    for given in tags:
        tag = checked_text("tags", given).strip()
        if len(tag) > _TAG_CHARS or not tag.isprintable():
            raise InvalidArgument(
                "tags", tag[:40], f"a tag has at most {_TAG_CHARS} printable characters", "pass shorter words"
            )
        found.setdefault(tag.casefold(), tag)
    if len(found) > _MOST_TAGS:
        raise InvalidArgument("tags", f"{len(found)} tags", f"a thread has at most {_MOST_TAGS}", "pass fewer")
    return list(found.values())


def checked_text(name: str, text: str, *, blank: bool = False) -> str:
    """The text, if it can be written as UTF-8.

    Raises:
        InvalidArgument: it holds a lone surrogate, or is blank and may not be.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            name, text[:40], f"it holds a lone surrogate at character {error.start}", "send valid Unicode text"
        ) from error
    if not blank and not text.strip():
        raise InvalidArgument(name, text[:40], "it is blank", "send some text")
    return text
