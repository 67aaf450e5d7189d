"""The doctor: compares the index with the files and reports differences in the words of Codex's doctor. Repairs them.

An examination never writes. It is not a snapshot: a change while it runs may show up as a difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter
from typing import Literal

from mcp_server.codex.file_rank import ThreadFiles, classify_files
from mcp_server.codex.files import BadLine, Description, RolloutRef, add_bad_line
from mcp_server.codex.lines import MalformedLine, decode_raw
from mcp_server.codex.paths import id_in
from mcp_server.errors import ActiveWriter, DamagedRollout
from mcp_server.models.records import BackfillState, Copy, Operation, Unreadable
from mcp_server.storage.codex_rows import CodexRows, NoCodexRows
from mcp_server.storage.contracts import Holder, Leases, RolloutStore, StateStore
from mcp_server.storage.query import Difference, ThreadQuery
from mcp_server.sync.reconciler import sync
from mcp_server.sync.upsert import NameSource, SyncReport, batches, newest_first

LARGEST = 20


@dataclass(frozen=True, slots=True)
class Counts:
    active: int = 0
    archived: int = 0


@dataclass(frozen=True, slots=True)
class StaleRow:
    """A row that no longer matches its file: the file is `gone`, `moved` or has `changed` since it was indexed."""

    thread_id: str
    path: str
    reason: Literal["gone", "moved", "changed"]


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The state of a home. Sizes are bytes on disk. Without a state DB, `rows` is None and fields about rows are empty.

    Fields:
        missing: paths of usable files without a row.
        duplicates: by thread, the paths of its file and of the copies of it (`file_rank`).
        replaced: the number of rollouts that reverts have replaced, and that are kept.
        malformed: files and lines that can't be used.
        abandoned: drafts that killed processes have left.
        names: the number of names in session_index.jsonl.
        largest: by thread, the sizes of the largest ones.
        held, foreign: threads whose writer lock this process, or another one, holds.
        unreadable: threads of stale rows whose file can't be read any more. A repair skips them.
        unusable: the number of files that can't be read.
    """

    files: Counts
    rows: Counts | None
    size: int = 0
    largest: Mapping[str, int] = field(default_factory=dict[str, int])
    missing: tuple[str, ...] = ()
    stale: tuple[StaleRow, ...] = ()
    duplicates: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    replaced: int = 0
    malformed: tuple[BadLine, ...] = ()
    abandoned: tuple[str, ...] = ()
    names: int = 0
    names_current: bool = True
    backfill: BackfillState | None = None
    running: tuple[Operation, ...] = ()
    held: tuple[str, ...] = ()
    foreign: Mapping[str, Holder] = field(default_factory=dict[str, Holder])
    unreadable: frozenset[str] = frozenset()
    unusable: int = 0

    @property
    def in_step(self) -> bool:
        """Whether a sync would find nothing to do."""
        return not self.missing and not self.stale and self.names_current

    def counts(self) -> dict[str, int]:
        rows = self.rows
        return {
            "files_active": self.files.active,
            "files_archived": self.files.archived,
            "rows_active": rows.active if rows else 0,
            "rows_archived": rows.archived if rows else 0,
            "missing": len(self.missing),
            "stale": len(self.stale),
            "duplicate": len(self.duplicates),
            "replaced": self.replaced,
            "malformed": len(self.malformed),
            "abandoned": len(self.abandoned),
            "named": self.names,
            "bytes": self.size,
            "running_operations": len(self.running),
        }


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was wrong, what a repair did, and the state afterwards; the last two are None in a dry run. A repair skips
    the threads `written_here`."""

    before: DoctorReport
    done: SyncReport | None = None
    after: DoctorReport | None = None
    written_here: frozenset[str] = frozenset()
    codex_rows: int = 0
    """How many of Codex's rows disagree with the files about where a thread is; after a repair, how many it updated."""

    def counts(self) -> dict[str, int]:
        """What a repair did or would do: rows by kind of change, abandoned drafts that it deletes, Codex's rows."""
        before, kinds = self.before, ("added", "changed", "moved", "vanished")
        if self.done is not None:
            kinds_found = Counter({kind: len(getattr(self.done, kind)) for kind in kinds})
        else:
            left = self.written_here | before.unreadable
            becomes = {"gone": "vanished", "moved": "moved", "changed": "changed"}
            kinds_found = Counter(becomes[row.reason] for row in before.stale if row.thread_id not in left)
            kinds_found["added"] = sum(
                id_in(path.rpartition("/")[2]) not in self.written_here for path in before.missing
            )
        counts = {kind: kinds_found[kind] for kind in kinds}
        return counts | {"abandoned": len(before.abandoned), "codex_rows": self.codex_rows}


