"""The catalog: looks threads up and records changes, in the state DB or, without one, in memory beside the files."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from msgspec.structs import replace

from mcp_server.codex.file_rank import is_canonical, rank_of
from mcp_server.codex.files import RolloutRef
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
from mcp_server.models.records import Change, Receipt, SpawnEdge, Unreadable, chain_of
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import Rollouts, RolloutStore, StateStore, ThreadIndex, UnitOfWork
from mcp_server.storage.rules import parts_of
from mcp_server.sync.codex_facts import CodexFacts
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.lookup import Source, find, find_many, find_rollout, find_rollouts, verified
from mcp_server.sync.reconciler import sync, sync_paths
from mcp_server.sync.upsert import NameSource
from mcp_server.threads.history import HistoryText, history_text
from mcp_server.threads.loaded import LoadedThreads
from mcp_server.threads.turn_index import History, open_history
from mcp_server.threads.unit_of_work import RolloutFirst

_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{7,}")
_CANDIDATES = 10
_MAX_MOVES = 3
_NAME_CHARS = 5_000
# Bounds the changes kept while the state DB fails. A sync restores the row of a dropped change; its event is lost.
_MAX_UNCOMMITTED = 1_000
_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Catalog:
    """Looks up stored and loaded threads, and records what happens to them.

    `state` is the one handle, or None: then each look-up first syncs `memory` with the files, and events, journal and
    receipts last as long as the process.
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
        freshness: Freshness | None = None,
    ) -> None:
        self.rollouts = rollouts
        self.state = state
        self.building: StateStore | None = None
        """The state DB during the backfill: callers may read from it what the backfill has completed."""
        self.newest_only: StateStore | None = None
        """An index of only the newest threads, until the backfill has got that far."""
        self.loaded = loaded
        self._wake = wake
        self._memory = memory
        self._more_names = more_names
        self._facts = facts
        self._freshness = freshness
        self._uncommitted: deque[Change] = deque()
        self._recording = threading.Lock()
        self._copied_seq = 0
        self._retry_at = 0.0
        self._rows_lost = False

    @property
    def log(self) -> StateStore:
        """The store that takes new events, operations and receipts."""
        state = self.state
        return state if state is not None else self._memory

    @property
    def memory_log(self) -> StateStore:
        """The log of the times without a state DB."""
        return self._memory

    def attach(self, state: StateStore) -> None:
        """Switch to the state DB. First copies into it what was recorded in memory until now."""
        if rows := self._loaded_rows():
            _commit(state, Change(threads=rows))
        # Repeats until no event was recorded during the last copy. The rows of changed threads are repaired before
        # anyone sees them, quietly, since their events are copied.
        while True:
            with self._recording:  # a change goes into one store or the other, never between
                if not (events := self._events_not_copied()):
                    self.state, self.building, self.newest_only = state, None, None
                    break
            _commit(state, Change(threads=self._loaded_rows(), events=tuple(events)))
            self._copied_seq = events[-1].seq
            for thread_id in {event.thread_id for event in events} - self.loaded.written_here():
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

    def _events_not_copied(self) -> list[ThreadEvent]:
        """The events recorded in memory that are not in the state DB yet."""
        return self._memory.events_after(self._copied_seq, limit=100_000)

    def detach(self) -> None:
        """Switch to memory and the files, until a state DB is attached again."""
        self.state = self.building = None
        self._rows_lost = True
        self._wake()

    def index(self, *, names: bool = False) -> StateStore:
        """The store of rows, after syncing what cheap checks find changed in the home. `names` says that the caller
        depends on names."""
        if (state := self.state) is not None:
            if self._freshness is not None:
                found = self._freshness.refresh(state, written_here=self.loaded.written_here, names=names)
                if any(report.events for report in found):
                    self._wake()
            return state
        if self._rows_lost:  # a sync skips the rows of loaded threads
            self._rows_lost = False
            self._memory.commit(Change(threads=self._loaded_rows()))
        sync(
            self.rollouts, self._memory, quiet=True, written_here=self.loaded.written_here, more_names=self._more_names
        )
        return self._memory

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

    def unreadable(self, index: StateStore, *, archived: bool) -> list[Unreadable]:
        """The rollouts that can't be read, among the active or among the archived ones."""
        return [one for one in index.unreadable() if is_archived(f"{one.path}/") == archived]

    def hidden(self, index: StateStore, *, archived: bool) -> list[Unreadable]:
        """The unreadable rollouts without a row: no list shows their threads."""
        found = self.unreadable(index, archived=archived)
        ids = {one.path: id_in(one.path.rpartition("/")[2]) for one in found}
        rows = index.known_rollouts({thread_id for thread_id in ids.values() if thread_id}) if found else {}
        listed = {row.path for row in rows.values()}
        return [one for one in found if one.path not in listed]

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
            found.update(index.matching(prefix=prefix, limit=_CANDIDATES))
        if not found:
            found = {one.thread.id for one in self.loaded.all() if one.thread.name == text}
            found.update(index.matching(name=text, limit=_CANDIDATES))
        if len(found) > 1:
            raise AmbiguousReference(reference, sorted(found)[:_CANDIDATES])
        if not found:
            raise ThreadNotFound(reference)
        return found.pop()

    def stored(self, thread_id: str) -> StoredThread | None:
        """The thread as its file describes it now; None if it has no rollout. Repairs its row."""
        found = find(
            self.rollouts, self.state, thread_id, written_here=self.loaded.written_here, more_names=self._more_names
        )
        return found and self.with_facts([found])[0]

    def repair_rows(self, rows: Sequence[StoredThread], files: Mapping[str, RolloutRef]) -> bool:
        """Sync the rows that don't match the files at their paths. True if any was synced: then the page that the rows
        came from must be queried again."""
        written_here = self.loaded.written_here()
        paths = [row.path for row in rows if row.id not in written_here and not verified(row, files)]
        if not paths or (state := self.state) is None:
            return False
        try:
            found = sync_paths(
                self.rollouts, state, paths, written_here=self.loaded.written_here, more_names=self._more_names
            )
        except StoreFailure as error:
            logger.warning("Could not repair rows that don't match their files: %s", error)
            return False
        if found.events:
            self._wake()
        return True

    def with_facts(self, threads: Sequence[StoredThread]) -> list[StoredThread]:
        """The threads, with the facts that only Codex's database holds."""
        return list(threads) if self._facts is None else self._facts.added_to(threads)

    def in_section(self, section: str) -> list[str]:
        """The ids of the threads in one of Codex's sections, by its id or name."""
        return [] if self._facts is None else self._facts.in_section(section)

    def check_is_not_a_copy(self, stored: StoredThread) -> None:
        """Refuse to write to a copy that is shown because the thread's own file can't be read.

        Raises:
            DamagedRollout: the thread's own file exists and can't be read.
        """
        if is_canonical(stored.path, stored.id):
            return
        for file in self.rollouts.locate(stored.id)[:1]:
            if rank_of(file.path, stored.id) < rank_of(stored.path, stored.id):
                raise DamagedRollout(
                    file.path,
                    f"can't be read; the thread is shown from a copy, `{stored.path}`, and copies are read-only: "
                    "repair the file, move it away, or fork the thread",
                )

    def rollouts_of(self, thread_ids: Sequence[str]) -> dict[str, RolloutRef | DamagedRollout | None]:
        """These threads' rollouts, each looked up as by `stored`."""
        written_here, more_names = self.loaded.written_here, self._more_names
        return find_rollouts(self.rollouts, self.state, thread_ids, written_here=written_here, more_names=more_names)

    def known(self, thread_id: str) -> StoredThread:
        """The thread as loaded here, else as stored.

        Raises:
            ThreadNotFound: it is neither loaded nor stored.
        """
        if (loaded := self.loaded.get(thread_id)) is not None:
            return loaded.thread
        if (stored := self.stored(thread_id)) is not None:
            return stored
        raise ThreadNotFound(thread_id)

    def named_by_codex(self, thread: StoredThread) -> StoredThread:
        """The thread with the name in Codex's row, which the next look-up will show."""
        names = self._more_names([thread.id]) if self._more_names else dict[str, str]()
        return replace(thread, name=names.get(thread.id, thread.name))

    def known_many(
        self, thread_ids: Collection[str]
    ) -> tuple[dict[str, StoredThread | DamagedRollout | None], dict[str, IndexCheckpoint]]:
        """Each of these threads as by `known`, with the error or None in place of what can't be had; and the index
        checkpoints of their histories."""
        in_memory = {thread_id: loaded.thread for thread_id in thread_ids if (loaded := self.loaded.get(thread_id))}
        others = [thread_id for thread_id in thread_ids if thread_id not in in_memory]
        written_here, more_names = self.loaded.written_here, self._more_names
        stored, marks = find_many(self.rollouts, self.state, others, written_here=written_here, more_names=more_names)
        if unmarked := in_memory if self.state is not None else thread_ids:
            marks |= self.log.checkpoints(unmarked)
        return stored | in_memory, marks

    def retry_if_moved(self, thread_id: str, work: Callable[[], T]) -> T:
        """Run work that reads a thread's rollout. Runs it again if the rollout was moved meanwhile."""
        for _ in range(_MAX_MOVES):
            try:
                return work()
            except DamagedRollout as error:
                self.loaded.wait_until_free(thread_id)
                if self.known(thread_id).path == error.path:
                    raise
        return work()

    def text(self, stored: StoredThread) -> HistoryText:
        """The bytes of the thread's history."""
        loaded = self.loaded.get(stored.id)
        return history_text(loaded.rollouts if loaded else self.rollouts, stored, self.source)

    def source(self, rollout_id: str) -> Source | None:
        """The rollout with this id, for histories that borrow from it."""
        return find_rollout(self.rollouts, self.state, rollout_id)

    def history(self, stored: StoredThread, store: StateStore | None = None, last: int = 0) -> History:
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
        index = self.index()
        above = self._with_unwritten_above(index, thread_id, index.edges_above(thread_id))
        return [edge.parent_id for edge in above]

    def edges_around(self, thread_id: str) -> tuple[list[SpawnEdge], list[SpawnEdge]]:
        """The edges from a thread up to its root, and those of the tree below it. The latter may include edges of other
        trees. Threads without a rollout have no edges in the index; theirs are added."""
        index, unwritten = self.index(), self._unwritten()
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
        return _with_unwritten(self.index().edges_below({thread_id, *unwritten}), unwritten)

    def _unwritten(self) -> dict[str, str | None]:
        """The loaded threads that have no rollout yet, each with its parent."""
        return {
            loaded.thread.id: loaded.thread.parent_thread_id for loaded in self.loaded.all() if not loaded.has_rollout
        }


def _commit(state: StateStore, change: Change) -> None:
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
