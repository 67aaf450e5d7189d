"""How verbs find threads in a home of files.

With an index, each row that no longer matches its file is repaired (read-repair, CODEX_SEMANTICS 3.7). Without one, the
files themselves are searched.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from msgspec.structs import replace

from mcp_server.codex.file_rank import is_canonical, rank_of
from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.lines import RawLine, decode_first, decode_meta
from mcp_server.codex.paths import id_in, is_archived, rollout_id_of
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.models.history import IndexCheckpoint
from mcp_server.models.records import Unreadable
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.lookup import FoundThreads, Lookup, PartialIndex, Source, ThreadPage, source_of
from mcp_server.storage.query import ThreadQuery, ThreadRows
from mcp_server.sync.codex_facts import CodexFacts
from mcp_server.sync.freshness import Freshness
from mcp_server.sync.reconciler import moved_to, sync, sync_paths
from mcp_server.sync.upsert import NameSource, Upserter

_META_BYTES = 64 << 10

logger = logging.getLogger(__name__)

T = TypeVar("T")


def _nothing() -> None:
    """The default of `wake`."""


@dataclass(frozen=True, slots=True)
class HomeFiles:
    """The files of a home, for one process.

    Fields:
        written_here: returns the threads whose rollouts only this process may write. It keeps their rows itself, so
            every look-up leaves them alone.
        more_names: names from Codex's database, which take precedence over session_index.jsonl.
        facts: what only Codex's rows say about single threads.
        wake: called after a sync has recorded events.
    """

    rollouts: RolloutStore
    written_here: Callable[[], Collection[str]] = frozenset[str]
    more_names: NameSource | None = None
    facts: CodexFacts | None = None
    wake: Callable[[], None] = _nothing


class FilesLookup(Lookup):
    """What look-ups with and without an index have in common. The file always wins over the row."""

    def __init__(self, files: HomeFiles, store: StateStore) -> None:
        self._files, self._rollouts, self._store = files, files.rollouts, store

    @property
    def store(self) -> StateStore:
        return self._store

    @abstractmethod
    def index(self, *, names: bool = False) -> StateStore: ...

    @abstractmethod
    def _find(self, thread_id: str) -> StoredThread | None:
        """`find`, without Codex's facts."""

    def find(self, thread_id: str) -> StoredThread | None:
        found = self._find(thread_id)
        return found and self.with_facts([found])[0]

    def _found(self, thread_id: str) -> StoredThread | DamagedRollout | None:
        try:
            return self._find(thread_id)
        except DamagedRollout as damage:
            return damage

    def _found_rollout(self, thread_id: str) -> RolloutRef | DamagedRollout | None:
        found = self._found(thread_id)
        return rollout_of(found) if isinstance(found, StoredThread) else found

    def source(self, rollout_id: str) -> Source | None:
        if files := self._rollouts.locate_rollout(rollout_id):
            return _source_at(self._rollouts, files[0])
        thread = self._find(rollout_id)  # the file may be named otherwise
        return thread and source_of(thread)

    # ------------------------------------------------------------------------------------------ lists

    def page(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = (), *, names: bool = False) -> ThreadPage:
        self.index(names=names)
        page, unreadable = self._page(query, beside)
        files = self._files_of(page.rows)
        if self._repaired_any(page.rows, files):
            page, unreadable = self._page(query, beside)
            files = self._files_of(page.rows)
        shown, missing = self._verified(page.rows, files)
        return ThreadPage(page, self.with_facts(shown), missing, unreadable)

    def _page(self, query: ThreadQuery, beside: Sequence[ThreadQuery]) -> tuple[ThreadRows, int]:
        """A page with the counts beside it, and the number of unreadable rollouts that no list shows."""
        with self._store.snapshot():
            return self._store.list(query, beside), self._count_hidden(query.archived)

    def _files_of(self, rows: Sequence[StoredThread]) -> dict[str, RolloutRef]:
        return self._rollouts.stat_many([row.path for row in rows])

    def _repaired_any(self, rows: Sequence[StoredThread], files: Mapping[str, RolloutRef]) -> bool:
        """Sync the rows that don't match the files at their paths. True if there were any: then the page must be
        queried again."""
        return False

    def _verified(
        self, rows: Sequence[StoredThread], files: Mapping[str, RolloutRef]
    ) -> tuple[list[StoredThread], int]:
        """The rows that match their files; instead of other rows, the threads as their files describe them now; and how
        many threads are gone. (Codex also removes such rows from lists and database.)"""
        shown: list[StoredThread] = []
        gone = 0
        for row in rows:
            current = row if _matches(row, files) else self._find(row.id)
            if current is None:
                gone += 1
            elif current.archived == row.archived:
                shown.append(current)
        return shown, gone

    def unreadable(self, *, archived: bool) -> list[Unreadable]:
        return self._unreadable(archived)

    def _unreadable(self, archived: bool | None) -> list[Unreadable]:
        return [one for one in self._store.unreadable() if archived in (None, is_archived(f"{one.path}/"))]

    def _count_hidden(self, archived: bool | None) -> int:
        """The number of unreadable rollouts without a row: no list shows their threads."""
        if not (found := self._unreadable(archived)):
            return 0
        ids = {id_in(one.path.rpartition("/")[2]) for one in found}
        rows = self._store.known_rollouts({thread_id for thread_id in ids if thread_id})
        listed = {row.path for row in rows.values()}
        return sum(one.path not in listed for one in found)

    # ------------------------------------------------------------------------------------------ copies and Codex's rows

    def copies(self, thread_ids: Collection[str]) -> list[str]:
        return [copy.path for copy in self.index().copies(thread_ids)]

    def check_is_not_a_copy(self, stored: StoredThread) -> None:
        if is_canonical(stored.path, stored.id):
            return
        for file in self._rollouts.locate(stored.id)[:1]:
            if rank_of(file.path, stored.id) < rank_of(stored.path, stored.id):
                raise DamagedRollout(
                    file.path,
                    f"can't be read; the thread is shown from a copy, `{stored.path}`, and copies are read-only: "
                    "repair the file, move it away, or fork the thread",
                )

    def with_facts(self, threads: Sequence[StoredThread]) -> Sequence[StoredThread]:
        return threads if self._files.facts is None else self._files.facts.added_to(threads)

    def in_section(self, section: str) -> list[str]:
        return [] if self._files.facts is None else self._files.facts.in_section(section)

    def named_by_codex(self, thread: StoredThread) -> StoredThread:
        names = self._files.more_names([thread.id]) if self._files.more_names else dict[str, str]()
        return replace(thread, name=names.get(thread.id, thread.name))