def examine(
    rollouts: RolloutStore, state: StateStore | None, locks: Leases, *, deep: bool = False, largest: int = LARGEST
) -> DoctorReport:
    """Compare index and files. Writes nothing.

    Reads only the files that differ from their rows; if `deep`, all files, to find malformed lines in them too.
    `largest` is how many of the largest threads are reported.
    """
    walked = _FileWalk(rollouts)
    differs = state.compare(walked.files()) if state else Difference(frozenset(walked.paths()))
    exam = _Examination(dict(differs.rows))
    if deep:
        exam.read_all(rollouts, rollouts.walk(), state.known_rollouts() if state else {})
    else:
        exam.read(rollouts, rollouts.stat_many(differs.files).values())
        exam.add_unreadable([one for one in (state.unreadable() if state else ()) if one.path not in differs.changed])
        exam.add_copies([one for one in (state.copies() if state else ()) if one.path not in differs.changed])
    exam.malformed += rollouts.unusable()
    rows = state.known_rollouts(exam.files_by_id) if state else {}
    deleted = state.deleted(exam.files_by_id) if state else frozenset[str]()
    exam.add_matching_rows(rows)
    names = _names(rollouts)
    return DoctorReport(
        files=Counts(active=walked.active, archived=walked.archived),
        rows=row_counts(state) if state else None,
        size=walked.size,
        largest=exam.largest(
            state.largest(largest + len(exam.files_by_id) + len(exam.mismatched)) if state else {}, largest
        ),
        missing=tuple(exam.missing(rows, deleted)) if state else (),
        stale=tuple(exam.stale()),
        duplicates=exam.duplicates(),
        replaced=exam.replaced(),
        malformed=tuple(exam.malformed),
        abandoned=tuple(rollouts.abandoned()),
        names=len(names or ()),
        names_current=state is None or names is None or _names_current(rollouts, state, names),
        backfill=state.backfill() if state else None,
        running=tuple(state.running_operations()) if state else (),
        held=tuple(sorted(locks.held())),
        foreign=locks.foreign(),
        unreadable=frozenset(exam.unreadable()),
        unusable=len(exam.unusable),
    )


def repair(
    rollouts: RolloutStore,
    state: StateStore,
    locks: Leases,
    *,
    dry_run: bool = False,
    deep: bool = False,
    written_here: Callable[[], Collection[str]] | None = None,
    more_names: NameSource | None = None,
    codex: CodexRows | None = None,
) -> RepairReport:
    """Examine, then sync the rows, delete abandoned drafts and update Codex's rows, then examine again. A dry run only
    examines. A repair skips the threads `written_here`: by default those whose writer lock this process holds."""
    before, written_here = examine(rollouts, state, locks, deep=deep), written_here or locks.held
    if dry_run:
        lagging = _lagging_codex_rows(state, codex or NoCodexRows(), written_here)
        return RepairReport(before, written_here=frozenset(written_here()), codex_rows=len(lagging))
    for path in before.abandoned:
        rollouts.remove(RolloutRef(path))
    state.note_unreadable([], [one.path for one in state.unreadable()])  # so that the sync tries to read them again
    done = sync(rollouts, state, written_here=written_here, more_names=more_names)
    followed = _update_codex_rows(state, locks, codex or NoCodexRows(), written_here)
    return RepairReport(before, done, examine(rollouts, state, locks, deep=deep), codex_rows=followed)


