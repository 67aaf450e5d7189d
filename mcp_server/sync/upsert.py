"""Upserts the rows of rollout files: reads files, decides which file is which thread, commits rows.

A file belongs to the thread whose id is in its session metadata, whatever its name. If several files have the same id,
`file_rank` decides which of them is the thread. A file is read again only after its stamp has changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from mcp_server.codex.file_rank import FileRank, is_copy, rank_of
from mcp_server.codex.files import BadLine, Description, RolloutRef, rollout_of
from mcp_server.codex.paths import id_in, revert_order
from mcp_server.errors import DamagedRollout, NotStorable
from mcp_server.models.event import ThreadEvent
from mcp_server.models.records import Change, Copy, Unreadable
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.contracts import RolloutStore, StateStore
from mcp_server.storage.rollout_text import damage_of
from mcp_server.sync.copies import KnownCopies


class NameSource(Protocol):
    """Returns the names of these threads, by id; or those of all, which may take a second if there are very many."""

    def __call__(self, thread_ids: Collection[str] | None = None) -> Mapping[str, str]: ...


BATCH_ROWS = 256
_BATCH_BYTES = 64 << 20  # keeps one batch well within a backfill's lease, however large the rollouts are


class BadLineSink(Protocol):
    """Receives the lines and files that had to be skipped."""

    def report(self, bad: Sequence[BadLine]) -> None: ...


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync found and committed: thread ids by what has happened to their files.

    `damaged` are the files that could not be used, `bad_lines` is the number of lines skipped in others, `events` are
    those that the store derived from the rows.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    damaged: tuple[BadLine, ...] = ()
    bad_lines: int = 0
    names_applied: bool = False
    events: tuple[ThreadEvent, ...] = ()


def newest_first(files: Iterable[RolloutRef]) -> list[RolloutRef]:
    """Sorted by path, descending: `sessions` before `archived_sessions`, and in both the newest date first."""
    return sorted(files, key=lambda file: file.path, reverse=True)


def batches(files: Iterable[RolloutRef], rows: int = BATCH_ROWS) -> Iterator[list[RolloutRef]]:
    """The files in batches, bounded by number and by bytes."""
    batch: list[RolloutRef] = []
    size = 0
    for file in files:
        if batch and (len(batch) == rows or size + file.stamp.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.stamp.size
    if batch:
        yield batch


@dataclass(slots=True)
class Upserter:
    """One run over rollout files that upserts their rows, `batch_rows` at a time. `quiet` commits rows without deriving
    events. `first_build` writes every row that it reads and leaves them out of the report."""

    rollouts: RolloutStore
    state: StateStore
    quiet: bool = False
    first_build: bool = False
    written_here: Callable[[], Collection[str]] = frozenset[str]
    more_names: NameSource | None = None
    sink: BadLineSink | None = None
    batch_rows: int = BATCH_ROWS
    _session_index: Mapping[str, str] | None = None
    _names: Mapping[str, str] = field(default_factory=dict[str, str])
    _names_known_of: frozenset[str] = frozenset()
    _names_applied: bool = False
    _id_at: dict[str, str] = field(default_factory=dict[str, str])
    _damaged: dict[tuple[str, FileStamp], BadLine] = field(default_factory=dict[tuple[str, FileStamp], BadLine])
    _ids_by_change: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))
    _unreadable_paths: frozenset[str] | None = None
    _copies: KnownCopies = field(init=False)
    _bad_lines: int = 0
    _events: list[ThreadEvent] = field(default_factory=list[ThreadEvent])

    def __post_init__(self) -> None:
        self._copies = KnownCopies(self.state)

    def report(self) -> SyncReport:
        return SyncReport(
            added=tuple(self._ids_by_change["added"]),
            changed=tuple(self._ids_by_change["changed"]),
            moved=tuple(self._ids_by_change["moved"]),
            vanished=tuple(self._ids_by_change["vanished"]),
            damaged=tuple(self._damaged.values()),
            bad_lines=self._bad_lines,
            names_applied=self._names_applied,
            events=tuple(self._events),
        )

    def sync_all(self) -> None:
        """Compare all files and rows by stamps; upsert the rows that differ and remove those whose file is gone."""
        not_files: list[BadLine] = []
        differs = self.state.compare(self.rollouts.walk(not_files))
        self.note_unusable(not_files, differs.lapsed)
        if differs.lapsed:
            self.forget_copies(differs.lapsed)
        self.upsert(newest_first(self.rollouts.stat_many(differs.files).values()))
        if not differs.rows:
            return
        there = self.rollouts.stat_many(differs.rows.values())
        gone = {
            thread_id: path
            for thread_id, path in differs.rows.items()
            if path not in there or self._has_other_id(thread_id, path)
        }
        if gone:
            # a file that was moved during the walk may have been missed at both paths
            missed = self.state.compare(self.rollouts.walk()).files - differs.files
            self.upsert(newest_first(self.rollouts.stat_many(missed).values()))
            self.remove_missing(gone)

    def upsert(self, files: Iterable[RolloutRef]) -> None:
        """Upsert the rows of these files. Files that were damaged earlier in this run are skipped."""
        for batch in batches(files, self.batch_rows):
            self.upsert_batch([file for file in batch if (file.path, file.stamp) not in self._damaged])

    def upsert_batch(self, files: Sequence[RolloutRef], *, remember: bool = True) -> None:
        """Read some files and commit their rows in one transaction. `remember` keeps the id in each file for a later
        `remove_missing`; a backfill compares everything once more at its end, and needs none."""
        files = self._without_replaced([file for file in files if file.thread_id not in self.written_here()])
        by_id: defaultdict[str, list[StoredThread]] = defaultdict(list)
        bad: list[tuple[RolloutRef, BadLine]] = []
        for file, result in zip(files, self.rollouts.describe_many(files), strict=True):
            self._report_bad(file, result)
            if isinstance(result, BadLine):
                bad.append((file, result))
            elif result is not None:
                by_id[result.thread.id].append(result.thread)
                if remember:
                    self._id_at[file.path] = result.thread.id
        read = [thread.path for threads in by_id.values() for thread in threads]
        self._note_unreadable(bad, read)
        rows = self.state.get_many({*by_id, *(thread_id for file, _ in bad if (thread_id := _id_in_name(file)))})
        for file, why in bad:
            row = rows.get(_id_in_name(file) or "")
            if row is not None and row.path == file.path and not why.transient:  # another file may be the thread now
                by_id[row.id] += self._described(self.rollouts.locate(row.id), row.id)
        chosen: list[tuple[StoredThread, StoredThread | None]] = []
        copies, others = list[Copy](), {*read, *(file.path for file, _ in bad)}
        written_here, deleted = self.written_here(), self.state.deleted(by_id)
        self._load_names(by_id)
        for thread_id, threads in by_id.items():
            row = rows.get(thread_id)
            if thread_id in deleted or (thread_id in written_here and row is None):
                continue
            claims = threads if thread_id in written_here else self._candidates(threads, row)
            best = row if thread_id in written_here else min(claims, key=_rank_of, default=None)
            if best is None:
                continue
            known = self._copies.of([thread_id])
            copies += (_copy(one) for one in claims if is_copy(one.path, best.path, thread_id))
            others.update(copy.path for copy in known if not is_copy(copy.path, best.path, thread_id))
            if thread_id in written_here:
                continue
            if row is None or self.first_build or (row.path, row.stamp) != (best.path, best.stamp):
                chosen.append((self.with_known_facts(best, row), row))
        self.commit(chosen)
        self._read_again(chosen)
        self._copies.note(copies, others.difference(copy.path for copy in copies))

    def _read_again(self, pairs: Sequence[tuple[StoredThread, StoredThread | None]]) -> None:
        """Read a file again if another process has written its row meanwhile: it may have read an older file."""
        if self.first_build or not pairs:
            return
        ours = {thread.id: rollout_of(thread) for thread, _ in pairs}
        rows = self.state.known_rollouts(ours)
        files = self.rollouts.stat_many({ours[key].path for key, row in rows.items() if row != ours[key]})
        if differing := [file for file in files.values() if file not in rows.values()]:
            self.upsert_batch(differing)

    def verify(self, row: StoredThread, file: RolloutRef | None) -> StoredThread | DamagedRollout | None:
        """The row itself if its `file` is unchanged; else the thread as the file describes it now, or why it can't be
        read. None if the file is gone or has another id."""
        if file is None or file.stamp == row.stamp:
            return file and row
        try:
            thread = self.rollouts.describe(file).thread
        except DamagedRollout as damage:
            return damage
        self._id_at[row.path] = thread.id
        return thread if thread.id == row.id else None

    def with_known_facts(self, thread: StoredThread, row: StoredThread | None) -> StoredThread:
        """The thread with the facts that its file does not hold: the name and when it was archived. (A name that is in
        the row is changed by `apply_names` only.)"""
        if thread.id not in self._names_known_of:
            self._load_names([thread.id])
        name = (row.name if row else None) or self._names.get(thread.id)
        archived_at = row.archived_at_ms if row is not None and row.archived and thread.archived else None
        return replace(thread, name=name, archived_at_ms=archived_at or thread.archived_at_ms)

    def commit(self, pairs: Sequence[tuple[StoredThread, StoredThread | None]]) -> None:
        """Commit threads as new rows, in place of these earlier ones. A row that another process has written since
        stays: it may have read the file later."""
        threads = tuple(thread for thread, _ in pairs)
        if not threads:
            return
        try:
            seen = {} if self.first_build else {thread.id: row for thread, row in pairs}
            change = Change(threads=threads, seen=seen) if self.quiet else Change(observed=threads, seen=seen)
            self._events += self.state.commit(change)
        except NotStorable as error:
            for pair in pairs if len(pairs) > 1 else ():
                self.commit([pair])
            if len(pairs) == 1:
                (thread,) = threads
                file, bad = RolloutRef(thread.path, thread.stamp), BadLine(thread.path, 0, str(error))
                self._report_bad(file, bad)
                self._note_unreadable([(file, bad)], [])
            return
        self._copies.note([], [thread.path for thread in threads])
        for thread, row in pairs if not self.first_build else ():
            what = "added" if row is None else "changed" if row.path == thread.path else "moved"
            self._ids_by_change[what].append(thread.id)

    def forget_copies(self, gone: Collection[str]) -> None:
        """Forget the known copies at these paths, which are gone."""
        self._copies.note([], gone)

    def remove_missing(self, paths: Mapping[str, str]) -> None:
        """Remove the rows, given by thread id and path, whose file is gone or has another id. A row that has another
        path by now stays."""
        vanished = self._vanished(paths)
        if vanished and (copies := self._copies.of(vanished)):
            self.upsert(newest_first(self.rollouts.stat_many([copy.path for copy in copies]).values()))
            vanished = self._vanished(paths)
        if vanished:
            self._events += self.state.commit(Change(vanished=tuple(vanished)))
            self._ids_by_change["vanished"] += vanished

    def _vanished(self, paths: Mapping[str, str]) -> list[str]:
        rows = self.state.known_rollouts(paths.keys() - set(self.written_here()))
        named = {thread_id: one.path for thread_id, one in sorted(rows.items()) if one.path == paths[thread_id]}
        there = self.rollouts.stat_many(named.values())
        return [
            thread_id for thread_id, path in named.items() if self._has_other_id(thread_id, path) or path not in there
        ]

    def apply_names(self, *, whole: bool = False) -> None:
        """Apply new names if session_index.jsonl has changed; or, if `whole`, all names of both sources."""
        stamp = self.rollouts.names_stamp()  # before the names: a line added in between is read again later
        if not whole and stamp == self.state.names_stamp():
            return
        try:
            names = self.rollouts.names()
        except DamagedRollout as damage:  # the rows keep the names that they have
            self._report_bad(RolloutRef(damage.path, stamp or FileStamp(0, 0)), damage_of(damage, damage.path))
            return
        if self.more_names is not None:
            held = {} if whole else self.state.names()
            differing = {key for key in held.keys() | names.keys() if held.get(key) != names.get(key)}
            names |= self.more_names(None if whole else differing)
        self._events += self.state.apply_names(names, stamp)
        self._names_applied = True

    def _load_names(self, thread_ids: Collection[str]) -> None:
        """Load the names of these threads. Those of all threads would take too much memory."""
        if self._session_index is None:
            try:
                self._session_index = self.rollouts.names()
            except DamagedRollout:
                self._session_index = {}
        names = {key: self._session_index[key] for key in thread_ids if key in self._session_index}
        self._names = names | dict(self.more_names(thread_ids)) if self.more_names else names
        self._names_known_of = frozenset(thread_ids)

    def _without_replaced(self, files: Sequence[RolloutRef]) -> Sequence[RolloutRef]:
        """The files without those that a revert has replaced, according to the rows: those need not be read."""
        if self.first_build:
            return files
        rows = self.state.known_rollouts({file.thread_id for file in files if file.thread_id})
        later = {
            file.path: row.path
            for file in files
            if (row := rows.get(file.thread_id or "")) and revert_order(row.path) > revert_order(file.path)
        }
        there = self.rollouts.stat_many(set(later.values())) if later else {}
        return [file for file in files if later.get(file.path) not in there]

    def _report_bad(self, file: RolloutRef, result: Description | BadLine | None) -> None:
        bad: tuple[BadLine, ...] = ()
        if isinstance(result, BadLine):
            self._damaged[file.path, file.stamp] = result
            bad = (result,)
        elif result is not None:
            self._bad_lines += len(result.bad_lines)
            bad = result.bad_lines
        if bad and self.sink is not None:
            self.sink.report(bad)

    def note_unusable(self, not_files: Collection[BadLine], gone: Collection[str]) -> None:
        """Record the paths with a rollout's name that are not regular files, and forget those that are gone."""
        if not not_files and not gone:
            return
        known = {one.path: one for one in self.state.unreadable()}
        there = {bad.path: Unreadable(bad.path, None, bad.offset, bad.reason) for bad in not_files}
        found = [one for path, one in there.items() if known.get(path) != one]
        settled = known.keys() & gone - there.keys()
        if found or settled:
            self.state.note_unreadable(found, settled)

    def _note_unreadable(self, bad: Sequence[tuple[RolloutRef, BadLine]], good: Sequence[str]) -> None:
        """Record the files that can't be read, and forget those that can be read again."""
        if self._unreadable_paths is None:
            self._unreadable_paths = frozenset(one.path for one in self.state.unreadable())
        settled = self._unreadable_paths.intersection(good)
        if bad or settled:
            found = [
                Unreadable(file.path, None if why.transient else file.stamp, why.offset, why.reason)
                for file, why in bad
            ]
            self.state.note_unreadable(found, settled)
            self._unreadable_paths = self._unreadable_paths.difference(settled).union(one.path for one in found)

    def _has_other_id(self, thread_id: str, path: str) -> bool:
        """Whether the file at the path was read and has another id."""
        return self._id_at.get(path, thread_id) != thread_id

    def _candidates(self, threads: list[StoredThread], row: StoredThread | None) -> list[StoredThread]:
        """The files that may be the thread: those that were read, the row's, and, if that is gone or can't be read, the
        known copies."""
        found = list(threads)
        if row is not None and all(thread.path != row.path for thread in threads):
            # they may have been moved to the row's path after they were read
            found = [thread for thread in threads if self.rollouts.stat(thread.path) is not None]
            current = self.verify(row, self.rollouts.stat(row.path))
            if isinstance(current, StoredThread):
                return [*found, current]
        elif row is not None:
            return found
        thread_id = row.id if row else threads[0].id if threads else ""
        read = {thread.path for thread in threads}
        known = [copy.path for copy in self._copies.of([thread_id]) if copy.path not in read]
        files = list(self.rollouts.stat_many(known).values()) if known else []
        return found + self._described(files, thread_id)

    def _described(self, files: Sequence[RolloutRef], thread_id: str) -> list[StoredThread]:
        """The threads in those of these files that can be read and have this id."""
        results = self.rollouts.describe_many(files) if files else []
        return [one.thread for one in results if isinstance(one, Description) and one.thread.id == thread_id]


def _copy(thread: StoredThread) -> Copy:
    return Copy(thread.path, thread.stamp, thread.id)


def _rank_of(thread: StoredThread) -> FileRank:
    return rank_of(thread.path, thread.id)


def _id_in_name(file: RolloutRef) -> str | None:
    """The thread id in a file's name."""
    return id_in(file.path.rpartition("/")[2])