class IndexedFiles(FilesLookup):
    """The look-up by the rows of an index. If a row can't be written, the answer is right all the same."""

    def __init__(self, files: HomeFiles, store: StateStore, freshness: Freshness | None = None) -> None:
        super().__init__(files, store)
        self._freshness = freshness

    def index(self, *, names: bool = False) -> StateStore:
        if self._freshness is not None:
            found = self._freshness.refresh(self._store, written_here=self._files.written_here, names=names)
            if any(report.events for report in found):
                self._files.wake()
        return self._store

    def _find(self, thread_id: str) -> StoredThread | None:
        return self._read_repaired(thread_id)

    def repair(self, thread_ids: Collection[str]) -> None:
        for thread_id in set(thread_ids).difference(self._files.written_here()):
            with suppress(StoreFailure):
                self._read_repaired(thread_id, quiet=True)

    def _read_repaired(self, thread_id: str, *, quiet: bool = False) -> StoredThread | None:
        """The thread, by its row if the file has the stamp in the row; else the file is read again and the row
        repaired, without events if `quiet`. If the file is gone or has another id, a search for the thread's file
        replaces the row's path, or removes the row. If the file can't be read and there is no other, the row is
        returned (CODEX_SEMANTICS 3.7)."""
        rollouts, state = self._rollouts, self._store
        upserter = self._upserter(quiet=quiet)
        row = state.get(thread_id)
        if row is None and state.deleted([thread_id]):  # what is deleted has no row
            return None
        current = upserter.verify(row, rollouts.stat(row.path)) if row else None
        if row is not None and current is row:
            return row
        if not isinstance(current, StoredThread):
            try:
                thread = _search(rollouts, _candidates(rollouts, thread_id, row), thread_id)
            except DamagedRollout:
                if row is None or current is None:
                    raise
                return row
            if thread is None:
                if row is not None:
                    with suppress(StoreFailure):
                        upserter.remove_missing({thread_id: row.path})
                return None
            current = thread
        current = upserter.with_known_facts(current, row)
        if thread_id not in self._files.written_here():
            with suppress(StoreFailure):
                upserter.commit([(current, row)])
        return current

    def _upserter(self, *, quiet: bool) -> Upserter:
        written_here, more_names = self._files.written_here, self._files.more_names
        return Upserter(self._rollouts, self._store, quiet=quiet, written_here=written_here, more_names=more_names)

    def find_many(self, thread_ids: Sequence[str]) -> tuple[FoundThreads, dict[str, IndexCheckpoint]]:
        """Rows that match their files are looked up all at once."""
        with self._store.snapshot():
            rows, checkpoints = self._store.get_many(thread_ids), self._store.checkpoints(thread_ids)
        known = self._matching(thread_ids, rows, rollout_of)
        found: FoundThreads = {key: known[key] if key in known else self._found(key) for key in thread_ids}
        return found, checkpoints

    def find_rollouts(self, thread_ids: Sequence[str]) -> dict[str, RolloutRef | DamagedRollout | None]:
        """Without decoding whole rows, which would take most of the time of planning a cascade."""
        rollouts = self._store.known_rollouts(thread_ids)
        known = self._matching(thread_ids, rollouts, lambda rollout: rollout)
        return {key: known[key] if key in known else self._found_rollout(key) for key in thread_ids}

    def _matching(
        self, thread_ids: Sequence[str], rows: Mapping[str, T], rollout: Callable[[T], RolloutRef]
    ) -> dict[str, T | None]:
        """The rows that match their files, and None for each thread that was deleted."""
        named = {thread_id: rollout(row) for thread_id, row in rows.items()}
        files = self._rollouts.stat_many([one.path for one in named.values()])
        known: dict[str, T | None] = {
            thread_id: rows[thread_id] for thread_id, one in named.items() if files.get(one.path) == one
        }
        if missing := [thread_id for thread_id in thread_ids if thread_id not in rows]:
            known.update(dict.fromkeys(self._store.deleted(missing)))  # what is deleted has no row
        return known

    def source(self, rollout_id: str) -> Source | None:
        row = self._store.get(rollout_id)
        if row is not None and (rollout_id_of(row.path) or row.id) == rollout_id and self._rollouts.stat(row.path):
            return source_of(row)
        return super().source(rollout_id)

    def _repaired_any(self, rows: Sequence[StoredThread], files: Mapping[str, RolloutRef]) -> bool:
        mine = self._files.written_here()
        paths = [row.path for row in rows if row.id not in mine and not _matches(row, files)]
        if not paths:
            return False
        written_here, more_names = self._files.written_here, self._files.more_names
        try:
            found = sync_paths(*(self._rollouts, self._store, paths), written_here=written_here, more_names=more_names)
        except StoreFailure as error:
            logger.warning("Could not repair rows that don't match their files: %s", error)
            return False
        if found.events:
            self._files.wake()
        return True

    def parts(self) -> Iterator[PartialIndex]:
        return iter(())