def _lagging_codex_rows(
    state: StateStore, codex: CodexRows, written_here: Callable[[], Collection[str]]
) -> dict[str, str]:
    """By thread, the paths of the rollouts for which Codex's row names another path."""
    here = written_here()
    rollouts = {thread_id: one for thread_id, one in state.known_rollouts().items() if thread_id not in here}
    return {thread_id: rollouts[thread_id].path for thread_id in codex.lagging(rollouts)}


def _update_codex_rows(
    state: StateStore, locks: Leases, codex: CodexRows, written_here: Callable[[], Collection[str]]
) -> int:
    """Update Codex's rows that lag behind the files, except of threads that another process holds. Returns how many it
    updated."""
    lagging = _lagging_codex_rows(state, codex, written_here)
    followed = 0
    for thread_id in lagging:
        try:
            locks.acquire([thread_id])
        except ActiveWriter:
            continue
        try:
            known = state.known_rollouts([thread_id])  # it may have been moved before we had the lock
            if known and codex.move(known) is None:
                followed += 1
        finally:
            locks.release([thread_id])
    return followed


class _FileWalk:
    """Walks over the rollout files of a home and counts them."""

    def __init__(self, rollouts: RolloutStore) -> None:
        self._rollouts = rollouts
        self.active = self.archived = self.size = 0

    def files(self) -> Iterator[RolloutRef]:
        for file in self._rollouts.walk():
            self.archived += file.archived
            self.active += not file.archived
            self.size += file.stamp.size
            yield file

    def paths(self) -> list[str]:
        return [file.path for file in self.files()]


