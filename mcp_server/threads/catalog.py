"""Where threads are looked up and recorded: in the index, or, with no state DB, in the files."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from mcp_server.codex.file_rank import is_canonical, rank_of
from mcp_server.codex.files import RolloutFile
from mcp_server.codex.paths import id_in, is_archived, parse_id
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
from mcp_server.models.records import Change, SpawnEdge, Unreadable, chain_of
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore, ThreadIndex
from mcp_server.storage.rules import parts_of
from mcp_server.sync.codex_facts import CodexFacts
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.lookup import Source, find, find_many, find_paths, find_rollout, verified
from mcp_server.sync.reconciler import sync, sync_paths
from mcp_server.sync.upsert import NameSource
from mcp_server.threads.history import HistoryText, history_text
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.turn_index import History, open_history

_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{7,}")
_CANDIDATES = 10
_MOVES = 3
_NAME_CHARS = 5_000
# Changes that wait for a state DB which fails. Beyond it the oldest goes: a sync restores its row, its event is lost.
_MAX_WAITING = 1_000

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Catalog:
    """All that is known of stored threads.

    `state` is the one handle, or None: then each look-up brings `memory` in step with the files first. What the log and
    the journal of such a server hold ends with it.
    """

    def __init__(
        self,
        rollouts: RolloutStore,
        state: StateStore | None,
        *,
        memory: StateStore,
        loaded: LoadedThreads,
        wake: Callable[[], None] = lambda: None,
        more_names: NameSource | None = None,
        facts: CodexFacts | None = None,
        fresh: Freshness | None = None,
    ) -> None:
        self.rollouts = rollouts
        self.state = state
        self.building: StateStore | None = None
        """The state DB while its index is being built: only what is known to be whole may be read from it."""
        self.ahead: StateStore | None = None
        """The newest threads alone, until the state DB has as many."""
        self.loaded = loaded
        self._wake = wake
        self._memory = memory
        self._more_names = more_names
        self._facts = facts
        self._freshness = fresh
        self._waiting: deque[Change] = deque()
        self._recording = threading.Lock()
        self._handed_on = 0
        self._rows_lost = False

    @property
    def log(self) -> StateStore:
        """The store that holds events, journal and receipts of this server."""
        state = self.state
        return state if state is not None else self._memory

    @property
    def early(self) -> StateStore:
        """What is in memory of the times without a state DB."""
        return self._memory

    def attach(self, state: StateStore) -> None:
        """Go over to the state DB once it is open; what happened until then goes into its log and its rows."""
        if rows := self._loaded_rows():
            _commit(state, Change(threads=rows))
        # Until nothing has happened meanwhile, and the rows of what has are right before anyone sees them. Its events
        # are told already.
        while True:
            with self._recording:  # what is recorded now goes into the one or the other
                if not (early := self._early()):
                    self.state, self.building, self.ahead = state, None, None
                    break
            _commit(state, Change(threads=self._loaded_rows(), events=tuple(early)))
            self._handed_on = early[-1].seq
            for thread_id in {event.thread_id for event in early} - self.loaded.written_here():
                with suppress(StoreFailure):
                    names = self._more_names
                    find(
                        self.rollouts,
                        state,
                        thread_id,
                        written_here=self.loaded.written_here,
                        more_names=names,
                        quiet=True,
                    )
        self._wake()

    def _early(self) -> list[ThreadEvent]:
        """What has happened without the state DB and is not handed on yet; of a store in memory, so nothing waits."""
        return self._memory.events_after(self._handed_on, limit=100_000)

    def detach(self) -> None:
        """Go back to the files, until a state DB is attached again."""
        self.state = self.building = None
        self._rows_lost = True
        self._wake()

    def index(self, *, names: bool = False) -> StateStore:
        """The rows, in step with the files as far as a few stamps tell. `names` says that names matter."""
        if (state := self.state) is not None:
            if self._freshness is not None:
                found = self._freshness.look(state, written_here=self.loaded.written_here, names=names)
                if any(report.events for report in found):
                    self._wake()
            return state
        if self._rows_lost:  # a sync leaves the rows of loaded threads to whoever loaded them
            self._rows_lost = False
            self._memory.commit(Change(threads=self._loaded_rows()))
        sync(
            self.rollouts, self._memory, quiet=True, written_here=self.loaded.written_here, more_names=self._more_names
        )
        return self._memory

    def _loaded_rows(self) -> tuple[StoredThread, ...]:
        """The rows that this process keeps itself."""
        return tuple(one.thread for one in self.loaded.all() if one.has_rollout and not one.ephemeral)

    def commit(self, change: Change) -> list[ThreadEvent]:
        """Record what must be on record before the files may change: the plan of a cascade."""
        with self._recording:
            self._catch_up()
        return self.log.commit(change)

    def record(self, change: Change) -> None:
        """Record what has happened to the files: file first, index second, event last. The files hold it already, so a
        failing state DB can't undo it; the change waits, in order, until the DB takes it."""
        with self._recording:
            self._waiting.append(change)
            if len(self._waiting) > _MAX_WAITING:
                logger.error("the state DB takes nothing; the oldest change that waits for it is dropped")
                self._waiting.popleft()
            self._catch_up()

    def _catch_up(self) -> None:
        while self._waiting:
            try:
                _commit(self.log, self._waiting[0])
            except StoreFailure as error:
                logger.warning("%d changes wait for the state DB: %s", len(self._waiting), error)
                return
            self._waiting.popleft()

    def unreadable(self, index: ThreadIndex, *, archived: bool) -> list[Unreadable]:
        """What can't be read among the active or the archived rollouts."""
        return [one for one in index.unreadable() if is_archived(f"{one.path}/") == archived]

    def hidden(self, index: ThreadIndex, *, archived: bool) -> list[Unreadable]:
        """The same without those that a row still tells of, as they once were."""
        found = self.unreadable(index, archived=archived)
        ids = {one.path: id_in(one.path.rpartition("/")[2]) for one in found}
        rows = index.stamps({thread_id for thread_id in ids.values() if thread_id}) if found else {}
        told = {path for path, _ in rows.values()}
        return [one for one in found if one.path not in told]

    def resolve(self, reference: str) -> str:
        """The id that a thread reference stands for: an id, a prefix of 8 or more characters, or an exact name.

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
        index = self.index(names=True)
        found: set[str] = set()
        if _PREFIX.fullmatch(text):
            prefix = text.lower()
            found = {i for i in self.loaded.ids() if i.startswith(prefix)}
            found.update(index.match_prefix(prefix, _CANDIDATES))
        if not found:
            found = {one.thread.id for one in self.loaded.all() if one.thread.name == text}
            found.update(index.match_name(text, _CANDIDATES))
        if len(found) > 1:
            raise AmbiguousReference(reference, sorted(found)[:_CANDIDATES])
        if not found:
            raise ThreadNotFound(reference)
        return found.pop()

    def stored(self, thread_id: str) -> StoredThread | None:
        """The thread as its file tells it now, or None if there is no rollout. Repairs the row on the way."""
        found = find(
            self.rollouts, self.state, thread_id, written_here=self.loaded.written_here, more_names=self._more_names
        )
        return found and (self.with_facts([found]))[0]

    def mend(self, rows: Sequence[StoredThread], files: Mapping[str, RolloutFile]) -> bool:
        """Bring rows in step that the files at their paths don't bear out; false if all do, or if it can't be done.
        Where rows of one page were wrong, others may belong there."""
        written_here = self.loaded.written_here()
        paths = [row.path for row in rows if row.id not in written_here and not verified(row, files)]
        if not paths or (state := self.state) is None:
            return False
        try:
            found = sync_paths(
                self.rollouts, state, paths, written_here=self.loaded.written_here, more_names=self._more_names
            )
        except StoreFailure as error:
            logger.warning("rows that the files don't bear out stay as they are: %s", error)
            return False
        if found.events:
            self._wake()
        return True

    def with_facts(self, threads: Sequence[StoredThread]) -> list[StoredThread]:
        """The threads, with what Codex's database tells of them beside their files."""
        return list(threads) if self._facts is None else self._facts.added_to(threads)

    def in_section(self, section: str) -> list[str]:
        """The ids of the threads in one of Codex's sections, by its id or name."""
        return [] if self._facts is None else self._facts.in_section(section)

    def check_own(self, stored: StoredThread) -> None:
        """Keep writers from a copy that is read while the thread's own file can't be.

        Raises:
            DamagedRollout: another file would be the thread if it could be read.
        """
        if is_canonical(stored.path, stored.id):
            return
        for file in (self.rollouts.locate(stored.id))[:1]:
            if rank_of(file.path, stored.id) < rank_of(stored.path, stored.id):
                raise DamagedRollout(
                    file.path,
                    f"can't be used now; `{stored.path}`, which is shown in its place, is a copy, and copies are not "
                    "written to: mend the file or move it away, or fork the thread",
                )

    def paths(self, thread_ids: Sequence[str]) -> dict[str, str | DamagedRollout | None]:
        """Where the rollouts of these threads lie, each looked up as `stored` does."""
        written_here, more_names = self.loaded.written_here, self._more_names
        return find_paths(self.rollouts, self.state, thread_ids, written_here=written_here, more_names=more_names)

    def known(self, thread_id: str) -> StoredThread:
        """The thread as loaded here, else as stored.

        Raises:
            ThreadNotFound: neither.
        """
        if (loaded := self.loaded.get(thread_id)) is not None:
            return loaded.thread
        if (stored := self.stored(thread_id)) is not None:
            return stored
        raise ThreadNotFound(thread_id)

    def named_by_codex(self, thread: StoredThread) -> StoredThread:
        """The thread by the name that Codex's row gives it, which is what the next look will show."""
        names = self._more_names([thread.id]) if self._more_names else dict[str, str]()
        return replace(thread, name=names.get(thread.id, thread.name))

    def known_many(
        self, thread_ids: Collection[str]
    ) -> tuple[dict[str, StoredThread | DamagedRollout | None], dict[str, IndexCheckpoint]]:
        """`known` for each of these threads, what it raises, or None, in its place; and how far they are indexed."""
        in_memory = {thread_id: loaded.thread for thread_id in thread_ids if (loaded := self.loaded.get(thread_id))}
        others = [thread_id for thread_id in thread_ids if thread_id not in in_memory]
        written_here, more_names = self.loaded.written_here, self._more_names
        stored, marks = find_many(self.rollouts, self.state, others, written_here=written_here, more_names=more_names)
        if unmarked := in_memory if self.state is not None else thread_ids:
            marks |= self.log.marks(unmarked)
        return stored | in_memory, marks

    def following(self, thread_id: str, work: Callable[[], T]) -> T:
        """Work that reads a thread's rollout; done again where the rollout was moved meanwhile."""
        for _ in range(_MOVES):
            try:
                return work()
            except DamagedRollout as error:
                self.loaded.wait_until_free(thread_id)
                if (self.known(thread_id)).path == error.path:
                    raise
        return work()

    def text(self, stored: StoredThread) -> HistoryText:
        """The bytes of the thread's history."""
        loaded = self.loaded.get(stored.id)
        return history_text(loaded.rollouts if loaded else self.rollouts, stored, self.source)

    def source(self, rollout_id: str) -> Source | None:
        """The rollout with this id, from which others borrow."""
        return find_rollout(self.rollouts, self.state, rollout_id)

    def history(self, stored: StoredThread, store: StateStore | None = None, last: int = 0) -> History:
        """The thread's turns and items, its index (in `store`, else in the log) brought up to date first. An index that
        can't be kept is made for this reading alone; an ephemeral thread's is in memory like the thread. `last` is how
        many of the last turns are fetched on the same way.

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
            logger.warning("the history of %s is read without an index: %s", stored.id, error)
            return open_history(self._memory, text, active, last)

    def parents(self, thread_id: str) -> list[str]:
        """The ancestors of a thread, nearest first, each once (edges may form a cycle)."""
        index = self.index()
        above = self._with_fresh_above(index, thread_id, index.edges_above(thread_id))
        return [edge.parent_id for edge in above]

    def edges_around(self, thread_id: str) -> tuple[list[SpawnEdge], list[SpawnEdge]]:
        """The edges that lead to a thread, from its parent's on upwards, and those of the tree below it; of the latter
        there may be more. A thread that lives in memory only has none on record, and is open."""
        index, fresh = self.index(), self._fresh()
        with index.snapshot():
            above, below = index.edges_above(thread_id), index.edges_below({thread_id, *fresh})
            return self._with_fresh_above(index, thread_id, above), _with_fresh(below, fresh)

    def _with_fresh_above(self, index: ThreadIndex, thread_id: str, recorded: Sequence[SpawnEdge]) -> list[SpawnEdge]:
        """The recorded edges above a thread, and those above the threads in memory that they lead to."""
        edges = {edge.child_id: edge for edge in recorded}
        end = recorded[-1].parent_id if recorded else thread_id
        while end not in edges and (loaded := self.loaded.get(end)) and (parent := loaded.thread.parent_thread_id):
            edges[end] = SpawnEdge(parent, end)
            recorded = index.edges_above(parent)
            edges |= {edge.child_id: edge for edge in recorded}
            end = recorded[-1].parent_id if recorded else parent
        return chain_of(edges, thread_id)

    def edges_below(self, thread_id: str) -> list[SpawnEdge]:
        """The edges below a thread, with those to threads that live in memory only; there may be more."""
        fresh = self._fresh()
        return _with_fresh(self.index().edges_below({thread_id, *fresh}), fresh)

    def _fresh(self) -> dict[str, str | None]:
        """The threads that live in memory only, each with its parent."""
        return {
            loaded.thread.id: loaded.thread.parent_thread_id for loaded in self.loaded.all() if not loaded.has_rollout
        }


def _commit(state: StateStore, change: Change) -> None:
    """Record a change; in parts if something in it has no room in the store, so that nothing else waits for that."""
    try:
        state.commit(change)
    except NotStorable as error:
        parts = parts_of(change)
        for part in parts if len(parts) > 1 else ():
            _commit(state, part)
        if len(parts) == 1:
            told = {*(row.id for row in (*change.threads, *change.observed)), *(e.thread_id for e in change.events)}
            logger.error("a change of %s is not on record: %s", ", ".join(sorted(told)) or "several threads", error)


def _with_fresh(edges: list[SpawnEdge], fresh: Mapping[str, str | None]) -> list[SpawnEdge]:
    recorded = {edge.child_id for edge in edges}
    return [*edges, *(SpawnEdge(parent, child) for child, parent in fresh.items() if parent and child not in recorded)]


def checked_name(name: str) -> str:
    """A thread's name, trimmed.

    Raises:
        InvalidArgument: blank, not valid Unicode, or longer than Codex was seen to take.
    """
    trimmed = checked_text("name", name).strip()
    if len(trimmed) > _NAME_CHARS:
        raise InvalidArgument("name", name, f"it has {len(trimmed)} characters", f"use at most {_NAME_CHARS}")
    return trimmed


def checked_text(name: str, text: str, *, blank: bool = False) -> str:
    """Text that can be written as JSON in UTF-8.

    Raises:
        InvalidArgument: a lone surrogate, or blank where it may not be.
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