class UnindexedFiles(FilesLookup):
    """The look-up without a state DB: it searches the files for a thread. For a list, all of them are synced into an
    index in memory first."""

    def __init__(self, files: HomeFiles, memory: StateStore) -> None:
        super().__init__(files, memory)
        self.building: StateStore | None = None
        """The state DB during the backfill: what that has completed may be read from it."""
        self.newest_only: StateStore | None = None
        """An index of only the newest threads, until the backfill has got that far."""

    def index(self, *, names: bool = False) -> StateStore:
        written_here, more_names = self._files.written_here, self._files.more_names
        sync(self._rollouts, self._store, quiet=True, written_here=written_here, more_names=more_names)
        return self._store

    def _find(self, thread_id: str) -> StoredThread | None:
        thread = _search(self._rollouts, self._rollouts.locate(thread_id), thread_id)
        if thread is None:
            return None
        with suppress(DamagedRollout):
            more_names = self._files.more_names
            names = self._rollouts.names() | dict(more_names([thread_id]) if more_names else {})
            thread = replace(thread, name=names.get(thread_id))
        return thread

    def find_many(self, thread_ids: Sequence[str]) -> tuple[FoundThreads, dict[str, IndexCheckpoint]]:
        return {key: self._found(key) for key in thread_ids}, self._store.checkpoints(thread_ids)

    def find_rollouts(self, thread_ids: Sequence[str]) -> dict[str, RolloutRef | DamagedRollout | None]:
        return {key: self._found_rollout(key) for key in thread_ids}

    def repair(self, thread_ids: Collection[str]) -> None:
        """The next `index` syncs all rows."""

    def parts(self) -> Iterator[PartialIndex]:
        for part, grows in ((self.building, True), (self.newest_only, False)):
            if part is not None:
                yield PartialIndex(_PartOfTheFiles(self._files, part), part.backfill(), grows)


class _PartOfTheFiles(UnindexedFiles):
    """The look-up while an index is built: it uses the rows that the backfill has written so far."""

    def index(self, *, names: bool = False) -> StateStore:
        return self._store


def _matches(row: StoredThread, files: Mapping[str, RolloutRef]) -> bool:
    """Whether the file at the row's path still has the stamp in the row."""
    return files.get(row.path) == rollout_of(row)


def _source_at(rollouts: RolloutStore, file: RolloutRef) -> Source:
    (head,) = rollouts.read(file, [(0, _META_BYTES)])
    try:
        line = decode_first(RawLine(0, head[: head.index(b"\n")]), [])
        meta = decode_meta(line.payload)
        return Source(file, meta.history_base, meta.attached_thread is True)
    except ValueError:  # no newline so far, or damage
        thread = rollouts.describe(file).thread
        return Source(file, thread.history_base, thread.attached)


def _search(rollouts: RolloutStore, files: Iterable[RolloutRef], thread_id: str) -> StoredThread | None:
    """The thread in the first of these files that has the id. Raises DamagedRollout if none has and one can't be
    read."""
    damage: DamagedRollout | None = None
    for file in files:
        try:
            thread = rollouts.describe(file).thread
        except DamagedRollout as error:
            damage = damage or error
            continue
        if thread.id == thread_id:
            return thread
    if damage is not None:
        raise damage
    return None


def _candidates(rollouts: RolloutStore, thread_id: str, row: StoredThread | None) -> list[RolloutRef]:
    """The files named after the thread; else the files with the name that the row's file had, in any folder."""
    if row is None:
        return rollouts.locate(thread_id)
    if files := moved_to(rollouts, thread_id, row.path):
        return files
    name = PurePosixPath(row.path).name
    return [file for file in rollouts.walk() if PurePosixPath(file.path).name == name]