@dataclass(slots=True)
class _Examination:
    """Collects the files, by id, of threads whose files differ from their rows: none, in a home in good order.
    `mismatched` are the paths, by id, of rows that don't match their file."""

    mismatched: dict[str, str]
    files_by_id: defaultdict[str, list[RolloutRef]] = field(
        default_factory=lambda: defaultdict[str, list[RolloutRef]](list)
    )
    malformed: list[BadLine] = field(default_factory=list[BadLine])
    unusable: set[str] = field(default_factory=set[str])

    def read(self, rollouts: RolloutStore, files: Iterable[RolloutRef]) -> None:
        """Read files that match no row."""
        for file, result in self._described(rollouts, files):
            self.malformed += result.bad_lines
            self.files_by_id[result.thread.id].append(file)

    def add_unreadable(self, unreadable: Iterable[Unreadable]) -> None:
        """Add files that are known to be unreadable, without reading them again."""
        for one in unreadable:
            self.malformed.append(BadLine(one.path, one.byte, one.reason))
            self.unusable.add(one.path)

    def add_copies(self, copies: Iterable[Copy]) -> None:
        """Add files that are known to be copies, without reading them again."""
        for one in copies:
            self.files_by_id[one.thread_id].append(RolloutRef(one.path, one.stamp))

    def read_all(self, rollouts: RolloutStore, files: Iterable[RolloutRef], rows: Mapping[str, RolloutRef]) -> None:
        """Read every line of every file. Adds the files whose content does not match their row."""
        claims = defaultdict[str, set[str]](set)
        for thread_id, row in rows.items():
            if thread_id not in self.mismatched:
                claims[row.path].add(thread_id)
        for file, result in self._described(rollouts, files):
            self.malformed += _bad_lines(rollouts, file)
            claimed = claims.get(file.path, set())
            self.mismatched |= dict.fromkeys(claimed - {result.thread.id}, file.path)
            if result.thread.id not in claimed:
                self.files_by_id[result.thread.id].append(file)

    def _described(
        self, rollouts: RolloutStore, files: Iterable[RolloutRef]
    ) -> Iterator[tuple[RolloutRef, Description]]:
        for batch in batches(newest_first(files)):
            for file, result in zip(batch, rollouts.describe_many(batch), strict=True):
                if isinstance(result, BadLine):
                    self.malformed.append(result)
                    self.unusable.add(file.path)
                elif result is not None:
                    yield file, result

    def add_matching_rows(self, rows: Mapping[str, RolloutRef]) -> None:
        """Add the files that match the rows, before those that were read."""
        for thread_id, row in rows.items():
            if thread_id not in self.mismatched and all(file.path != row.path for file in self.files_by_id[thread_id]):
                self.files_by_id[thread_id].insert(0, row)

    def largest(self, rows: Mapping[str, int], limit: int) -> dict[str, int]:
        """The sizes of the largest threads. `rows` are the sizes of the largest rows."""
        sizes = {thread_id: size for thread_id, size in rows.items() if thread_id not in self.mismatched}
        sizes |= {thread_id: sum(file.stamp.size for file in files) for thread_id, files in self.files_by_id.items()}
        return dict(nlargest(limit, sizes.items(), key=itemgetter(1, 0)))

    def missing(self, rows: Collection[str], deleted: Collection[str]) -> Iterator[str]:
        for thread_id, files in self.files_by_id.items():
            if thread_id not in rows and thread_id not in deleted:
                yield files[0].path

    def unreadable(self) -> Iterator[str]:
        for thread_id, path in self.mismatched.items():
            if path in self.unusable and not self.files_by_id.get(thread_id):
                yield thread_id

    def stale(self) -> Iterator[StaleRow]:
        unreadable = set(self.unreadable())
        for thread_id, path in self.mismatched.items():
            paths = [file.path for file in self.files_by_id.get(thread_id, ())]
            if path in paths or thread_id in unreadable:
                yield StaleRow(thread_id, path, "changed")
            else:
                yield StaleRow(thread_id, path, "moved" if paths else "gone")

    def duplicates(self) -> dict[str, tuple[str, ...]]:
        """By thread, the path of its file and those of the copies of it."""
        classified = self._classified().items()
        return {thread_id: (found.current, *found.copies) for thread_id, found in classified if found.copies}

    def replaced(self) -> int:
        return sum(len(found.replaced) for found in self._classified().values())

    def _classified(self) -> dict[str, ThreadFiles]:
        return {
            thread_id: classify_files((file.path for file in files), thread_id)
            for thread_id, files in self.files_by_id.items()
        }


def _bad_lines(rollouts: RolloutStore, file: RolloutRef) -> list[BadLine]:
    """The malformed lines of a rollout, including a torn last one."""
    bad: list[BadLine] = []
    try:
        for batch in rollouts.lines(file):
            for raw in batch:
                try:
                    decode_raw(raw, rollouts.bounds)
                except MalformedLine as error:
                    reason = str(error) if raw.whole else f"torn line without a newline: {error}"
                    add_bad_line(bad, BadLine(file.path, raw.offset, reason), rollouts.bounds)
    except DamagedRollout as damage:
        bad.append(BadLine(file.path, damage.offset, damage.reason))
    return bad


def _names(rollouts: RolloutStore) -> dict[str, str] | None:
    """The names in session_index.jsonl; None if it can't be read (the rows then keep their names)."""
    try:
        return rollouts.names()
    except DamagedRollout:
        return None


def _names_current(rollouts: RolloutStore, state: StateStore, names: Mapping[str, str]) -> bool:
    """Whether the rows have the names in session_index.jsonl. Compares the names if the file has changed."""
    if rollouts.names_stamp() == state.names_stamp():
        return True
    rows = state.get_many(names)
    return all(row.name == names[thread_id] for thread_id, row in rows.items())


def row_counts(state: StateStore) -> Counts:
    """The number of rows of active and of archived threads, including those without a preview."""
    active, archived = state.counts(
        [ThreadQuery(archived=archived, with_preview=None, attached=None) for archived in (False, True)]
    )
    return Counts(active=active.n, archived=archived.n)
